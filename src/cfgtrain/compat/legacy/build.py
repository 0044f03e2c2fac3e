"""What MMCV says about the installed PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cfgtrain.compat.legacy.devices import (
    IS_IPU_AVAILABLE,
    IS_MLU_AVAILABLE,
    IS_MPS_AVAILABLE,
    IS_NPU_AVAILABLE,
)

__all__ = [
    "IS_CUDA_AVAILABLE",
    "IS_IPU_AVAILABLE",
    "IS_MLU_AVAILABLE",
    "IS_MPS_AVAILABLE",
    "IS_NPU_AVAILABLE",
    "TORCH_VERSION",
    "get_build_config",
    "is_cuda_available",
    "is_rocm_pytorch",
    "jit",
    "skip_no_elena",
]

TORCH_VERSION: str = torch.__version__


def is_cuda_available() -> bool:
    """Return whether a CUDA device can be used."""
    return torch.cuda.is_available()


def is_rocm_pytorch() -> bool:
    """Return whether PyTorch is built for AMD's ROCm."""
    return torch.version.hip is not None


def get_build_config() -> str:
    """Return how PyTorch was built."""
    return torch.__config__.show()


def jit(
    func: Callable[..., Any] | None = None,
    check_input: Any = None,
    full_shape: bool = True,
    derivate: bool = False,
    coderize: bool = False,
    optimize: bool = False,
) -> Callable[..., Any]:
    """Return the function unchanged: MMCV compiles it for parrots only.

    Args:
        func: The function; None returns a decorator.
        check_input: Not used, like the arguments below.
        full_shape: Not used.
        derivate: Not used.
        coderize: Not used.
        optimize: Not used.
    """
    return func if func is not None else skip_no_elena


def skip_no_elena(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function unchanged: MMCV skips it for parrots only."""
    return func


IS_CUDA_AVAILABLE = is_cuda_available()
