"""The sigmoid focal loss in MMCV's convention."""

from __future__ import annotations

import math

import pytest
import torch

from cfgtrain.ops import SigmoidFocalLoss, sigmoid_focal_loss


def naive(logits, targets, gamma, alpha, weight=None):
    """Return the loss of each class of each sample with a loop."""
    rows = []
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        of_sample = 1.0 if weight is None or target == len(row) else weight[target]
        losses = []
        for i, logit in enumerate(row):
            p = 1 / (1 + math.exp(-logit))
            of_class = -alpha * (1 - p) ** gamma * math.log(p)
            of_other = -(1 - alpha) * p**gamma * math.log(1 - p)
            losses.append(of_sample * (of_class if i == target else of_other))
        rows.append(losses)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 3.0]])
def test_the_loss_is_that_of_the_loop(weight: list[float] | None) -> None:
    """Class C is the background, the mean is over samples, and gradients are right."""
    logits = torch.linspace(-3, 3, 12, dtype=torch.float64).reshape(4, 3).requires_grad_()
    targets = torch.tensor([0, 3, 2, 1])
    given = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    expected = naive(logits, targets, 2.0, 0.25, weight)
    torch.testing.assert_close(sigmoid_focal_loss(logits, targets, 2.0, 0.25, given, "none"), expected)
    torch.testing.assert_close(sigmoid_focal_loss(logits, targets, weight=given), expected.sum() / 4)
    module = SigmoidFocalLoss(2.0, 0.25, given, "sum")
    torch.testing.assert_close(module(logits, targets), expected.sum())
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, targets, weight=given), logits)


def test_extreme_and_empty_inputs() -> None:
    """Large logits give finite losses, and no samples a loss of 0."""
    assert sigmoid_focal_loss(torch.tensor([[1e4, -1e4]]), torch.tensor([1])).isfinite()
    assert sigmoid_focal_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 0


def test_wrong_arguments() -> None:
    """Shapes and the reduction are checked."""
    with pytest.raises(ValueError, match="must be"):
        sigmoid_focal_loss(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="weight must be"):
        sigmoid_focal_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), weight=torch.ones(2))
    for target in (-1, 4):
        with pytest.raises(ValueError, match=rf"target must be from 0 to 3, not {target}"):
            sigmoid_focal_loss(torch.zeros(2, 3), torch.tensor([3, target]), weight=torch.ones(3))
    with pytest.raises(ValueError, match="reduction"):
        sigmoid_focal_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), reduction="avg")
