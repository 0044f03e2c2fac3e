"""The base of metrics that count."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.metric import Metric

Counts = np.ndarray[Any, np.dtype[np.int64]]


class CountingMetric(Metric):
    """A metric that is computed from one array of counts.

    Attributes:
        counts: The counts of all batches, or None before the first one.
    """

    counts: Counts | None

    def reset(self) -> None:
        """Forget all batches."""
        self.counts = None

    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch.

        Raises:
            ArgumentError: The predictions or targets are not those that the metric needs, or their shapes do not match
                each other or those of earlier batches.
        """
        self._add(self.count(predictions, self.targets_of(batch)))

    @abstractmethod
    def count(self, predictions: Any, targets: Any) -> Counts:
        """Return the counts of a batch, whose shape depends only on the number of classes."""

    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other metrics."""
        for other in others:
            if other.counts is not None:
                self._add(other.counts)

    def _add(self, counts: Counts) -> None:
        if self.counts is not None and self.counts.shape != counts.shape:
            raise ArgumentError(
                f"{type(self).__name__} got predictions with {self._num_classes(counts)} classes after predictions with "
                f"{self._num_classes(self.counts)}."
            )
        self.counts = counts if self.counts is None else self.counts + counts

    @staticmethod
    def _num_classes(counts: Counts) -> int:
        return int(counts.shape[-1])
