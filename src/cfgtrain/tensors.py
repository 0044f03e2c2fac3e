"""Small things around tensors that MMCV's users call by these names."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["is_jit_tracing", "torch_meshgrid"]


def is_jit_tracing() -> bool:
    """Say whether ``torch.jit.trace`` is running, as an export to ONNX does it too."""
    return bool(torch._C._get_tracing_state())  # what torch.jit.is_tracing asks, without its types


def torch_meshgrid(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the grids of 1-D tensors, the first along the rows (``indexing="ij"``)."""
    return tuple(torch.meshgrid(*tensors, indexing="ij"))
