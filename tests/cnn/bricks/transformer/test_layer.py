"""Layers of transformers, compared with formulas."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cfgtrain import Config
from cfgtrain.cnn.bricks.registry import ATTENTION
from cfgtrain.cnn.bricks.transformer import (
    FFN,
    BaseTransformerLayer,
    MultiheadAttention,
    build_transformer_layer,
)
from cfgtrain.errors import ArgumentError, ArgumentTypeError

L, S, B, C = 5, 7, 3, 8
ATTN = {"type": "MultiheadAttention", "embed_dims": C, "num_heads": 2}
ENCODER = ("self_attn", "norm", "ffn", "norm")
DECODER = ("self_attn", "norm", "cross_attn", "norm", "ffn", "norm")


def layer_of(*order: str, **settings: Any) -> BaseTransformerLayer:
    """Return a layer with random weights."""
    torch.manual_seed(0)
    settings = {"attn_cfgs": ATTN, "ffn_cfgs": {"feedforward_channels": 12}, **settings}
    layer = BaseTransformerLayer(operation_order=order, **settings)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    """Return random tensors."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def attend(
    layer: BaseTransformerLayer, i: int, query: Tensor, key: Tensor, value: Tensor, **masks: Any
) -> Tensor:
    """Return what an attention computes before it adds its input, by PyTorch's attention."""
    attention: Any = layer.attentions[i]
    return attention.attn(query, key, value, **masks)[0]


def feed(layer: BaseTransformerLayer, x: Tensor, i: int = 0) -> Tensor:
    """Return W2 relu(W1 x + b1) + b2."""
    weights = dict(layer.ffns[i].named_parameters())
    hidden = (x @ weights["layers.0.0.weight"].T + weights["layers.0.0.bias"]).clamp(min=0)
    return hidden @ weights["layers.1.weight"].T + weights["layers.1.bias"]


def test_encoder_layer() -> None:
    """With the normalizations last: x = LN(x + attention), x = LN(x + ffn)."""
    (x, pos), padding = tensors((L, B, C), (L, B, C)), torch.arange(L).expand(B, L) > 2
    layer = layer_of(*ENCODER)
    out = layer(x, query_pos=pos, query_key_padding_mask=padding, key_padding_mask=torch.zeros(9, 9))
    n = layer.norms
    h = n[0](x + attend(layer, 0, x + pos, x + pos, x, key_padding_mask=padding))
    torch.testing.assert_close(out, n[1](h + feed(layer, h)))


def test_decoder_layer() -> None:
    """Cross-attentions get key, value, their position and padding; self-attentions only those of the query."""
    x, key, value, pos, key_pos = tensors((L, B, C), (S, B, C), (S, B, C), (L, B, C), (S, B, C))
    own = torch.arange(L).expand(B, L) > 2
    other = torch.arange(S).expand(B, S) > 4
    masks = [torch.ones(L, L, dtype=torch.bool).triu(1), torch.eye(L, S, dtype=torch.bool)]
    layer = layer_of(*DECODER)
    out = layer(x, key, value, pos, key_pos, masks, own, other)
    n = layer.norms
    h = n[0](x + attend(layer, 0, x + pos, x + pos, x, attn_mask=masks[0], key_padding_mask=own))
    h = n[1](h + attend(layer, 1, h + pos, key + key_pos, value, attn_mask=masks[1], key_padding_mask=other))
    torch.testing.assert_close(out, n[2](h + feed(layer, h)))


def test_pre_norm_layer() -> None:
    """With a normalization first: x = x + attention(LN(x)), x = x + ffn(LN(x))."""
    x, key = tensors((L, B, C), (S, B, C))
    layer = layer_of("norm", "self_attn", "norm", "cross_attn", "norm", "ffn")
    assert layer.pre_norm
    n = layer.norms
    at = n[0](x)
    h = x + attend(layer, 0, at, at, at)
    h = h + attend(layer, 1, n[1](h), key, key)
    torch.testing.assert_close(layer(x, key, key), h + feed(layer, n[2](h)))


