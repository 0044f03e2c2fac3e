from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, pad

from cfgtrain.cnn import build_conv_layer


@pytest.mark.parametrize(
    ("size", "stride", "expected"), [(28, 1, 28), (13, 1, 13), (28, 2, 14), (13, 2, 7), (5, 3, 2), (2, 4, 1)]
)
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (4, 1), (3, 2), (1, 1)])
def test_size(size: int, stride: int, expected: int, kernel: int, dilation: int) -> None:
    """The output has the size of the input divided by the stride, rounded up."""
    cfg = {"type": "Conv2dAdaptivePadding"}
    layer = build_conv_layer(cfg, 2, 3, kernel, stride=stride, padding=5, dilation=dilation)
    assert layer(torch.zeros(1, 2, size, size + 1)).shape == (1, 3, expected, -(-(size + 1) // stride))
    assert layer.padding == (0, 0)


def test_the_additional_pixel_is_on_the_right() -> None:
    """An odd number of pixels is padded with one more at the bottom and on the right."""
    layer = build_conv_layer({"type": "Conv2dAdaptivePadding"}, 1, 1, 4)
    x = torch.randn(1, 1, 5, 5)
    expected = conv2d(pad(x, (1, 2, 1, 2)), layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected)
