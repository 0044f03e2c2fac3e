from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from cfgtrain.cnn import ConvAWS2d, ConvModule, ConvWS2d, conv_ws_2d
from cfgtrain.errors import ArgumentError


def standardized(weight: Tensor, eps: float) -> Tensor:
    filters = [(each - each.mean()) / (each.std() + eps) for each in weight]
    return torch.stack(filters)


@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_standardized_filters(eps: float) -> None:
    """Each filter has mean 0 and standard deviation 1, if eps is small."""
    x, weight, bias = torch.randn(2, 4, 6, 6), torch.randn(8, 2, 3, 3), torch.randn(8)
    expected = conv2d(x, standardized(weight, eps), bias, 2, 1, 1, 2)
    torch.testing.assert_close(conv_ws_2d(x, weight, bias, 2, 1, 1, 2, eps), expected)
    layer = ConvWS2d(4, 8, 3, stride=2, padding=1, groups=2, eps=eps)
    layer.load_state_dict({"weight": weight, "bias": bias})
    torch.testing.assert_close(layer(x), expected)


def test_padding_modes() -> None:
    """The padding of PyTorch's convolution works: circular, and as a str."""
    x = torch.randn(2, 4, 6, 6)
    for cls in (ConvWS2d, ConvAWS2d):
        layer = cls(4, 8, 3, padding=1, padding_mode="circular")
        rolled = layer(x.roll(2, -1)).roll(-2, -1)
        torch.testing.assert_close(rolled, layer(x))
        assert cls(4, 8, 3, padding="same")(x).shape == (2, 8, 6, 6)


def test_a_filter_of_one_element_has_no_deviation() -> None:
    """It is an error, not NaN."""
    for cls in (ConvWS2d, ConvAWS2d):
        with pytest.raises(ArgumentError, match="needs filters of more than one element"):
            cls(4, 4, 1, groups=4)
    with pytest.raises(ArgumentError, match="needs filters of more than one element"):
        conv_ws_2d(torch.zeros(1, 1, 2, 2), torch.zeros(3, 1, 1, 1))


def test_adaptive_standardization() -> None:
    """The standardized filters are scaled by gamma and shifted by beta."""
    layer = ConvAWS2d(3, 4, 3)
    assert {name: tuple(buffer.shape) for name, buffer in layer.named_buffers()} == {
        "weight_gamma": (4, 1, 1, 1),
        "weight_beta": (4, 1, 1, 1),
    }
    nn.init.normal_(layer.weight_gamma)
    nn.init.normal_(layer.weight_beta)
    filters = [(w - w.mean()) / (w.var() + 1e-5).sqrt() for w in layer.weight]
    x = torch.randn(2, 3, 5, 5)
    expected = conv2d(x, layer.weight_gamma * torch.stack(filters) + layer.weight_beta, layer.bias)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("inside", [False, True])
def test_weights_of_a_plain_convolution(inside: bool) -> None:
    """Loaded with the weights of a Conv2d, it computes the same; nothing is missing."""
    plain, layer = nn.Conv2d(3, 4, 3), ConvAWS2d(3, 4, 3)
    source = nn.Sequential(plain) if inside else plain
    target = nn.Sequential(layer) if inside else layer
    state = source.state_dict()
    before = set(state)
    result = target.load_state_dict(state, strict=True)
    assert (result.missing_keys, result.unexpected_keys, set(state)) == ([], [], before)
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(layer(x), plain(x))


def test_own_weights() -> None:
    """Its own scale and shift are loaded as they were saved."""
    saved, layer = ConvAWS2d(3, 4, 3), ConvAWS2d(3, 4, 3)
    nn.init.normal_(saved.weight_gamma)
    nn.init.normal_(saved.weight_beta)
    layer.load_state_dict(saved.state_dict())
    assert torch.equal(layer.weight_gamma, saved.weight_gamma)
    assert torch.equal(layer.weight_beta, saved.weight_beta)


def test_a_weight_of_another_shape_is_an_error() -> None:
    """The usual errors of ``load_state_dict`` remain."""
    with pytest.raises(RuntimeError, match="size mismatch"):
        ConvAWS2d(3, 4, 3).load_state_dict(nn.Conv2d(3, 4, 5).state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        ConvAWS2d(3, 4, 3).load_state_dict({})


@pytest.mark.parametrize("name", ["ConvWS", "ConvAWS"])
def test_in_a_conv_module(name: str) -> None:
    """Both work as the convolution of a ConvModule, with explicit padding too."""
    for mode in ("zeros", "circular", "reflect"):
        module = ConvModule(
            3, 8, 3, padding=1, conv_cfg={"type": name}, norm_cfg={"type": "BN"}, padding_mode=mode
        )
        assert module(torch.randn(2, 3, 6, 6)).shape == (2, 8, 6, 6)
