"""Padding so that a kernel reaches every pixel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn.bricks.transformer import AdaptivePadding
from cfgtrain.errors import ArgumentError


@pytest.mark.parametrize(
    ("settings", "size", "expected"),
    [
        ({"kernel_size": 16, "stride": 16}, (15, 17), (16, 32)),
        ({"kernel_size": 16, "stride": 16}, (16, 17), (16, 32)),
        ({"kernel_size": 2, "stride": 2}, (11, 13), (12, 14)),
        ({"kernel_size": 2, "stride": 10}, (10, 13), (10, 13)),
        ({"kernel_size": 11, "stride": 10}, (11, 13), (21, 21)),
        ({"kernel_size": (4, 5), "stride": (3, 4), "dilation": 2}, (11, 13), (16, 21)),
        ({"kernel_size": [7, 9], "stride": [3, 4], "dilation": [1, 1]}, (11, 13), (16, 21)),
    ],
)
@pytest.mark.parametrize("mode", ["same", "corner"])
def test_size(settings: dict[str, Any], size: tuple[int, int], expected: tuple[int, int], mode: Any) -> None:
    """The padded size is the same in both modes; lists are accepted like tuples."""
    layer = AdaptivePadding(**settings, padding=mode)
    rows, columns = layer.get_pad_shape(size)
    assert (size[0] + rows, size[1] + columns) == expected
    assert layer(torch.rand(1, 1, *size)).shape[2:] == expected


@pytest.mark.parametrize(("mode", "top", "left"), [("corner", 0, 0), ("same", 1, 2)])
def test_sides(mode: Any, top: int, left: int) -> None:
    """``corner`` pads below and on the right, ``same`` all sides, the additional one below and on the right."""
    image = torch.rand(2, 3, 5, 6)
    padded = AdaptivePadding(kernel_size=(4, 6), padding=mode)(image)  # 3 more rows and 5 more columns
    expected = torch.zeros(2, 3, 8, 11)
    expected[:, :, top : top + 5, left : left + 6] = image
    assert torch.equal(padded, expected)


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (16, 16), (33, 5)])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(16, 16, 1), (3, 2, 1), (3, 2, 4), (2, 5, 1)])
def test_a_convolution_reaches_every_pixel(
    size: tuple[int, int], kernel: int, stride: int, dilation: int
) -> None:
    """A convolution of the padded image has ceil(H / stride) rows and ceil(W / stride) columns."""
    padded = AdaptivePadding(kernel, stride, dilation)(torch.rand(1, 1, *size))
    out = nn.Conv2d(1, 1, kernel, stride, dilation=dilation)(padded)
    assert out.shape[2:] == (-(-size[0] // stride), -(-size[1] // stride))


def test_an_image_that_fits_is_not_copied() -> None:
    """Without anything to add, the input itself is returned, so that there is no copy."""
    image = torch.rand(1, 3, 32, 16)
    assert AdaptivePadding(16, 16)(image) is image


def test_invalid_arguments() -> None:
    """An unknown mode and sizes below 1 are AssertionErrors and ValueErrors."""
    with pytest.raises(AssertionError, match="padding must be 'same' or 'corner', not 'corn'"):
        AdaptivePadding(padding="corn")
    with pytest.raises(ArgumentError, match="kernel_size must be at least 1, not 0"):
        AdaptivePadding(kernel_size=0)
    with pytest.raises(TypeError, match="stride"):
        AdaptivePadding(stride=1.5)


def test_repr_has_the_arguments() -> None:
    """The printed layer shows its arguments."""
    text = "AdaptivePadding(kernel_size=(2, 2), stride=(1, 3), dilation=(1, 1), padding='corner')"
    assert repr(AdaptivePadding(2, (1, 3))) == text
