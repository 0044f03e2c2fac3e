from __future__ import annotations

import pytest
import torch
from torch import nn

from cfgtrain.cnn import CrissCrossAttention
from cfgtrain.ops import criss_cross_attention


def test_attention_is_added() -> None:
    """At first the input is returned; then the attention of the convolutions is added."""
    layer = CrissCrossAttention(16)
    x = torch.randn(2, 16, 5, 6)
    assert torch.equal(layer(x), x)
    nn.init.constant_(layer.gamma.scale, 0.5)
    attention = criss_cross_attention(layer.query_conv(x), layer.key_conv(x), layer.value_conv(x))
    torch.testing.assert_close(layer(x), x + 0.5 * attention)


def test_parameters_and_repr() -> None:
    """The parameters have MMCV's names; queries and keys have an eighth of the channels, at least one."""
    layer = CrissCrossAttention(16)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {
        "query_conv.weight": (2, 16, 1, 1), "query_conv.bias": (2,), "key_conv.weight": (2, 16, 1, 1),
        "key_conv.bias": (2,), "value_conv.weight": (16, 16, 1, 1), "value_conv.bias": (16,), "gamma.scale": (),
    }  # fmt: skip
    assert CrissCrossAttention(4).query_conv.out_channels == 1
    assert repr(layer) == "CrissCrossAttention(in_channels=16)"


def test_no_channels() -> None:
    """A layer without channels is an error."""
    with pytest.raises(ValueError, match="in_channels must be at least 1"):
        CrissCrossAttention(0)
