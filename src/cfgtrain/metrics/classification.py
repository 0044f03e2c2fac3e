"""Numbers that say how good predictions are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgtrain.errors import ArgumentError

__all__ = ["accuracy"]


def accuracy(scores: Sequence[Any], labels: Sequence[int]) -> float:
    """Return the share of samples, 0 to 1, whose highest score is that of their label.

    Args:
        scores: N vectors of one score per class.
        labels: N class indices.

    Raises:
        ArgumentError: There are not as many scores as labels, or none at all.
    """
    if len(scores) != len(labels) or not len(scores):
        raise ArgumentError(
            f"Accuracy needs a score for each label: {len(scores)} scores, {len(labels)} labels."
        )
    predicted = np.stack([np.asarray(score) for score in scores]).argmax(axis=1)  # (N,)
    return float((predicted == np.asarray(labels)).mean())
