from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import build_padding_layer


@pytest.mark.parametrize(
    ("name", "cls"),
    [("zero", nn.ZeroPad2d), ("reflect", nn.ReflectionPad2d), ("replicate", nn.ReplicationPad2d)],
)
@pytest.mark.parametrize(("padding", "shape"), [(2, (1, 3, 9, 10)), ((1, 2, 3, 0), (1, 3, 8, 9))])
def test_layers_of_pytorch(name: str, cls: type[nn.Module], padding: Any, shape: tuple[int, ...]) -> None:
    """The names are PyTorch's layers for images, with one padding or (left, right, top, bottom)."""
    layer = build_padding_layer({"type": name}, padding)
    assert type(layer) is cls
    x = torch.randn(1, 3, 5, 6)
    assert layer(x).shape == shape
    assert torch.equal(layer(x), cls(padding)(x))
    assert torch.equal(build_padding_layer({"type": name, "padding": padding})(x), layer(x))
