"""Metrics of samples that belong to any number of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.counting import CountingMetric, Counts
from cfgtrain.metrics.inputs import multi_label_scores
from cfgtrain.registries import METRICS

__all__ = ["MultiLabelMAP"]

# Probabilities within exp(-_LIMIT) of 0 or 1 are in the outermost bins.
_LIMIT = 16.0


@METRICS.register_module()
class MultiLabelMAP(CountingMetric):
    """The mean average precision of multi-label predictions, 0 to 1.

    The predictions are (B, num_classes) probabilities, the targets (B, num_classes) with values 0 and 1. The average
    precision of a class is the sum of ``(R_n - R_{n-1}) * P_n`` over all thresholds n, with precision P and recall R.
    The mean is that of all classes with a positive sample.

    The probabilities are counted in bins, and those in one bin count as equal. The bins are spaced evenly in
    ``log(p / (1 - p))``, which 4,096 bins resolve to 0.8 %. The memory is ``16 * bins`` bytes per class (64 KiB by
    default), for any number of samples.

    Args:
        bins: Number of bins.
        target: As for ``Metric``.
    """

    def __init__(self, bins: int = 4096, target: str | int | None = None) -> None:
        self.bins = check_integer("bins", bins, 2)
        super().__init__(target)

    def count(self, predictions: Any, targets: Any) -> Counts:
        """Return the negative and the positive samples of each class by bin: (2, num_classes, bins).

        Raises:
            ArgumentError: A target is not 0 or 1, a prediction is not from 0 to 1, or the shapes do not match.
        """
        scores, wanted = multi_label_scores(type(self).__name__, predictions, targets)
        outside = ~((scores >= 0) & (scores <= 1))
        if bool(outside.any()):
            raise ArgumentError(
                f"{type(self).__name__} needs predictions that are probabilities, 0 to 1, and one of a batch is "
                f"{scores[outside][0].item():.6g}."
            )
        logits = torch.logit(scores.double()).clamp(-_LIMIT, _LIMIT).numpy()
        bins = (
            ((logits + _LIMIT) * (self.bins - 1) / (2 * _LIMIT)).round().astype(np.int64)
        )  # (B, num_classes)
        num_classes = bins.shape[1]
        places = (wanted.numpy() * num_classes + np.arange(num_classes)) * self.bins + bins
        counts = np.bincount(places.ravel(), minlength=2 * num_classes * self.bins)
        return counts.reshape(2, num_classes, self.bins)

    def compute(self) -> dict[str, float]:
        """Return ``mAP``; it is NaN if no class has a positive sample."""
        defined = [each for each in self.per_class().get("AP", ()) if each == each]
        return {"mAP": float(np.mean(defined)) if defined else float("nan")}

    def score_names(self) -> list[str]:
        """Return ``mAP``."""
        return ["mAP"]

    def per_class(self) -> dict[str, Sequence[float]]:
        """Return the number of positive samples, and the average precision."""
        if self.counts is None:
            return {}
        negative, positive = self.counts[:, :, ::-1].cumsum(axis=2)  # by falling threshold
        total = positive[:, -1:]
        with np.errstate(invalid="ignore"):
            precision = positive / (positive + negative)
            gained = np.diff(positive, axis=1, prepend=0) / total
        average = np.nansum(precision * gained, axis=1)
        average[total[:, 0] == 0] = np.nan
        return {"samples": total[:, 0].tolist(), "AP": average.tolist()}

    @staticmethod
    def _num_classes(counts: Counts) -> int:
        return int(counts.shape[1])
