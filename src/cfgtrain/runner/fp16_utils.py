"""The names that MMCV 1.x has in ``mmcv.runner.fp16_utils``; most are defined in ``cfgtrain.amp``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from torch import Tensor

from cfgtrain.amp import (
    LossScaler,
    auto_fp16,
    cast_tensor_type,
    force_fp32,
    patch_forward_method,
    patch_norm_fp32,
    wrap_fp16_model,
)
from cfgtrain.parallel.dist import allreduce_grads as _allreduce_grads

__all__ = [
    "LossScaler",
    "allreduce_grads",
    "auto_fp16",
    "cast_tensor_type",
    "force_fp32",
    "patch_forward_method",
    "patch_norm_fp32",
    "wrap_fp16_model",
]


def allreduce_grads(params: Iterable[Tensor], coalesce: bool = True, bucket_size_mb: float = -1) -> None:
    """Call ``cfgtrain.runner.allreduce_grads``, with a warning that this name is deprecated."""
    warnings.warn(
        "cfgtrain.runner.fp16_utils.allreduce_grads is deprecated: use cfgtrain.runner.allreduce_grads.",
        DeprecationWarning,
        stacklevel=2,
    )
    _allreduce_grads(params, coalesce, bucket_size_mb)
