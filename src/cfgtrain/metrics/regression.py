"""Metrics of predicted numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor

from cfgtrain.metrics.inputs import regression_pairs
from cfgtrain.metrics.metric import Metric
from cfgtrain.registries import METRICS

__all__ = ["MAE", "MSE", "R2", "RMSE"]


class _MeanError(Metric):
    """A function of the mean of an error over all values of all samples.

    The predictions and targets are (B,) or (B, ...) numbers. The sums are float64.
    """

    greater_is_better = False

    def reset(self) -> None:
        """Forget all batches."""
        self.total = 0.0
        self.values = 0

    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch.

        Raises:
            ArgumentError: A target is not finite, or the shapes do not match.
        """
        predicted, wanted = regression_pairs(type(self).__name__, predictions, self.targets_of(batch))
        self.total += float(self._errors(predicted - wanted).sum())
        self.values += wanted.numel()

    def compute(self) -> dict[str, float]:
        """Return the score; it is NaN without samples."""
        (name,) = self.score_names()
        return {name: self._score(self.total / self.values) if self.values else math.nan}

    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other metrics."""
        for other in others:
            self.total += other.total
            self.values += other.values

    def score_names(self) -> list[str]:
        """Return the name of the class in lower case."""
        return [type(self).__name__.lower()]

    @staticmethod
    def _errors(difference: Tensor) -> Tensor:
        return difference.square()

    @staticmethod
    def _score(mean: float) -> float:
        return mean


@METRICS.register_module()
class MAE(_MeanError):
    """The mean absolute error over all values of all samples; see ``MSE``."""

    @staticmethod
    def _errors(difference: Tensor) -> Tensor:
        return difference.abs()


@METRICS.register_module()
class MSE(_MeanError):
    """The mean squared error over all values of all samples.

    The predictions and targets are (B,) or (B, ...) numbers. The sums are float64.

    Args:
        target: As for ``Metric``.
    """


@METRICS.register_module()
class RMSE(_MeanError):
    """The square root of the mean squared error over all values of all samples; see ``MSE``."""

    @staticmethod
    def _score(mean: float) -> float:
        return math.sqrt(mean)


@METRICS.register_module()
class R2(Metric):
    """The coefficient of determination: 1 minus the squared error divided by the squared deviation from the mean.

    1 is best, and 0 is that of the mean of the targets as a prediction. Of several values per sample it is the mean
    of their scores. It is NaN if the targets are all equal. The sums are float64, and are kept relative to the mean,
    so that large targets lose no precision.

    Args:
        target: As for ``Metric``.
    """

    def reset(self) -> None:
        """Forget all batches."""
        self.samples = 0
        self.sums: tuple[Tensor, Tensor, Tensor] | None = (
            None  # mean, squared deviation, squared error; (num_values,)
        )

    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch.

        Raises:
            ArgumentError: A target is not finite, or the shapes do not match.
        """
        predicted, wanted = regression_pairs(type(self).__name__, predictions, self.targets_of(batch))
        if len(wanted):
            mean = wanted.mean(dim=0)
            deviation, error = ((wanted - other).square().sum(dim=0) for other in (mean, predicted))
            self._add(len(wanted), (mean, deviation, error))

    def compute(self) -> dict[str, float]:
        """Return ``r2``."""
        if self.sums is None:
            return {"r2": math.nan}
        _, deviation, error = self.sums
        scores = torch.where(deviation > 0, 1 - error / deviation, torch.nan)
        return {"r2": float(scores.mean())}

    def score_names(self) -> list[str]:
        """Return ``r2``."""
        return ["r2"]

    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other metrics."""
        for other in others:
            if other.sums is not None:
                self._add(other.samples, other.sums)

    def _add(self, samples: int, sums: tuple[Tensor, Tensor, Tensor]) -> None:
        """Add sums of other samples, by the parallel algorithm of Chan, Golub and LeVeque (1979)."""
        if self.sums is None:
            self.samples, self.sums = samples, sums
            return
        (mean, deviation, error), (other_mean, other_deviation, other_error) = self.sums, sums
        total = self.samples + samples
        shift = other_mean - mean
        between = shift.square() * (self.samples * samples / total)
        self.sums = mean + shift * samples / total, deviation + other_deviation + between, error + other_error
        self.samples = total
