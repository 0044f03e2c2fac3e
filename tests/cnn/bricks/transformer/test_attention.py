"""Multi-head attention, compared with that of PyTorch with the same weights."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cfgtrain import Config
from cfgtrain.cnn.bricks.drop import DropPath
from cfgtrain.cnn.bricks.transformer import MultiheadAttention, build_attention
from cfgtrain.errors import ArgumentError, ArgumentTypeError, BuildError

L, S, B, C, HEADS = 5, 7, 3, 8, 2


def sequences(*shapes: tuple[int, ...]) -> list[Tensor]:
    """Return random tensors."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def attention(**settings: Any) -> MultiheadAttention:
    """Return an attention with random weights, in which no parameter is 0."""
    torch.manual_seed(1)
    layer = MultiheadAttention(C, HEADS, **settings)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def formula(
    layer: MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, scores: Tensor | float = 0
) -> Tensor:
    """Return softmax(q k^T / sqrt(d) + scores) v for (L, B, C) tensors, computed head by head in float64."""
    attn = layer.attn
    weights: Any = attn.in_proj_weight.double().chunk(3)
    biases: Any = attn.in_proj_bias.double().chunk(3)
    heads = []
    q, k, v = (
        (x.double().transpose(0, 1) @ weight.T + bias).chunk(HEADS, dim=2)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    for i in range(HEADS):
        energy = q[i] @ k[i].transpose(1, 2) / math.sqrt(C // HEADS) + scores  # (B, L, S)
        heads.append(energy.softmax(dim=2) @ v[i])
    out = torch.cat(heads, dim=2) @ attn.out_proj.weight.double().T + attn.out_proj.bias.double()
    return out.transpose(0, 1).float()


def test_is_the_formula() -> None:
    """The result is the input plus the attention of the formula."""
    query, key, value = sequences((L, B, C), (S, B, C), (S, B, C))
    layer = attention()
    torch.testing.assert_close(layer(query, key, value), query + formula(layer, query, key, value))
    torch.testing.assert_close(layer(query), query + formula(layer, query, query, query))
    torch.testing.assert_close(layer(query, key), query + formula(layer, query, key, key))


MASKS: dict[str, Any] = {
    "none": None,
    "bool": torch.rand(L, S, generator=torch.Generator().manual_seed(2)) > 0.6,
    "float": torch.randn(L, S, generator=torch.Generator().manual_seed(2)),
    "bool of each head": torch.rand(B * HEADS, L, S, generator=torch.Generator().manual_seed(2)) > 0.6,
    "float of each head": torch.randn(B * HEADS, L, S, generator=torch.Generator().manual_seed(2)),
}
PADDING: dict[str, Any] = {
    "none": None,
    "bool": torch.arange(S).expand(B, S) >= torch.tensor([[7], [5], [4]]),
    "float": torch.randn(B, S, generator=torch.Generator().manual_seed(3)),
}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("training", [False, True])
def test_masks(mask: str, padding: str, batch_first: bool, training: bool) -> None:
    """All kinds of masks give what PyTorch's attention with the same weights and additive masks gives."""
    query, key, value = sequences((L, B, C), (S, B, C), (S, B, C))
    layer = attention(batch_first=batch_first).train(training)
    additive = [
        m if m is None or m.is_floating_point() else torch.zeros(m.shape).masked_fill(m, float("-inf"))
        for m in (MASKS[mask], PADDING[padding])
    ]
    reference = nn.MultiheadAttention(C, HEADS)
    reference.load_state_dict(layer.attn.state_dict())
    expected = query + reference(query, key, value, additive[1], True, additive[0])[0]

    inputs = [x.transpose(0, 1) if batch_first else x for x in (query, key, value)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = layer(*inputs, attn_mask=MASKS[mask], key_padding_mask=PADDING[padding])
    torch.testing.assert_close(out.transpose(0, 1) if batch_first else out, expected)


def test_uint8_masks() -> None:
    """In uint8 masks, as code for old PyTorch has them, what is not 0 is masked."""
    query, key = sequences((L, B, C), (S, B, C))
    layer = attention()
    masks = {"attn_mask": MASKS["bool"], "key_padding_mask": PADDING["bool"]}
    as_bytes = {name: mask.to(torch.uint8) * 3 for name, mask in masks.items()}
    assert torch.equal(layer(query, key, **as_bytes), layer(query, key, **masks))


@pytest.mark.parametrize("name", ["attn_mask", "key_padding_mask"])
def test_other_masks(name: str) -> None:
    """A mask of another type is a TypeError that names the argument."""
    with pytest.raises(ArgumentTypeError, match=f"{name} must be bool, uint8 or float, not torch.int64"):
        attention()(torch.zeros(L, B, C), **{name: torch.zeros(L, L, dtype=torch.int64)})


def test_gradients() -> None:
    """Gradients of inputs and weights are those of PyTorch's attention."""
    query, key = (x.double().requires_grad_() for x in sequences((L, B, C), (S, B, C)))
    layer = attention().double()
    mask = MASKS["float"].double()
    reference = copy.deepcopy(layer.attn)
    inputs = (query, key, *layer.attn.parameters())
    own = torch.autograd.grad(layer(query, key, attn_mask=mask).square().sum(), inputs)
    out = query + reference(query, key, key, attn_mask=mask)[0]
    theirs = torch.autograd.grad(out.square().sum(), (query, key, *reference.parameters()))
    torch.testing.assert_close(own, theirs)


@pytest.mark.parametrize("batch_first", [False, True])
def test_positions(batch_first: bool) -> None:
    """Positions are added to queries and keys, never to values or to what the result is added to."""
    query, key, query_pos, key_pos = sequences((L, B, C), (S, B, C), (L, B, C), (S, B, C))
    layer = attention(batch_first=batch_first)

    def call(*tensors: Tensor, **named: Tensor) -> Tensor:
        if not batch_first:
            return layer(*tensors, **named)
        out: Tensor = layer(
            *(x.transpose(0, 1) for x in tensors), **{name: x.transpose(0, 1) for name, x in named.items()}
        )
        return out.transpose(0, 1)

    torch.testing.assert_close(
        call(query, key, query_pos=query_pos, key_pos=key_pos),
        query + formula(layer, query + query_pos, key + key_pos, key),
    )
    at = query + query_pos
    torch.testing.assert_close(call(query, query_pos=query_pos), query + formula(layer, at, at, query))
    torch.testing.assert_close(
        call(query, key_pos=query_pos), query + formula(layer, query, query + query_pos, query)
    )
    other = key[:L]  # of the shape of the queries, which have positions
    torch.testing.assert_close(
        call(query, other, query_pos=query_pos), query + formula(layer, at, other + query_pos, other)
    )


def test_missing_positions_of_keys() -> None:
    """If the positions of the queries do not fit the keys, these have none, with a warning."""
    query, key, query_pos = sequences((L, B, C), (S, B, C), (L, B, C))
    layer = attention()
    with pytest.warns(UserWarning, match="keys of MultiheadAttention have no positional encoding"):
        out = layer(query, key, query_pos=query_pos)
    torch.testing.assert_close(out, query + formula(layer, query + query_pos, key, key))


def test_identity() -> None:
    """The result is added to ``identity`` if it is given; ``residual`` is its deprecated name."""
    query, identity = sequences((L, B, C), (L, B, C))
    layer = attention()
    expected = identity + formula(layer, query, query, query)
    torch.testing.assert_close(layer(query, identity=identity), expected)
    with pytest.warns(DeprecationWarning, match="use 'identity'"):
        torch.testing.assert_close(layer(query, residual=identity), expected)
    with pytest.raises(AssertionError, match="both 'residual' and 'identity'"):
        layer(query, identity=identity, residual=identity)


def test_inputs_are_not_changed() -> None:
    """No input is changed, and further arguments of other attentions are ignored."""
    tensors = sequences((L, B, C), (L, B, C), (L, B, C))
    before = [x.clone() for x in tensors]
    attention()(tensors[0], query_pos=tensors[1], identity=tensors[2], reference_points=1)
    assert all(torch.equal(x, y) for x, y in zip(tensors, before, strict=True))


def test_channels_of_keys_and_values() -> None:
    """Keys and values may have other numbers of channels, as in PyTorch."""
    query, key, value = sequences((L, B, C), (S, B, 6), (S, B, 4))
    layer = attention(kdim=6, vdim=4, bias=False, add_bias_kv=True, add_zero_attn=True)
    expected = query + layer.attn(query, key, value)[0]
    torch.testing.assert_close(layer(query, key, value), expected)


def test_device_and_dtype() -> None:
    """The parameters can be made on another device and of another type, as in PyTorch."""
    layer = MultiheadAttention(C, HEADS, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float64)}


def test_dropout() -> None:
    """The three dropouts act in training alone; samples are dropped as a whole by DropPath with the batch first."""
    query = torch.ones(L, 64, C)
    for settings in (
        {"attn_drop": 0.5},
        {"proj_drop": 0.5},
        {"dropout_layer": {"type": "Dropout", "drop_prob": 0.5}},
    ):
        layer = attention(**settings)
        assert not torch.equal(layer(query), layer(query))
        layer.eval()
        assert torch.equal(layer(query), layer(query))
    dropped = attention(dropout_layer={"type": "DropPath", "drop_prob": 0.5}, batch_first=True)
    x = torch.ones(64, L, C)
    is_identity = (dropped(x) == x).flatten(1)
    assert torch.equal(is_identity.all(1), is_identity.any(1))
    assert 0 < is_identity.all(1).sum() < 64


def test_deprecated_dropout() -> None:
    """``dropout`` sets two probabilities, and changes neither the default nor the config of the caller."""
    cfg = {"type": "DropPath", "drop_prob": 0.1}
    with pytest.warns(DeprecationWarning, match="use 'attn_drop'"):
        layer = MultiheadAttention(C, HEADS, dropout=0.3, dropout_layer=cfg)
    assert (layer.attn.dropout, layer.dropout_layer.drop_prob) == (0.3, 0.3)
    assert isinstance(layer.dropout_layer, DropPath)
    assert cfg == {"type": "DropPath", "drop_prob": 0.1}
    with pytest.warns(DeprecationWarning):
        assert MultiheadAttention(C, HEADS, dropout=0.3).dropout_layer.p == 0.3
    later = MultiheadAttention(C, HEADS)
    assert (later.attn.dropout, later.dropout_layer.p) == (0.0, 0.0)
    with pytest.warns(DeprecationWarning):
        assert isinstance(
            MultiheadAttention(C, HEADS, dropout=0.3, dropout_layer=None).dropout_layer, nn.Identity
        )


def test_names_and_attributes() -> None:
    """The parameters have the names of MMCV, and the inner attention always takes (L, B, C)."""
    layer = attention(batch_first=True)
    assert list(layer.state_dict()) == [
        "attn.in_proj_weight",
        "attn.in_proj_bias",
        "attn.out_proj.weight",
        "attn.out_proj.bias",
    ]
    assert (layer.embed_dims, layer.num_heads, layer.batch_first) == (C, HEADS, True)
    assert layer.attn.batch_first is False
    assert isinstance(layer.proj_drop, nn.Dropout)


def test_no_attention_weights_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attention is one call of ``scaled_dot_product_attention``."""
    called = []
    original = nn.functional.scaled_dot_product_attention

    def seen(*args: Any, **kwargs: Any) -> Tensor:
        called.append(args[0].shape)
        return original(*args, **kwargs)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", seen)
    attention()(torch.zeros(L, B, C))
    assert called == [(B, HEADS, L, C // HEADS)]


@pytest.mark.parametrize("heads", [0, -1, 3, 16])
def test_heads_must_fit(heads: int, tmp_path: Path) -> None:
    """An error of a config has the key path and says what fits."""
    (tmp_path / "config.py").write_text(
        f"model = dict(attn=dict(type='MultiheadAttention', embed_dims=8,\n num_heads={heads}))"
    )
    cfg = Config.fromfile(tmp_path / "config.py").model.attn
    with pytest.raises(ArgumentError, match="num_heads must") as caught:
        build_attention(cfg)
    assert caught.value.argument == ("num_heads",)
    assert "model.attn.num_heads" in caught.value.__notes__[0]
    assert "config.py:2" in caught.value.__notes__[0]
    if heads > 0:
        assert "1, 2, 4 or 8" in str(caught.value)


def test_misspelled_arguments() -> None:
    """An unknown argument is an error that suggests the right one."""
    with pytest.raises(BuildError, match="Did you mean 'attn_drop'"):
        build_attention({"type": "MultiheadAttention", "embed_dims": 8, "num_heads": 2, "atn_drop": 0.1})


@pytest.mark.parametrize("shape", [(0, B, C), (L, 0, C), (1, 1, C)])
def test_empty_sequences_and_batches(shape: tuple[int, ...]) -> None:
    """Sequences without elements and batches without samples keep their shape."""
    assert attention()(torch.zeros(shape)).shape == shape


@pytest.mark.parametrize("name", ["attn_drop", "proj_drop"])
@pytest.mark.parametrize("value", [-0.1, 2, None])
def test_invalid_probabilities(name: str, value: Any) -> None:
    """A probability that is not a number from 0 to 1 is an error when the layer is built."""
    with pytest.raises(ArgumentError, match=f"{name} must be"):
        MultiheadAttention(8, 2, **{name: value})