def test_a_feed_forward_network_does_not_replace_the_shortcut() -> None:
    """As in MMCV, with a normalization first, only attentions change what later results are added to."""
    (x,) = tensors((L, B, C))
    layer = layer_of("norm", "ffn", "norm", "self_attn")
    n = layer.norms
    h = n[1](x + feed(layer, n[0](x)))
    torch.testing.assert_close(layer(x), x + attend(layer, 0, h, h, h))


def test_pytorch_layers() -> None:
    """The layers compute what those of ``torch.nn`` do with the same weights."""
    x, memory = tensors((L, B, C), (S, B, C))
    for norm_first in (False, True):
        theirs = nn.TransformerDecoderLayer(C, 2, 12, 0.0, norm_first=norm_first)
        order = ("norm", "self_attn", "norm", "cross_attn", "norm", "ffn") if norm_first else DECODER
        layer = layer_of(*order)
        attentions: Any = layer.attentions
        attentions[0].attn.load_state_dict(theirs.self_attn.state_dict())
        attentions[1].attn.load_state_dict(theirs.multihead_attn.state_dict())
        ffn: Any = layer.ffns[0].layers
        ffn[0][0].load_state_dict(theirs.linear1.state_dict())
        ffn[1].load_state_dict(theirs.linear2.state_dict())
        for own, norm in zip(layer.norms, (theirs.norm1, theirs.norm2, theirs.norm3), strict=True):
            own.load_state_dict(norm.state_dict())
        torch.testing.assert_close(layer(x, memory, memory), theirs(x, memory))


def test_batch_first() -> None:
    """With the batch first, the result is the same, transposed."""
    x, key = tensors((L, B, C), (S, B, C))
    layer = layer_of(*DECODER)
    other = layer_of(*DECODER, batch_first=True)
    assert [a.batch_first for a in other.attentions] == [True, True]
    other.load_state_dict(layer.state_dict())
    out = other(x.transpose(0, 1), key.transpose(0, 1), key.transpose(0, 1))
    torch.testing.assert_close(out.transpose(0, 1), layer(x, key, key))


def test_masks() -> None:
    """One mask is for all attentions, with a warning if there are several; a list has one for each."""
    (x,) = tensors((L, B, C))
    mask = torch.ones(L, L, dtype=torch.bool).triu(1)
    layer = layer_of("self_attn", "self_attn", "norm", "ffn", "norm")
    with pytest.warns(UserWarning, match="same attn_mask for all its 2 attentions"):
        out = layer(x, attn_masks=mask)
    torch.testing.assert_close(out, layer(x, attn_masks=[mask, mask]))
    assert not torch.allclose(out, layer(x, attn_masks=[mask, None]))
    with pytest.raises(
        AssertionError, match="attn_masks must have a mask or None for each of the 2 attentions"
    ):
        layer(x, attn_masks=[mask])
    layer_of(*ENCODER)(x, attn_masks=mask)  # without a warning


def test_further_arguments_reach_the_attentions() -> None:
    """Keyword arguments are passed to the attentions, such as the points of a custom one."""

    @ATTENTION.register_module()
    class Custom(nn.Module):
        def __init__(self, embed_dims: int, batch_first: bool) -> None:
            super().__init__()
            self.embed_dims = embed_dims
            self.seen: dict[str, Any] = {}

        def forward(self, query: Tensor, key: Tensor, value: Tensor, identity: Any, **kwargs: Any) -> Tensor:
            self.seen = {"identity": identity, **kwargs}
            return query

    (x,) = tensors((L, B, C))
    layer = layer_of(*ENCODER, attn_cfgs={"type": "Custom", "embed_dims": C})
    layer(x, points=3)
    assert layer.attentions[0].seen == {
        "identity": None, "points": 3, "query_pos": None, "key_pos": None, "attn_mask": None, "key_padding_mask": None,
    }  # fmt: skip


