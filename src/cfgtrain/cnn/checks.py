"""Small checks and tensor functions that keep MMCV's names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

__all__ = ["assert_is_norm_layer", "assert_params_all_zeros", "is_jit_tracing", "torch_meshgrid"]


def assert_is_norm_layer(module: nn.Module) -> bool:
    """Say whether a layer is a batch, instance, group or layer norm."""
    return isinstance(module, _BatchNorm | _InstanceNorm | nn.GroupNorm | nn.LayerNorm)


def assert_params_all_zeros(module: nn.Module) -> bool:
    """Say whether weight and bias of a layer, as far as it has them, hold nothing but zeros."""
    parameters = (getattr(module, "weight", None), getattr(module, "bias", None))
    return all(not bool(parameter.any()) for parameter in parameters if parameter is not None)


def is_jit_tracing() -> bool:
    """Say whether ``torch.jit.trace`` is running, as an export to ONNX does it too."""
    return bool(torch._C._get_tracing_state())  # what torch.jit.is_tracing asks, without its types


def torch_meshgrid(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the grids of 1-D tensors, the first along the rows (``indexing="ij"``)."""
    return tuple(torch.meshgrid(*tensors, indexing="ij"))
