from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import (
    CONV_LAYERS,
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    ConvTranspose3d,
    Linear,
    MaxPool2d,
    MaxPool3d,
    build_conv_layer,
)

CASES: list[tuple[type[nn.Module], type[nn.Module], tuple[int, ...], dict[str, Any], tuple[int, ...]]] = [
    (Conv2d, nn.Conv2d, (3, 5, 3), {"stride": 2, "padding": 1}, (3, 8, 9)),
    (Conv3d, nn.Conv3d, (3, 5, 3), {"dilation": 2}, (3, 6, 7, 8)),
    (ConvTranspose2d, nn.ConvTranspose2d, (3, 5, 3), {"stride": 2, "output_padding": 1}, (3, 4, 5)),
    (ConvTranspose3d, nn.ConvTranspose3d, (3, 5, 2), {"stride": 2}, (3, 4, 5, 2)),
    (MaxPool2d, nn.MaxPool2d, (3,), {"stride": 2, "ceil_mode": True}, (3, 8, 9)),
    (MaxPool3d, nn.MaxPool3d, (2,), {}, (3, 4, 6, 8)),
    (Linear, nn.Linear, (3, 5), {}, (3,)),
]


@pytest.mark.parametrize(("cls", "base", "args", "kwargs", "shape"), CASES)
def test_layers_of_pytorch(
    cls: type[nn.Module], base: type[nn.Module], args: Any, kwargs: Any, shape: tuple[int, ...]
) -> None:
    """The layer computes the same as PyTorch's; of an empty batch it returns an empty batch, with gradients."""
    layer, plain = cls(*args, **kwargs), base(*args, **kwargs)
    assert isinstance(layer, base)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, *shape)
    assert torch.equal(layer(x), plain(x))
    empty = layer(torch.randn(0, *shape, requires_grad=True))
    assert empty.shape == (0, *plain(x).shape[1:])
    empty.sum().backward()
    for parameter in layer.parameters():
        assert torch.equal(parameter.grad, torch.zeros_like(parameter))
    layer.eval()
    assert layer(torch.randn(0, *shape)).shape == empty.shape


def test_registered_names() -> None:
    """These names are the wrappers; ``Conv2d`` is PyTorch's layer itself."""
    wrappers = {"Conv": Conv2d, "Conv3d": Conv3d, "deconv": ConvTranspose2d, "deconv3d": ConvTranspose3d}
    wrappers |= {"ConvTranspose2d": ConvTranspose2d, "ConvTranspose3d": ConvTranspose3d}
    assert {name: CONV_LAYERS.get(name) for name in wrappers} == wrappers
    assert type(build_conv_layer({"type": "Conv2d"}, 3, 8, 2)) is nn.Conv2d
