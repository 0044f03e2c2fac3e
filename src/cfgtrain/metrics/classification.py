"""Classification metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.metric import Metric
from cfgtrain.registries import METRICS

__all__ = ["Accuracy", "accuracy"]


@METRICS.register_module()
class Accuracy(Metric):
    """The top-1 accuracy, 0 to 1: the fraction of samples whose label has the highest score.

    The predictions are (B, num_classes) scores, the targets (B,) class indices.
    """

    def reset(self) -> None:
        """Forget all batches."""
        self.correct = self.samples = 0

    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch."""
        labels = np.asarray(self.targets_of(batch))
        self.correct += int((np.asarray(predictions).argmax(axis=1) == labels).sum())
        self.samples += len(labels)

    def compute(self) -> dict[str, float]:
        """Return ``accuracy``; it is NaN without samples."""
        return {"accuracy": self.correct / self.samples if self.samples else float("nan")}

    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other metrics."""
        for other in others:
            self.correct += other.correct
            self.samples += other.samples


def accuracy(scores: Sequence[Any], labels: Sequence[int]) -> float:
    """Return the top-1 accuracy, 0 to 1: the fraction of samples whose label has the highest score.

    Args:
        scores: N vectors with one score per class.
        labels: N class indices.

    Raises:
        ArgumentError: The numbers of scores and labels differ, or both are 0.
    """
    if len(scores) != len(labels) or not len(scores):
        raise ArgumentError(
            f"accuracy() needs one score vector per label, got {len(scores)} scores and {len(labels)} labels."
        )
    predicted = np.stack([np.asarray(score) for score in scores]).argmax(axis=1)  # (N,)
    return float((predicted == np.asarray(labels)).mean())
