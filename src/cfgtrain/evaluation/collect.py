"""Collect the results of all processes in the main process."""

from __future__ import annotations

from typing import Any

from torch import distributed as dist

from cfgtrain.parallel.dist import get_dist_info, one_per_share

__all__ = ["collect_results_cpu", "collect_results_gpu"]


def gather(value: Any) -> list[Any] | None:
    """Return the values of all processes, by rank, in the main process, otherwise None.

    Of several processes with the same share of the data only the first one counts.
    """
    rank, world_size = get_dist_info()
    if world_size == 1:
        return [value]
    values: list[Any] | None = [None] * world_size if rank == 0 else None
    dist.gather_object(value, values, dst=0)
    return None if values is None else one_per_share(values)


def collect_results_cpu(result_part: list[Any], size: int, tmpdir: str | None = None) -> list[Any] | None:
    """Collect the results of samples that were distributed to the processes in turn (MMCV name).

    Process r has the results of the samples r, r + world_size, and so on. The processes may have different
    numbers of them. Results beyond ``size`` are those of samples that a sampler added, and are removed.

    Args:
        result_part: The results of this process.
        size: Number of samples of the dataset.
        tmpdir: Accepted for compatibility with MMCV; results are sent in memory, and no shared folder is needed.

    Returns:
        In the main process the results in the order of the dataset; otherwise None.
    """
    parts = gather(result_part)
    if parts is None:
        return None
    longest = max(map(len, parts))
    return [part[i] for i in range(longest) for part in parts if i < len(part)][:size]


def collect_results_gpu(result_part: list[Any], size: int) -> list[Any] | None:
    """Do what ``collect_results_cpu`` does (MMCV name).

    The backend of the process group determines how the results are sent: nccl uses the memory of the GPUs.
    """
    return collect_results_cpu(result_part, size)
