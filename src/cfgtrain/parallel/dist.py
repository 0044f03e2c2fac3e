"""What one process of a training knows of the others."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist

__all__ = ["average_tensors", "get_dist_info", "is_main_process"]


def get_dist_info() -> tuple[int, int]:
    """Return the rank of this process and how many there are: (0, 1) where there is no group (MMCV name)."""
    if not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def is_main_process() -> bool:
    """Return whether this is the one process that writes checkpoints, logs and other files."""
    return get_dist_info()[0] == 0


def average_tensors(tensors: Iterable[Tensor]) -> None:
    """Replace tensors, in place and in every process, by their means over the processes.

    Tensors that hold no fractions, such as the counters of batch normalization, are not
    averaged but taken from the first process. All processes have to call this with tensors
    of the same shapes, in the same order.
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
