"""Metrics of language models."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.inputs import class_scores
from cfgtrain.metrics.metric import Metric
from cfgtrain.registries import METRICS

__all__ = ["Perplexity"]


@METRICS.register_module()
class Perplexity(Metric):
    """The perplexity: ``exp`` of the mean of ``-log p`` over all targets, where p is the predicted probability.

    It is 1 for a perfect model, and the number of classes for one that guesses. The predictions are (B, T, V)
    probabilities, the targets (B, T) indices. The sums are float64.

    Args:
        target: As for ``Metric``.
        ignore_index: Targets with this index, such as padding, are left out.
    """

    greater_is_better = False

    def __init__(self, target: str | int | None = None, ignore_index: int | None = None) -> None:
        self.ignore_index = None if ignore_index is None else check_integer("ignore_index", ignore_index)
        super().__init__(target)

    def reset(self) -> None:
        """Forget all batches."""
        self.total = 0.0  # of -log p
        self.targets = 0

    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch.

        Raises:
            ArgumentError: The predictions are not probabilities, a target is not an index, or the shapes do not match.
        """
        name = type(self).__name__
        probabilities, wanted = class_scores(name, predictions, self.targets_of(batch), self.ignore_index)
        own = probabilities.gather(1, wanted[:, None]).cpu().double()
        outside = (own < 0) | (own > 1.001)  # a sum of rounded numbers may exceed 1
        if bool(outside.any()):
            raise ArgumentError(
                f"{name} needs predictions that are probabilities, 0 to 1, and one of a batch is "
                f"{own[outside][0].item():.6g}."
            )
        self.total -= float(own.log().sum())
        self.targets += len(own)

    def compute(self) -> dict[str, float]:
        """Return ``perplexity``; it is NaN without targets, and infinite if one has the probability 0."""
        if not self.targets:
            return {"perplexity": math.nan}
        mean = self.total / self.targets
        return {"perplexity": math.exp(mean) if mean < 700 else math.inf if mean == mean else math.nan}

    def score_names(self) -> list[str]:
        """Return ``perplexity``."""
        return ["perplexity"]

    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other metrics."""
        for other in others:
            self.total += other.total
            self.targets += other.targets
