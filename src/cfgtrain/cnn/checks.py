"""What tests ask about layers; each answer is a bool, as in MMCV."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

__all__ = ["assert_is_norm_layer", "assert_params_all_zeros"]


def assert_is_norm_layer(module: nn.Module) -> bool:
    """Say whether a layer is a batch, instance, group or layer norm."""
    return isinstance(module, _BatchNorm | _InstanceNorm | nn.GroupNorm | nn.LayerNorm)


def assert_params_all_zeros(module: nn.Module) -> bool:
    """Say whether weight and bias of a layer, as far as it has them, hold nothing but zeros."""
    parameters = (getattr(module, "weight", None), getattr(module, "bias", None))
    return all(not bool(parameter.any()) for parameter in parameters if parameter is not None)
