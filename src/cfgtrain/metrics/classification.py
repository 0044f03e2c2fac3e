"""Classification metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgtrain.errors import ArgumentError

__all__ = ["accuracy"]


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
