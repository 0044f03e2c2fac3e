"""Copy the tensors of samples into a batch while it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["BatchRows"]

_LEAST_BYTES = 1 << 16  # of a tensor; copying a smaller one later costs less than looking at it now


class BatchRows:
    """The batches of large tensors, whose rows are filled as the samples are loaded.

    Stacking the tensors at the end would keep all samples in memory, besides the batch. Copied at once, the memory of
    a sample is in the cache of the CPU, and the next sample uses it again.

    Only tensors on the CPU that are values of a dict are copied. All others, and those whose shape or dtype differs
    from that of the first sample, stay in their samples.

    Args:
        size: Number of samples of the batch.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._batches: dict[Any, Tensor] = {}  # (size, *shape of the value)
        self._filled: dict[Any, int] = {}  # number of rows

    def take(self, sample: Any, row: int) -> Any:
        """Copy the large tensors of a sample, and return the sample with the rows in their place.

        Args:
            sample: The sample. It is not changed, as a dataset may keep it.
            row: Its position in the batch, 0-based; the samples come in order.
        """
        if type(sample) is not dict:
            return sample
        rows: dict[Any, Tensor] = {}
        for key, value in sample.items():
            if type(value) is not Tensor or value.nbytes < _LEAST_BYTES:
                continue
            if row == 0 and not value.requires_grad and value.layout is torch.strided and value.is_cpu:
                self._batches[key] = value.new_empty((self._size, *value.shape))
            batch = self._batches.get(key)
            if (
                batch is None
                or value.requires_grad
                or value.shape != batch.shape[1:]
                or value.dtype != batch.dtype
            ):
                continue
            rows[key] = batch[row].copy_(value)
            self._filled[key] = self._filled.get(key, 0) + 1
        return {**sample, **rows} if rows else sample

    def complete(self, samples: Sequence[Any]) -> dict[Any, Tensor]:
        """Return the batches of the keys whose tensors have all been copied."""
        return {key: batch for key, batch in self._batches.items() if self._filled.get(key) == len(samples)}
