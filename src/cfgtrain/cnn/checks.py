"""Checks of modules and small tensor functions, with MMCV's names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cfgtrain.cnn.bricks.norm import is_norm

__all__ = ["assert_is_norm_layer", "assert_params_all_zeros", "is_jit_tracing", "torch_meshgrid"]


def assert_is_norm_layer(module: nn.Module) -> bool:
    """Return whether a layer is a normalization; see ``is_norm``."""
    return is_norm(module)


def assert_params_all_zeros(module: nn.Module) -> bool:
    """Return whether the weight and the bias of a layer, if it has them, contain only zeros."""
    parameters = (getattr(module, "weight", None), getattr(module, "bias", None))
    return all(not bool(parameter.any()) for parameter in parameters if parameter is not None)


def is_jit_tracing() -> bool:
    """Return whether ``torch.jit.trace`` is running, which an export to ONNX may use too."""
    return bool(torch._C._get_tracing_state())  # as torch.jit.is_tracing, which is not typed


def torch_meshgrid(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return coordinate grids of 1-D tensors, with the first tensor along the rows (``indexing="ij"``)."""
    return tuple(torch.meshgrid(*tensors, indexing="ij"))
