"""The feed-forward network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn.bricks.transformer import FFN, build_feedforward_network
from cfgtrain.errors import ArgumentError


def test_is_the_formula() -> None:
    """The result is x + W2 relu(W1 x + b1) + b2, for sequences and for images with the channels last."""
    ffn = FFN(8, 12)
    weights = dict(ffn.named_parameters())
    for shape in ((5, 2, 8), (2, 3, 4, 8), (8,), (0, 8)):
        x = torch.randn(shape)
        hidden = (x @ weights["layers.0.0.weight"].T + weights["layers.0.0.bias"]).clamp(min=0)
        expected = x + hidden @ weights["layers.1.weight"].T + weights["layers.1.bias"]
        torch.testing.assert_close(ffn(x), expected)


def test_more_layers_and_activations() -> None:
    """There may be more linear layers, all with the same activation module."""
    ffn = FFN(8, 12, num_fcs=3, act_cfg={"type": "PReLU"})
    linears = [m for m in ffn.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [(8, 12), (12, 12), (12, 8)]
    assert ffn.layers[0][1] is ffn.layers[1][1] is ffn.activate
    x = torch.randn(4, 8)
    hidden = x
    for linear in linears[:-1]:
        hidden = linear(hidden)
        hidden = torch.where(hidden < 0, 0.25 * hidden, hidden)
    torch.testing.assert_close(ffn(x), x + linears[-1](hidden))
    assert {"activate.weight", "layers.0.1.weight", "layers.1.1.weight"} <= set(ffn.state_dict())
    assert sum(p.numel() for p in ffn.parameters()) == 8 * 12 + 12 + 12 * 12 + 12 + 12 * 8 + 8 + 1


def test_names_and_attributes() -> None:
    """The parameters have the names of MMCV."""
    ffn = FFN()
    names = ["layers.0.0.weight", "layers.0.0.bias", "layers.1.weight", "layers.1.bias"]
    assert list(ffn.state_dict()) == names
    assert (ffn.embed_dims, ffn.feedforward_channels, ffn.num_fcs, ffn.add_identity) == (256, 1024, 2, True)
    assert isinstance(ffn.dropout_layer, nn.Identity)


def test_identity() -> None:
    """The result is added to ``identity``, or returned alone; ``residual`` is a deprecated name."""
    x, identity = torch.randn(2, 4, 8)
    ffn = FFN(8, 12)
    alone = ffn.layers(x)
    torch.testing.assert_close(ffn(x, identity), identity + alone)
    with pytest.warns(DeprecationWarning, match="use 'identity'"):
        torch.testing.assert_close(ffn(x, residual=identity), identity + alone)
    ffn.add_identity = False
    assert torch.equal(ffn(x, identity), alone)


def test_the_input_is_not_changed() -> None:
    """The activation, which works in place, does not change the input."""
    x = torch.randn(4, 8)
    before = x.clone()
    FFN(8, 12)(x)
    assert torch.equal(x, before)


def test_dropout() -> None:
    """``ffn_drop`` follows each linear layer, ``dropout_layer`` the last; both act in training alone."""
    ffn = FFN(8, 12, ffn_drop=0.3, dropout_layer={"type": "DropPath", "drop_prob": 0.5})
    assert [m.p for m in ffn.modules() if isinstance(m, nn.Dropout)] == [0.3, 0.3]
    x = torch.randn(64, 3, 8)
    kept = (ffn(x) != x).flatten(1).any(1)
    assert 0 < kept.sum() < 64
    ffn.eval()
    assert torch.equal(ffn(x), x + ffn.layers(x))


@pytest.mark.parametrize(
    ("old", "new", "value"), [("dropout", "ffn_drop", 0.3), ("add_residual", "add_identity", False)]
)
def test_deprecated_arguments(old: str, new: str, value: Any) -> None:
    """Old names of arguments are accepted with a warning, also from a config, but not together with the new ones."""
    with pytest.warns(DeprecationWarning, match=f"{old!r} of FFN.__init__ is deprecated: use {new!r}"):
        ffn = build_feedforward_network({"type": "FFN", "embed_dims": 8, old: value})
    assert (ffn.layers[0][2].p, ffn.add_identity) == ((0.3, True) if old == "dropout" else (0.0, False))
    with pytest.raises(ArgumentError, match="both"):
        FFN(8, **{old: value, new: value})


def test_unknown_arguments_cause_a_warning() -> None:
    """An argument that is not used is not ignored in silence."""
    with pytest.warns(UserWarning, match="does not use the argument 'fnn_drop'. Did you mean 'ffn_drop'"):
        FFN(8, fnn_drop=0.1)


@pytest.mark.parametrize("num_fcs", [1, 0, -1])
def test_at_least_two_layers(num_fcs: int) -> None:
    """Fewer than two linear layers are an AssertionError."""
    with pytest.raises(AssertionError, match=f"num_fcs must be at least 2, not {num_fcs}"):
        FFN(num_fcs=num_fcs)


def test_invalid_probability() -> None:
    """A probability that is not from 0 to 1 is an error."""
    with pytest.raises(ArgumentError, match="ffn_drop must be from 0 to 1, not 2"):
        FFN(ffn_drop=2)
