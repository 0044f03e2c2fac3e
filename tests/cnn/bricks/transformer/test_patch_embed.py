"""Images as sequences of patches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.cnn.bricks.transformer import PatchEmbed
from cfgtrain.errors import ArgumentError, UnknownNameError


def by_hand(layer: PatchEmbed, image: Tensor, stride: int, dilation: int, padding: Any) -> tuple[Tensor, Any]:
    """Return the vectors of the patches by the formulas, with the padding computed from ceil(size / stride)."""
    convolution: Any = layer.projection
    kernel = convolution.kernel_size[0]
    pixels = padding
    if isinstance(padding, str):
        height, width = image.shape[2:]
        rows, columns = (
            max((-(-n // stride) - 1) * stride + (kernel - 1) * dilation + 1 - n, 0) for n in (height, width)
        )
        top, left = (rows // 2, columns // 2) if padding == "same" else (0, 0)
        image = functional.pad(image, (left, columns - left, top, rows - top))
        pixels = 0
    out = functional.conv2d(image, convolution.weight, convolution.bias, stride, pixels, dilation)
    size = tuple(out.shape[2:])
    out = out.flatten(2).transpose(1, 2)
    if layer.norm is not None:
        out = functional.layer_norm(out, out.shape[2:], layer.norm.weight, layer.norm.bias, layer.norm.eps)
    return out, size


@pytest.mark.parametrize("padding", ["same", "corner", 0, 1, (1, 2)])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(4, 4, 1), (3, 2, 1), (3, 2, 2), (2, 5, 1)])
@pytest.mark.parametrize("norm_cfg", [None, {"type": "LN"}])
@pytest.mark.parametrize("size", [(12, 12), (9, 14)])
def test_is_a_convolution(
    padding: Any, kernel: int, stride: int, dilation: int, norm_cfg: Any, size: tuple[int, int]
) -> None:
    """The vectors are a convolution of the padded image, row by row, and the size of its output is returned."""
    torch.manual_seed(0)
    layer = PatchEmbed(
        3, 8, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation, norm_cfg=norm_cfg,
        input_size=size,
    )  # fmt: skip
    if layer.norm is not None:
        nn.init.normal_(layer.norm.weight)
    image = torch.rand(2, 3, *size)
    out, out_size = layer(image)
    expected, expected_size = by_hand(layer, image, stride, dilation, padding)
    torch.testing.assert_close(out, expected)
    assert tuple(out_size) == expected_size == layer.init_out_size
    assert layer.init_input_size == size
    assert out.shape == (2, expected_size[0] * expected_size[1], 8)


def test_arguments() -> None:
    """Without stride it is the size of the kernel; one number means both dimensions; the names are those of MMCV."""
    layer = PatchEmbed(kernel_size=(2, 4), stride=None, bias=False, embed_dims=6, input_size=8)
    assert layer.projection.stride == (2, 4)
    assert (layer.init_input_size, layer.init_out_size, layer.embed_dims) == ((8, 8), (4, 2), 6)
    assert list(layer.state_dict()) == ["projection.weight"]
    assert layer.norm is None
    assert list(PatchEmbed(norm_cfg={"type": "LN"}).state_dict()) == [
        "projection.weight",
        "projection.bias",
        "norm.weight",
        "norm.bias",
    ]
    unknown = PatchEmbed()
    assert unknown.init_input_size is unknown.init_out_size is None


def test_an_empty_batch() -> None:
    """No image gives no vectors, of the right shape."""
    out, size = PatchEmbed(embed_dims=8, norm_cfg={"type": "LN"})(torch.rand(0, 3, 20, 40))
    assert out.shape == (0, 6, 8)
    assert size == (2, 3)


def test_invalid_arguments() -> None:
    """Errors name the argument."""
    with pytest.raises(AssertionError, match="padding must be 'same' or 'corner'"):
        PatchEmbed(padding="none")
    with pytest.raises(ArgumentError, match="padding must be at least 0"):
        PatchEmbed(padding=-1)
    with pytest.raises(UnknownNameError, match="Conv2d"):
        PatchEmbed(conv_type="Conv2D")
