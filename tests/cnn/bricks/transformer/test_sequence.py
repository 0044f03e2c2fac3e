"""Sequences of transformer layers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from cfgtrain.cnn.bricks.transformer import TransformerLayerSequence, build_transformer_layer_sequence
from cfgtrain.errors import ArgumentError

LAYER = {
    "type": "BaseTransformerLayer",
    "attn_cfgs": {"type": "MultiheadAttention", "embed_dims": 8, "num_heads": 2},
    "ffn_cfgs": {"feedforward_channels": 12},
    "operation_order": ("self_attn", "norm", "cross_attn", "norm", "ffn", "norm"),
}
ENCODER_LAYER = {**LAYER, "operation_order": ("norm", "self_attn", "norm", "ffn")}


def test_layers_are_applied_one_after_another() -> None:
    """Each layer gets the result of the one before as its query, and the same other arguments."""
    torch.manual_seed(0)
    x, key, value, pos, key_pos = (torch.randn(n, 3, 8) for n in (5, 7, 7, 5, 7))
    own = torch.arange(5).expand(3, 5) > 3
    other = torch.arange(7).expand(3, 7) > 4
    masks = [torch.eye(5, dtype=torch.bool), torch.eye(5, 7)]
    sequence = TransformerLayerSequence(LAYER, 3)
    expected = x
    for layer in sequence.layers:
        expected = layer(expected, key, value, pos, key_pos, masks, own, other)
    out = sequence(x, key, value, pos, key_pos, masks, own, other)
    assert torch.equal(out, expected)
    assert torch.equal(out, sequence(
        x, key=key, value=value, query_pos=pos, key_pos=key_pos, attn_masks=masks, query_key_padding_mask=own,
        key_padding_mask=other, points=1,
    ))  # fmt: skip


def test_one_config_gives_layers_of_their_own() -> None:
    """The layers share no parameters, and the config is not changed."""
    before = copy.deepcopy(LAYER)
    sequence = build_transformer_layer_sequence(
        {"type": "TransformerLayerSequence", "transformerlayers": LAYER, "num_layers": 6}
    )
    assert before == LAYER
    assert isinstance(sequence, TransformerLayerSequence)
    assert (len(sequence.layers), sequence.num_layers, sequence.embed_dims, sequence.pre_norm) == (
        6,
        6,
        8,
        False,
    )
    parameters = [p for layer in sequence.layers for p in layer.parameters()]
    assert len({id(p) for p in parameters}) == len(parameters)
    assert all(
        name.startswith(("layers.0.", "layers.1."))
        for name in TransformerLayerSequence(LAYER, 2).state_dict()
    )


def test_a_config_for_each_layer() -> None:
    """A list has a config for each layer; an encoder needs no key and no value."""
    sequence = TransformerLayerSequence([ENCODER_LAYER, {**ENCODER_LAYER, "ffn_cfgs": {"num_fcs": 3}}], 2)
    assert [layer.ffns[0].num_fcs for layer in sequence.layers] == [2, 3]
    assert sequence.pre_norm
    out: Tensor = sequence(torch.randn(5, 3, 8))
    assert out.shape == (5, 3, 8)


@pytest.mark.parametrize(
    ("layers", "number", "message"),
    [
        ([LAYER], 2, "transformerlayers has 1 configs, but num_layers is 2"),
        ((LAYER,), 1, "transformerlayers must be a config, or a list of 1 of them"),
        (None, 1, "transformerlayers must be a config, or a list of 1 of them, not None"),
        (LAYER, 0, "num_layers must be at least 1"),
        (LAYER, None, "num_layers must be an integer, not None"),
    ],
)
def test_invalid_arguments(layers: Any, number: Any, message: str) -> None:
    """A list of another length, a tuple and numbers below 1 are AssertionErrors."""
    with pytest.raises(AssertionError, match=message) as caught:
        TransformerLayerSequence(layers, number)
    assert isinstance(caught.value, ArgumentError)
