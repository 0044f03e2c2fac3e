from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from cfgtrain.cnn import GeneralizedAttention
from cfgtrain.errors import ArgumentError

TYPES = ["".join(bits) for bits in itertools.product("01", repeat=4) if "1" in bits]


def embedding(layer: nn.Linear, distance: float, dim: int) -> Tensor:
    """Return the embedding of a distance in pixels in one dimension."""
    phases = [distance / 1000 ** (4 * k / dim) for k in range(dim // 4)]
    return layer(torch.tensor([*map(math.sin, phases), *map(math.cos, phases)])) / math.sqrt(2)


def by_formula(block: GeneralizedAttention, x: Tensor) -> Tensor:
    """Return the block with loops over queries and keys."""
    content, query_position, key_bias, position_bias = block.attention_type
    heads, dim = block.num_heads, block.qk_embed_dim
    at_queries, at_keys = (
        x[:, :, :: block.q_stride, :: block.q_stride],
        x[:, :, :: block.kv_stride, :: block.kv_stride],
    )
    n, _, h, w = at_queries.shape
    _, _, k, l = at_keys.shape  # noqa: E741
    value = block.value_conv(at_keys).reshape(n, heads, dim, k, l)
    query = block.query_conv(at_queries).reshape(n, heads, dim, h, w) if content or query_position else None
    key = block.key_conv(at_keys).reshape(n, heads, dim, k, l) if content or key_bias else None
    out = torch.zeros(n, heads, dim, h, w)
    for y, z in itertools.product(range(h), range(w)):
        energy = torch.zeros(n, heads, k, l)
        for i, j in itertools.product(range(k), range(l)):
            dy, dx = y * block.q_stride - i * block.kv_stride, z * block.q_stride - j * block.kv_stride
            if query_position or position_bias:
                scale = block.position_magnitude
                position = embedding(block.appr_geom_fc_y, dy * scale, block.position_embedding_dim)
                position = position + embedding(
                    block.appr_geom_fc_x, dx * scale, block.position_embedding_dim
                )
                position = position.reshape(heads, dim)
            if content:
                energy[..., i, j] += (query[..., y, z] * key[..., i, j]).sum(2)
            if query_position:
                energy[..., i, j] += (query[..., y, z] * position).sum(2)
            if key_bias:
                energy[..., i, j] += (block.appr_bias.reshape(heads, dim) * key[..., i, j]).sum(2)
            if position_bias:
                energy[..., i, j] += (block.geom_bias.reshape(heads, dim) * position).sum(1)
            if block.spatial_range >= 0:
                for pixel, index in ((y * block.q_stride, i), (z * block.q_stride, j)):
                    low = (pixel - block.spatial_range) // block.kv_stride
                    high = (pixel + block.spatial_range + 1) // block.kv_stride
                    if not low <= index <= high:
                        energy[..., i, j] = float("-inf")
        weights = energy.flatten(2).softmax(2)  # (N, heads, k * l)
        out[..., y, z] = torch.einsum("nmp,nmdp->nmd", weights, value.flatten(3))
    out = block.proj_conv(out.reshape(n, heads * dim, h, w))
    if block.q_stride > 1:
        out = nn.functional.interpolate(out, size=x.shape[2:], mode="bilinear", align_corners=False)
    return x + block.gamma * out


def check(block: GeneralizedAttention, x: Tensor) -> None:
    nn.init.constant_(block.gamma, 0.7)
    torch.testing.assert_close(block(x), by_formula(block, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spatial_range", [-1, 0, 1])
@pytest.mark.parametrize("attention_type", TYPES)
def test_formula(attention_type: str, spatial_range: int) -> None:
    """Every combination of terms is its formula, with and without a range."""
    torch.manual_seed(0)
    block = GeneralizedAttention(8, spatial_range, num_heads=3, attention_type=attention_type)
    check(block, torch.randn(2, 8, 4, 5))


@pytest.mark.parametrize(("kv_stride", "q_stride"), [(1, 1), (1, 2), (2, 2), (3, 2)])
@pytest.mark.parametrize("attention_type", ["1111", "0010"])
def test_strides(kv_stride: int, q_stride: int, attention_type: str) -> None:
    """Keys and queries can be at some of the pixels only."""
    torch.manual_seed(0)
    block = GeneralizedAttention(
        8, num_heads=2, position_embedding_dim=12, position_magnitude=2, kv_stride=kv_stride, q_stride=q_stride,
        attention_type=attention_type,
    )  # fmt: skip
    assert (block.q_downsample is None) is (q_stride == 1)
    assert (block.kv_downsample is None) is (kv_stride == 1)
    check(block, torch.randn(2, 8, 5, 4))
    ranged = GeneralizedAttention(
        8, 1, num_heads=2, kv_stride=kv_stride, q_stride=q_stride, attention_type="1000"
    )
    check(ranged, torch.randn(2, 8, 5, 4))


def test_it_returns_its_input_at_first() -> None:
    """At first the factor of the attention is 0."""
    x = torch.randn(2, 16, 6, 6)
    assert torch.equal(GeneralizedAttention(16)(x), x)


@pytest.mark.parametrize(
    ("attention_type", "names"),
    [
        ("1111", {"query_conv.weight", "key_conv.weight", "appr_geom_fc_x.weight", "appr_geom_fc_y.weight", "appr_bias", "geom_bias"}),
        ("1000", {"query_conv.weight", "key_conv.weight"}),
        ("0100", {"query_conv.weight", "appr_geom_fc_x.weight", "appr_geom_fc_y.weight"}),
        ("0010", {"key_conv.weight", "appr_bias"}),
        ("0001", {"appr_geom_fc_x.weight", "appr_geom_fc_y.weight", "geom_bias"}),
    ],
)  # fmt: skip
def test_parameters(attention_type: str, names: set[str]) -> None:
    """There are the parameters of the terms that are used, with MMCV's names."""
    block = GeneralizedAttention(16, attention_type=attention_type, num_heads=4)
    always = {"value_conv.weight", "proj_conv.weight", "proj_conv.bias", "gamma"}
    assert {name for name, _ in block.named_parameters()} == names | always
    bound = 1 / math.sqrt(2 * 4)
    for name in names & {"appr_bias", "geom_bias"}:
        assert block.get_parameter(name).shape == (16,)
        assert block.get_parameter(name).abs().max() <= bound
    bound = (3 / 16) ** 0.5
    assert 0.9 * bound < block.value_conv.weight.abs().max() <= bound


def test_a_range_works_for_every_number_of_channels_and_size() -> None:
    """The map of the range is computed for the size of the input, and is not saved."""
    block = GeneralizedAttention(12, spatial_range=3, num_heads=2)
    assert "local_constraint_map" not in block.state_dict()
    assert block(torch.randn(1, 12, 9, 100)).shape == (1, 12, 9, 100)
    forbidden = block.local_constraint_map(torch.Size((9, 8)), torch.Size((5, 4)), torch.device("cpu"))
    assert (forbidden.shape, forbidden.dtype) == ((9, 8, 5, 4), torch.bool)
    assert not forbidden[4, 4, 2, 2]
    assert forbidden[0, 0, 4, 0]


def test_the_map_of_mmcv_is_ignored() -> None:
    """A state dict may contain the map, alone or in a larger model; it is not changed."""
    block = GeneralizedAttention(12, spatial_range=3, num_heads=2)
    model = nn.Sequential(block)
    for target, prefix in ((block, ""), (model, "0.")):
        state = {**target.state_dict(), f"{prefix}local_constraint_map": torch.zeros(2, 2, dtype=torch.uint8)}
        target.load_state_dict(state, strict=True)
        assert f"{prefix}local_constraint_map" in state
    with pytest.raises(RuntimeError, match="Unexpected key"):
        block.load_state_dict({**block.state_dict(), "other": torch.zeros(1)})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention_type": "0000"}, "attention_type must be four digits"),
        ({"attention_type": "111"}, "attention_type must be four digits"),
        ({"attention_type": "1112"}, "attention_type must be four digits"),
        ({"attention_type": 1111}, "attention_type must be four digits 0 or 1 in a str"),
        ({"spatial_range": "3"}, "spatial_range must be an integer"),
        ({"kv_stride": 0}, "kv_stride must be at least 1"),
        ({"q_stride": [2, 2]}, "q_stride must be an integer"),
        ({"num_heads": 17}, "num_heads must be from 1 to 16, not 17"),
        ({"position_embedding_dim": 6}, "must be a multiple of 4, not 6"),
    ],
)
def test_invalid_arguments(settings: dict[str, object], message: str) -> None:
    """Arguments without meaning are errors."""
    with pytest.raises(ArgumentError, match=message):
        GeneralizedAttention(16, **settings)  # type: ignore[arg-type]
