"""How the samples of a stream (an ``IterableDataset``) are shared by several workers."""

from __future__ import annotations

import inspect
from typing import Any

from torch.utils.data import IterableDataset

__all__ = ["shard_stream", "sharing_problem"]


def sharing_problem(dataset: Any, count: int) -> str | None:
    """Return what is wrong with reading a dataset in several workers, or None.

    In each worker there is a copy of the stream, which yields all samples unless it is told its share. Whether
    it divides its samples itself cannot be seen, so it must say so.

    Args:
        dataset: Any dataset; only a stream can have a problem.
        count: Number of workers in all processes of a run.
    """
    if count <= 1 or not isinstance(dataset, IterableDataset) or _sharing_streams(dataset) is not None:
        return None
    return (
        f"{type(dataset).__name__} is a stream (an IterableDataset) that does not say how {count} workers share it, "
        "so each worker would read all of its samples. Give it a method shard(index, count), which is called once "
        "in each worker with the number of the worker and of all workers, or set divides_itself = True if its "
        "__iter__ divides the samples. A single worker, workers_per_gpu=1, needs neither."
    )


def shard_stream(dataset: Any, index: int, count: int) -> None:
    """Tell a stream which share this worker reads, unless the stream divides its samples itself.

    Args:
        dataset: The stream, or a wrapper of streams.
        index: Number of the worker among all workers, from 0.
        count: Number of all workers.
    """
    for stream in _sharing_streams(dataset) or ():
        if not _divides_itself(stream):
            stream.shard(index=index, count=count)


def _sharing_streams(dataset: Any) -> list[Any] | None:
    """Return the streams that say how ``dataset`` is shared, or None if a part of it does not.

    They are the stream itself, or else the streams that it wraps, such as those of torch's ``ChainDataset``.
    """
    if not isinstance(dataset, IterableDataset):
        return None
    if _divides_itself(dataset) or _has_shard(dataset):
        return [dataset]
    several = getattr(dataset, "datasets", None)
    wrapped = list(several) if isinstance(several, (list, tuple)) else [getattr(dataset, "dataset", None)]
    found = [_sharing_streams(each) for each in wrapped]
    return None if None in found or not found else [stream for each in found for stream in each or ()]


def _divides_itself(stream: Any) -> bool:
    return getattr(stream, "divides_itself", False) is True


def _has_shard(stream: Any) -> bool:
    """Return whether a stream has a method ``shard(index, count)``; another library may use the name otherwise."""
    shard = getattr(stream, "shard", None)
    if not callable(shard):
        return False
    try:
        inspect.signature(shard).bind(index=0, count=1)
    except (TypeError, ValueError):
        return False
    return True