def test_names_and_attributes() -> None:
    """The parts and the parameters have the names of MMCV."""
    layer = layer_of(*DECODER)
    assert {name.rpartition(".")[0] for name in layer.state_dict()} == {
        *(f"attentions.{i}.{part}" for i in (0, 1) for part in ("attn", "attn.out_proj")),
        *("ffns.0.layers.0.0", "ffns.0.layers.1", "norms.0", "norms.1", "norms.2"),
    }
    assert [a.operation_name for a in layer.attentions] == ["self_attn", "cross_attn"]
    assert (layer.embed_dims, layer.num_attn, layer.pre_norm, layer.batch_first) == (C, 2, False, False)
    assert (layer.operation_order, len(layer.ffns), len(layer.norms)) == (DECODER, 1, 3)
    assert all(isinstance(attention, MultiheadAttention) for attention in layer.attentions)


def test_configs_of_each_operation() -> None:
    """A list or tuple has a config for each operation; the same config gives modules of their own."""
    layer = layer_of(*ENCODER, attn_cfgs=(ATTN,), ffn_cfgs=[{"type": "FFN", "num_fcs": 3}])
    assert layer.ffns[0].num_fcs == 3
    layer = layer_of("self_attn", "ffn", "self_attn", "ffn")
    assert layer.attentions[0] is not layer.attentions[1]
    assert layer.ffns[0] is not layer.ffns[1]
    assert layer_of("self_attn", "norm", norm_cfg={"type": "LN", "eps": 0.5}).norms[0].eps == 0.5


def test_dims_of_the_network_are_filled_in() -> None:
    """Without ``embed_dims``, a feed-forward network has that of the attention, the default one too."""
    layer = BaseTransformerLayer(ATTN, operation_order=ENCODER)
    (ffn,) = layer.ffns
    assert isinstance(ffn, FFN)
    assert (ffn.embed_dims, ffn.feedforward_channels, ffn.num_fcs) == (C, 1024, 2)


def test_configs_are_not_changed() -> None:
    """No config of the caller and no default is changed, also by deprecated arguments."""
    attn, ffn, norm = dict(ATTN), {"type": "FFN", "act_cfg": {"type": "GELU"}}, {"type": "LN"}
    before = copy.deepcopy((attn, ffn, norm))
    with pytest.warns(DeprecationWarning):
        layer_of(*ENCODER, attn_cfgs=[attn], ffn_cfgs=ffn, norm_cfg=norm, batch_first=True, ffn_dropout=0.2)
    assert (attn, ffn, norm) == before
    with pytest.warns(DeprecationWarning):
        changed = BaseTransformerLayer(ATTN, operation_order=ENCODER, ffn_num_fcs=3, feedforward_channels=9)
    later = BaseTransformerLayer(ATTN, operation_order=ENCODER)
    assert (changed.ffns[0].num_fcs, changed.ffns[0].feedforward_channels) == (3, 9)
    assert (later.ffns[0].num_fcs, later.ffns[0].feedforward_channels) == (2, 1024)


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [("feedforward_channels", "feedforward_channels", 9), ("ffn_dropout", "ffn_drop", 0.2), ("ffn_num_fcs", "num_fcs", 3)],
)  # fmt: skip
@pytest.mark.parametrize("many", [False, True])
def test_deprecated_arguments(old: str, new: str, value: Any, many: bool) -> None:
    """Old arguments of the layer become those of its feed-forward networks, with a warning."""
    ffn = {"type": "FFN", "feedforward_channels": 12}
    with pytest.warns(DeprecationWarning, match=f"{old!r} .* use {new!r} in 'ffn_cfgs'"):
        layer = layer_of(*ENCODER, ffn_cfgs=[ffn] if many else ffn, **{old: value})
    found = layer.ffns[0]
    assert {"ffn_drop": found.layers[0][2].p, **vars(found)}[new] == value


