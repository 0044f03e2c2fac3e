from __future__ import annotations

import numpy as np
import pytest
import torch

from cfgtrain.data import accuracy
from cfgtrain.errors import ArgumentError


def test_accuracy() -> None:
    """The accuracy is the fraction of samples whose label has the highest score."""
    assert accuracy([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [1, 0, 0, 0]) == 0.75


def test_scores_may_be_arrays_or_tensors() -> None:
    """Score vectors may be lists, arrays or tensors."""
    assert accuracy([np.array([0, 1]), torch.tensor([1, 0])], [1, 1]) == 0.5
    assert isinstance(accuracy(np.eye(2), [0, 1]), float)


@pytest.mark.parametrize(("scores", "labels"), [([[1, 0]], [0, 1]), ([], [])])
def test_number_of_scores_and_labels(scores: list[list[int]], labels: list[int]) -> None:
    """Different numbers of scores and labels, or none at all, raise an error."""
    with pytest.raises(ArgumentError, match=f"{len(scores)} scores and {len(labels)} labels"):
        accuracy(scores, labels)
