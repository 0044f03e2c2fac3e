"""Communication between the processes of a distributed run."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist

__all__ = ["average_tensors", "get_dist_info", "is_main_process"]


def get_dist_info() -> tuple[int, int]:
    """Return (rank, world_size) of this process, or (0, 1) if no process group is initialized (MMCV name)."""
    if not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def is_main_process() -> bool:
    """Return whether this is the process that writes checkpoints, logs and other files."""
    return get_dist_info()[0] == 0


def average_tensors(tensors: Iterable[Tensor]) -> None:
    """Replace tensors, in place, by their means over all processes.

    Integer and boolean tensors, such as the counters of batch normalization, are not averaged but copied from
    the process of rank 0. Every process must call this function with tensors of the same shapes and dtypes,
    in the same order.
    """
    _, world_size = get_dist_info()
    if world_size == 1:
        return
    with torch.no_grad():
        for tensor in tensors:
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.div_(world_size)
                dist.all_reduce(tensor)
            else:
                dist.broadcast(tensor, src=0)
