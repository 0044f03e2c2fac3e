from __future__ import annotations

import numpy as np
import pytest
import torch

from cfgtrain.data import accuracy
from cfgtrain.errors import ArgumentError


def test_accuracy_is_a_share() -> None:
    """The share of samples whose highest score is that of their label."""
    assert accuracy([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [1, 0, 0, 0]) == 0.75


def test_scores_may_be_arrays_or_tensors() -> None:
    """Vectors of any kind are taken."""
    assert accuracy([np.array([0, 1]), torch.tensor([1, 0])], [1, 1]) == 0.5
    assert isinstance(accuracy(np.eye(2), [0, 1]), float)


@pytest.mark.parametrize(("scores", "labels"), [([[1, 0]], [0, 1]), ([], [])])
def test_each_label_needs_a_score(scores: list[list[int]], labels: list[int]) -> None:
    """Another number of scores than labels, or none at all, is refused."""
    with pytest.raises(ArgumentError, match=f"{len(scores)} scores, {len(labels)} labels"):
        accuracy(scores, labels)
