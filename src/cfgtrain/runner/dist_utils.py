"""The names that MMCV 1.x has in ``mmcv.runner.dist_utils``; they are defined in ``cfgtrain.parallel``."""

from __future__ import annotations

from cfgtrain.parallel.dist import (
    allreduce_grads,
    allreduce_params,
    get_dist_info,
    init_dist,
    master_only,
)

__all__ = ["allreduce_grads", "allreduce_params", "get_dist_info", "init_dist", "master_only"]
