from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cfgtrain.cnn import ContextBlock
from cfgtrain.errors import ArgumentError


def by_formula(block: ContextBlock, x: Tensor) -> Tensor:
    n, channels, height, width = x.shape
    if block.pooling_type == "avg":
        context = x.mean((2, 3))
    else:
        energy = (x * block.conv_mask.weight[0]).sum(1) + block.conv_mask.bias
        weights = energy.reshape(n, -1).softmax(1).reshape(n, 1, height, width)
        context = (x * weights).sum((2, 3))

    def transformed(branch: Any) -> Tensor:
        first, norm, _, last = branch
        y = context @ first.weight.flatten(1).T + first.bias
        y = nn.functional.layer_norm(y, y.shape[1:]) * norm.weight.flatten() + norm.bias.flatten()
        return (y.relu() @ last.weight.flatten(1).T + last.bias).reshape(n, channels, 1, 1)

    out = x
    if block.channel_mul_conv is not None:
        out = out * transformed(block.channel_mul_conv).sigmoid()
    if block.channel_add_conv is not None:
        out = out + transformed(block.channel_add_conv)
    return out


@pytest.mark.parametrize("pooling", ["att", "avg"])
@pytest.mark.parametrize("fusion", [["channel_add"], ("channel_mul",), ("channel_add", "channel_mul")])
def test_formula(pooling: Any, fusion: Any) -> None:
    """The context is pooled, transformed, and multiplied and added."""
    block = ContextBlock(16, 0.25, pooling, fusion)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 16, 5, 6)
    torch.testing.assert_close(block(x), by_formula(block, x), rtol=1e-4, atol=1e-4)
    assert hasattr(block, "conv_mask") is (pooling == "att")
    assert (block.channel_add_conv is None) is ("channel_add" not in fusion)
    assert (block.channel_mul_conv is None) is ("channel_mul" not in fusion)


def test_initial_output() -> None:
    """At first the added context is 0, and the factor 1 / 2; also after it is initialized again."""
    x = torch.randn(2, 16, 5, 6)
    add = ContextBlock(16, 0.25)
    assert torch.equal(add(x), x)
    nn.init.normal_(add.channel_add_conv[3].weight)
    add.reset_parameters()
    assert torch.equal(add(x), x)
    assert torch.equal(ContextBlock(16, 0.25, fusion_types=["channel_mul"])(x), x / 2)


def test_names_and_shapes() -> None:
    """The parameters have MMCV's names."""
    block = ContextBlock(16, 0.25, fusion_types=("channel_mul", "channel_add"))
    assert (block.conv_mask.in_channels, block.conv_mask.out_channels, block.planes) == (16, 1, 4)
    branch = {"0.weight": (4, 16, 1, 1), "0.bias": (4,), "1.weight": (4, 1, 1), "1.bias": (4, 1, 1),
              "3.weight": (16, 4, 1, 1), "3.bias": (16,)}  # fmt: skip
    assert {name: tuple(value.shape) for name, value in block.state_dict().items()} == {
        "conv_mask.weight": (1, 16, 1, 1),
        "conv_mask.bias": (1,),
        **{f"channel_{kind}_conv.{name}": shape for kind in ("add", "mul") for name, shape in branch.items()},
    }
    assert ContextBlock(16, 1 / 32).planes == 1


@pytest.mark.parametrize("ratio", [0, -0.5, "1/4", None])
def test_invalid_ratio(ratio: Any) -> None:
    """A ratio that is not a positive number is an error."""
    with pytest.raises(ArgumentError, match="ratio must be"):
        ContextBlock(16, ratio)


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (("max", ("channel_add",)), "pooling_type"),
        (("att", ()), "fusion_types"),
        (("att", "channel_add"), "fusion_types"),
        (("att", ("channel_add", "add")), "fusion_types"),
        (("att", 1), "fusion_types"),
    ],
)
def test_invalid_arguments(args: Any, name: str) -> None:
    """An unknown way of pooling or fusion is an error about that argument."""
    with pytest.raises(AssertionError, match=f"{name} must") as caught:
        ContextBlock(16, 0.25, *args)
    assert isinstance(caught.value, ArgumentError)
    assert caught.value.argument == (name,)
