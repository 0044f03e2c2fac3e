"""Merging of patches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from cfgtrain.cnn.bricks.transformer import PatchMerging
from cfgtrain.errors import ArgumentError


@pytest.mark.parametrize("padding", ["same", "corner", 0, 1])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(2, None, 1), (3, 2, 1), (2, 3, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_is_unfold_and_linear(
    padding: Any, kernel: int, stride: int | None, dilation: int, size: tuple[int, int]
) -> None:
    """The vectors of ``torch.nn.functional.unfold`` of the padded image are normalized and reduced."""
    torch.manual_seed(0)
    layer = PatchMerging(6, 5, kernel, stride, padding, dilation, bias=True)
    x = torch.rand(2, size[0] * size[1], 6)
    out, out_size = layer(x, size)

    step = stride or kernel
    image = x.reshape(2, *size, 6).permute(0, 3, 1, 2)
    pixels = padding
    if isinstance(padding, str):
        rows, columns = (max((-(-n // step) - 1) * step + (kernel - 1) * dilation + 1 - n, 0) for n in size)
        top, left = (rows // 2, columns // 2) if padding == "same" else (0, 0)
        image, pixels = functional.pad(image, (left, columns - left, top, rows - top)), 0
    groups = functional.unfold(image, kernel, dilation, pixels, step).transpose(1, 2)
    mean, variance = groups.mean(2, keepdim=True), groups.var(2, unbiased=False, keepdim=True)
    expected = functional.linear(
        (groups - mean) / (variance + 1e-5).sqrt(), layer.reduction.weight, layer.reduction.bias
    )
    torch.testing.assert_close(out, expected)
    height, width = ((n + 2 * pixels - dilation * (kernel - 1) - 1) // step + 1 for n in image.shape[2:])
    assert tuple(out_size) == (height, width)
    assert out.shape == (2, height * width, 5)


def test_groups_are_concatenated_channel_by_channel() -> None:
    """The order is that of ``torch.nn.Unfold``: all patches of the first channel, then those of the second."""
    layer = PatchMerging(2, 8, norm_cfg=None)
    torch.nn.init.eye_(layer.reduction.weight)
    x = torch.arange(8.0).reshape(1, 4, 2)  # patch p has the channels 2p and 2p + 1
    assert layer(x, (2, 2))[0].tolist() == [[[0, 2, 4, 6, 1, 3, 5, 7]]]


def test_names() -> None:
    """The parameters have the names of MMCV; the linear layer has no bias by default."""
    assert list(PatchMerging(2, 4).state_dict()) == ["norm.weight", "norm.bias", "reduction.weight"]
    assert PatchMerging(2, 4, norm_cfg=None).norm is None


def test_the_size_must_fit() -> None:
    """A size that is not a pair, or not that of the input, is an AssertionError that says what it has."""
    layer = PatchMerging(2, 4)
    x = torch.rand(1, 12, 2)
    assert layer(x, torch.Size((3, 4)))[1] == (2, 2)
    assert layer(x, [3, 4])[1] == (2, 2)
    with pytest.raises(AssertionError, match=r"input_size must be a pair \(H, W\), not 12"):
        layer(x, 12)
    with pytest.raises(ArgumentError, match=r"input_size is 3 \* 5 patches, but x has 12, not 15"):
        layer(x, (3, 5))


def test_an_empty_batch() -> None:
    """No image gives no vectors, of the right shape."""
    out, size = PatchMerging(2, 4, norm_cfg=None)(torch.rand(0, 15, 2), (3, 5))
    assert out.shape == (0, 6, 4)
    assert size == (2, 3)
