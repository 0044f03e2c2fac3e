from __future__ import annotations

import pytest
import torch
from torch import nn

from cfgtrain.cnn import Dropout, DropPath, build_dropout, drop_path
from cfgtrain.errors import ArgumentError


@pytest.mark.parametrize(("prob", "training"), [(0.0, True), (0.5, False), (1.0, False)])
def test_nothing_to_drop(prob: float, training: bool) -> None:
    """Without a probability or outside training, the input itself is returned."""
    x = torch.randn(4, 3)
    assert drop_path(x, prob, training) is x


def test_samples_are_dropped_as_a_whole() -> None:
    """A sample is zero or divided by the probability of keeping it; on average nothing changes."""
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3)
    out = drop_path(x, 0.25, True)
    kept = out[:, 0, 0] > 0
    assert torch.equal(out, (kept / 0.75)[:, None, None].expand_as(x))
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert out.mean().item() == pytest.approx(1, abs=0.04)


def test_all_samples_are_dropped() -> None:
    """With probability 1 the output is zero, even of infinite inputs, and so is the gradient."""
    x = torch.tensor([[1.0], [float("inf")]], requires_grad=True)
    out = drop_path(x, 1.0, True)
    assert torch.equal(out, torch.zeros(2, 1))
    out.sum().backward()
    assert torch.equal(x.grad, torch.zeros(2, 1))


def test_layers() -> None:
    """The layers drop in training only, with MMCV's name of the probability."""
    layer = build_dropout({"type": "DropPath", "drop_prob": 1.0})
    x = torch.randn(2, 3)
    assert torch.equal(layer(x), torch.zeros(2, 3))
    assert layer.eval()(x) is x
    assert repr(layer) == "DropPath(drop_prob=1.0)"
    assert DropPath().drop_prob == 0.1
    dropout = build_dropout({"type": "Dropout", "drop_prob": 0.3, "inplace": True})
    assert isinstance(dropout, nn.Dropout)
    assert (dropout.p, dropout.inplace, Dropout().p) == (0.3, True, 0.5)


@pytest.mark.parametrize("prob", [-0.1, 1.5, "0.5", float("nan")])
def test_a_probability_is_from_0_to_1(prob: float) -> None:
    """Another probability is an error about that argument."""
    for make in (DropPath, Dropout, lambda p: drop_path(torch.zeros(1), p)):
        with pytest.raises(ArgumentError, match="drop_prob must be") as caught:
            make(prob)
        assert caught.value.argument == ("drop_prob",)
