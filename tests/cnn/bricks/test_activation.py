from __future__ import annotations

import pytest
import torch
from torch import nn

from cfgtrain.cnn import Clamp, HSigmoid, HSwish, Swish, build_activation_layer
from cfgtrain.errors import ArgumentError


@pytest.mark.parametrize("shape", [(3, 6), (1, 2, 0, 1)])
@pytest.mark.parametrize(("bias", "divisor", "low", "high"), [(3, 6, 0, 1), (1, 2, -0.5, 0.5)])
def test_hsigmoid(shape: tuple[int, ...], bias: float, divisor: float, low: float, high: float) -> None:
    """The hard sigmoid is its formula, and does not change its input."""
    x = torch.randn(shape) * 5
    before = x.clone()
    expected = ((x + bias) / divisor).clamp(low, high)
    assert torch.equal(HSigmoid(bias, divisor, low, high)(x), expected)
    assert torch.equal(x, before)


def test_hsigmoid_by_default_is_that_of_pytorch() -> None:
    """The default is relu6(x + 3) / 6; building it gives no warning."""
    x = torch.linspace(-5, 5, 50)
    torch.testing.assert_close(build_activation_layer({"type": "HSigmoid"})(x), nn.Hardsigmoid()(x))


def test_hsigmoid_needs_a_divisor() -> None:
    """A divisor of 0 is an error about that argument."""
    with pytest.raises(AssertionError, match="divisor must not be 0") as caught:
        HSigmoid(divisor=0)
    assert isinstance(caught.value, ArgumentError)
    assert caught.value.argument == ("divisor",)


@pytest.mark.parametrize("inplace", [True, False])
def test_hswish(inplace: bool) -> None:
    """The hard swish is that of PyTorch, and does not change its input."""
    layer = HSwish(inplace)
    assert layer.act.inplace is inplace
    x = torch.linspace(-5, 5, 50)
    before = x.clone()
    torch.testing.assert_close(layer(x), nn.Hardswish()(x))
    assert torch.equal(x, before)
    assert type(build_activation_layer({"type": "HSwish"})) is nn.Hardswish


def test_swish() -> None:
    """Swish is x * sigmoid(x)."""
    x = torch.randn(3, 4)
    torch.testing.assert_close(Swish()(x), x * x.sigmoid())


def test_silu_in_place() -> None:
    """PyTorch's SiLU can return the same tensor."""
    x = torch.randn(3, 4)
    assert build_activation_layer({"type": "SiLU", "inplace": True})(x) is x


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [({}, -1, 1), ({"min": -2}, -2, 1), ({"max": 0.5}, -1, 0.5), ({"min": 0, "max": 2}, 0, 2)],
)
@pytest.mark.parametrize("name", ["Clamp", "Clip"])
def test_clamp(name: str, settings: dict[str, float], low: float, high: float) -> None:
    """Elements are limited to [min, max], by default [-1, 1]."""
    layer = build_activation_layer({"type": name, **settings})
    assert isinstance(layer, Clamp)
    x = torch.randn(20, 20) * 3
    out = layer(x)
    assert (out.min(), out.max()) == (low, high)
    inside = (x >= low) & (x <= high)
    assert torch.equal(out[inside], x[inside])


def test_gelu_can_be_approximate() -> None:
    """Arguments of PyTorch's layers can be in the config."""
    assert build_activation_layer({"type": "GELU", "approximate": "tanh"}).approximate == "tanh"


def test_reprs_show_the_arguments() -> None:
    """The repr of a layer has its arguments."""
    assert repr(Clamp(0, 2)) == "Clamp(min=0, max=2)"
    assert repr(HSigmoid()) == "HSigmoid(bias=3.0, divisor=6.0, min_value=0.0, max_value=1.0)"
