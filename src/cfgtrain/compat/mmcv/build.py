"""What MMCV says about the installed PyTorch, and the classes that it takes from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import SyncBatchNorm
from torch.nn.modules.batchnorm import (
    _BatchNorm as _BatchNorm,
)  # projects import these from here, as with MMCV
from torch.nn.modules.conv import _ConvNd as _ConvNd
from torch.nn.modules.conv import _ConvTransposeMixin as _ConvTransposeMixin
from torch.nn.modules.instancenorm import _InstanceNorm as _InstanceNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd as _AdaptiveAvgPoolNd
from torch.nn.modules.pooling import _AdaptiveMaxPoolNd as _AdaptiveMaxPoolNd
from torch.nn.modules.pooling import _AvgPoolNd as _AvgPoolNd
from torch.nn.modules.pooling import _MaxPoolNd as _MaxPoolNd
from torch.utils.data import DataLoader

from cfgtrain.compat.mmcv.devices import (
    IS_IPU_AVAILABLE,
    IS_MLU_AVAILABLE,
    IS_MPS_AVAILABLE,
    IS_NPU_AVAILABLE,
)

if TYPE_CHECKING:
    from torch.utils.cpp_extension import CUDA_HOME, BuildExtension, CppExtension, CUDAExtension

__all__ = [
    "CUDA_HOME",
    "IS_CUDA_AVAILABLE",
    "IS_IPU_AVAILABLE",
    "IS_MLU_AVAILABLE",
    "IS_MPS_AVAILABLE",
    "IS_NPU_AVAILABLE",
    "TORCH_VERSION",
    "BuildExtension",
    "CUDAExtension",
    "CppExtension",
    "DataLoader",
    "PoolDataLoader",
    "SyncBatchNorm",
    "get_build_config",
    "is_cuda_available",
    "is_rocm_pytorch",
    "jit",
    "skip_no_elena",
]

TORCH_VERSION: str = torch.__version__
PoolDataLoader = DataLoader


def __getattr__(name: str) -> Any:
    # The module that compiles extensions takes a second to import.
    if name in ("BuildExtension", "CUDAExtension", "CUDA_HOME", "CppExtension"):
        import torch.utils.cpp_extension

        return getattr(torch.utils.cpp_extension, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