def test_unknown_arguments_cause_a_warning() -> None:
    """An argument that is not used is not ignored in silence."""
    with pytest.warns(UserWarning, match="does not use the argument 'ffn_cfg'. Did you mean 'ffn_cfgs'"):
        layer_of(*ENCODER, ffn_cfg={"num_fcs": 3})


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (("self_attn", "norm", "fnn"), r"operation_order\[2\] must be .*, not 'fnn'. Did you mean 'ffn'"),
        (("norm", "ffn"), "must contain 'self_attn' or 'cross_attn'"),
        ((), "must contain 'self_attn' or 'cross_attn'"),
    ],
)
def test_invalid_orders(order: tuple[str, ...], message: str) -> None:
    """An unknown operation, or no attention, is an AssertionError."""
    with pytest.raises(AssertionError, match=message):
        layer_of(*order)


@pytest.mark.parametrize("order", [None, "self_attn", 3])
def test_the_order_is_a_list(order: Any) -> None:
    """What is not a list is a TypeError."""
    with pytest.raises(TypeError, match="operation_order must be a list of operations"):
        BaseTransformerLayer(ATTN, operation_order=order)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attn_cfgs": [ATTN, ATTN]}, "attn_cfgs has 2 configs, but operation_order has 1 attentions"),
        ({"attn_cfgs": None}, "attn_cfgs must be a config, or a list of them for the 1 attentions"),
        ({"ffn_cfgs": []}, "ffn_cfgs has 0 configs, but operation_order has 1 feed-forward networks"),
        ({"attn_cfgs": {**ATTN, "batch_first": True}}, "must be that of its layer, False, not True"),
        ({"ffn_cfgs": {"embed_dims": 9}}, "must be that of the attention, 8, not 9"),
    ],
)
def test_configs_must_fit(settings: dict[str, Any], message: str) -> None:
    """Configs that do not fit the order or each other are AssertionErrors."""
    with pytest.raises(AssertionError, match=message):
        layer_of(*ENCODER, **settings)
    if settings.get("attn_cfgs", 0) is None:
        with pytest.raises(ArgumentTypeError):
            layer_of(*ENCODER, **settings)


def test_errors_have_the_place_in_the_config(tmp_path: Path) -> None:
    """Errors about dims have the key path and the line of the wrong one, and say what would fit."""
    text = (
        "attn = dict(type='MultiheadAttention', embed_dims=8, num_heads=2)\n"
        "order = ('self_attn', 'self_attn', 'ffn')\n"
        "a = dict(type='BaseTransformerLayer', attn_cfgs=attn, operation_order=order,\n"
        "         ffn_cfgs=dict(type='FFN',\n"
        "                       embed_dims=9))\n"
        "b = dict(type='BaseTransformerLayer', operation_order=order, attn_cfgs=[attn, dict(attn,\n"
        "         embed_dims=6)])\n"
        "c = dict(type='BaseTransformerLayer', operation_order=order, attn_cfgs=dict(attn,\n"
        "         num_heads=3))\n"
    )
    (tmp_path / "config.py").write_text(text)
    cfg = Config.fromfile(tmp_path / "config.py")
    with pytest.raises(
        ArgumentError, match=r"that of the attention, 8, not 9.*[\s\S]*a\.ffn_cfgs\.embed_dims"
    ):
        build_transformer_layer(cfg.a)
    with pytest.raises(ArgumentError, match=r"first attention, 8, not 6[\s\S]*b\.attn_cfgs\[1\]\.embed_dims"):
        build_transformer_layer(cfg.b)
    with pytest.raises(ArgumentError, match="It can be 1, 2, 4 or 8") as caught:
        build_transformer_layer(cfg.c)
    assert "c.attn_cfgs.num_heads" in caught.value.__notes__[0]
