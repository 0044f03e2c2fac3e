from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cfgtrain.data import accuracy
from cfgtrain.errors import ArgumentError
from cfgtrain.metrics import Accuracy


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


def test_accuracy_of_batches() -> None:
    """Batches and merged metrics give the accuracy of all samples together."""
    first, second = Accuracy(), Accuracy(target=1)
    first.update(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), {"img": None, "gt_label": torch.tensor([0, 0])})
    second.update(np.array([[0.3, 0.7]]), (None, [1]))
    first.merge([second])
    assert first.compute() == {"accuracy": 2 / 3}
    first.reset()
    assert math.isnan(first.compute()["accuracy"])


def test_missing_targets() -> None:
    """A batch without the targets is an error that names its keys."""
    with pytest.raises(ArgumentError, match=r"a batch has 'img', 'gt_labels'.*Did you mean 'gt_labels'"):
        Accuracy(target="gt_labls").update(torch.ones(1, 2), {"img": None, "gt_labels": [0]})
    with pytest.raises(ArgumentError, match="'gt_label' or 'targets'"):
        Accuracy().update(torch.ones(1, 2), {"img": None})
