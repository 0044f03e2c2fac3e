"""CARAFE against its formula."""

from __future__ import annotations

import pytest
import torch
from tensor_sizes import LargestTensor
from torch import Tensor
from torch.nn.functional import pad

from cfgtrain.errors import ArgumentError
from cfgtrain.ops import CARAFE, carafe


def by_formula(features: Tensor, masks: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    """Return each pixel of the output as a sum over the K x K pixels around its source."""
    n, channels, height, width = features.shape
    padded = pad(features, (kernel // 2,) * 4)
    out = torch.zeros(n, channels, scale * height, scale * width, dtype=features.dtype)
    for channel in range(channels):
        group = channel // (channels // groups)
        for y in range(scale * height):
            for x in range(scale * width):
                top, left = y // scale, x // scale
                window = padded[:, channel, top : top + kernel, left : left + kernel].flatten(1)
                weights = masks[:, group * kernel**2 : (group + 1) * kernel**2, y, x]
                out[:, channel, y, x] = (window * weights).sum(1)
    return out


def inputs(n: int, channels: int, size: tuple[int, int], kernel: int, groups: int, scale: int) -> tuple[Tensor, Tensor]:  # fmt: skip
    torch.manual_seed(0)
    features = torch.randn(n, channels, *size, dtype=torch.float64, requires_grad=True)
    masks = torch.randn(n, groups * kernel**2, scale * size[0], scale * size[1], dtype=torch.float64)
    return features, masks.requires_grad_()


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "groups", "scale"),
    [
        (2, (3, 4), 3, 1, 2),
        (4, (7, 3), 5, 2, 2),
        (3, (2, 2), 1, 3, 3),
        (2, (1, 5), 3, 1, 1),
        (2, (5, 1), 7, 2, 2),
    ],
)
def test_formula(channels: int, size: tuple[int, int], kernel: int, groups: int, scale: int) -> None:
    """Each pixel is the weighted sum of the pixels around its source, with zeros outside the image."""
    features, masks = inputs(2, channels, size, kernel, groups, scale)
    out = carafe(features, masks, kernel, groups, scale)
    torch.testing.assert_close(out, by_formula(features, masks, kernel, groups, scale))


def test_module() -> None:
    """The class computes what the function does, and checks its arguments when it is made."""
    features, masks = inputs(2, 4, (3, 2), 3, 2, 2)
    assert torch.equal(CARAFE(3, 2, 2)(features, masks), carafe(features, masks, 3, 2, 2))
    assert repr(CARAFE(3, 2, 2)) == "CARAFE(3, 2, 2)"
    with pytest.raises(ArgumentError, match="kernel_size must be odd, not 4"):
        CARAFE(4, 1, 2)


@pytest.mark.parametrize(("size", "kernel", "groups", "scale"), [((3, 1), 3, 2, 2), ((2, 3), 5, 1, 1)])
def test_gradients(size: tuple[int, int], kernel: int, groups: int, scale: int) -> None:
    """The first and second derivatives are those of finite differences."""
    args = inputs(1, 2, size, kernel, groups, scale)
    assert torch.autograd.gradcheck(lambda x, m: carafe(x, m, kernel, groups, scale), args)
    assert torch.autograd.gradgradcheck(lambda x, m: carafe(x, m, kernel, groups, scale), args)


def test_one_weight_is_nearest() -> None:
    """With all the weight on the middle of the kernel, it is nearest-neighbour upsampling."""
    features = torch.randn(1, 2, 3, 4)
    masks = torch.zeros(1, 9, 6, 8)
    masks[:, 4] = 1
    nearest = torch.nn.functional.interpolate(features, scale_factor=2, mode="nearest")
    torch.testing.assert_close(carafe(features, masks, 3), nearest)


def test_memory_does_not_grow_with_the_kernel() -> None:
    """No tensor with all windows of the image exists in the forward or backward pass."""
    features = torch.randn(1, 64, 32, 32, requires_grad=True)
    masks = torch.randn(1, 49, 64, 64, requires_grad=True)
    with LargestTensor() as largest:
        carafe(features, masks, 7).sum().backward()
    output = 64 * 64 * 64
    assert output <= largest.elements <= 2 * output  # all windows have 12 times as many


def test_dtypes_and_empty_batches() -> None:
    """A product of different dtypes has the wider one; a batch may be empty."""
    features, masks = inputs(1, 2, (2, 2), 3, 1, 2)
    assert carafe(features.bfloat16(), masks.float(), 3).dtype == torch.float32
    assert carafe(features.half(), masks.half(), 3).dtype == torch.float16
    empty = carafe(features[:0], masks[:0], 3)
    empty.sum().backward()
    assert empty.shape == (0, 2, 4, 4)


@pytest.mark.parametrize(
    ("kernel", "groups", "scale", "message"),
    [
        (2, 1, 2, "kernel_size must be odd, not 2"),
        (3, 2, 2, "group_size must divide the 3 channels"),
        (3, 1, 3, r"masks must have the shape \(1, 9, 6, 6\), not \(1, 9, 4, 4\)"),
        (5, 1, 2, r"masks must have the shape \(1, 25, 4, 4\)"),
        (3, 0, 2, "group_size must be at least 1"),
        (3, 1, 2.0, "scale_factor must be an integer"),
    ],
)
def test_arguments_that_do_not_fit(kernel: int, groups: int, scale: int, message: str) -> None:
    """Shapes that do not fit each other are an error that says what would."""
    with pytest.raises(ArgumentError, match=message):
        carafe(torch.zeros(1, 3, 2, 2), torch.zeros(1, 9, 4, 4), kernel, groups, scale)


def test_layers_of_mmcv() -> None:
    """MMCV's ``ops`` has the layers as well; other names do not exist."""
    import cfgtrain.ops
    from cfgtrain.cnn import CARAFEPack, CrissCrossAttention

    assert cfgtrain.ops.CARAFEPack is CARAFEPack
    assert cfgtrain.ops.CrissCrossAttention is CrissCrossAttention
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cfgtrain.ops.nothing
