"""Padding an image so that a kernel reaches every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from cfgtrain.arguments import check_choice, check_pair
from cfgtrain.cnn.bricks.padding import same_padding

__all__ = ["AdaptivePadding"]

Size2d = int | Sequence[int]
Mode = Literal["same", "corner"]


class AdaptivePadding(nn.Module):
    """Pads (N, C, H, W) with zeros so that a kernel with a stride reaches every pixel.

    A convolution of the result has the size ceil(H / stride), ceil(W / stride).

    Args:
        kernel_size: Size of the kernel in pixels, an int or (rows, columns), like those that follow.
        stride: Its step.
        dilation: Distance of its taps.
        padding: ``"corner"`` pads the bottom and the right; ``"same"`` pads all sides, as the padding "SAME" of
            TensorFlow: if the number of rows or columns is odd, the additional one is at the bottom or right.

    Raises:
        ArgumentError: ``padding`` is neither of these, or a size is not a positive int or a pair of them.
    """

    def __init__(
        self, kernel_size: Size2d = 1, stride: Size2d = 1, dilation: Size2d = 1, padding: Mode = "corner"
    ) -> None:
        super().__init__()
        check_choice("padding", padding, ("same", "corner"))
        self.padding = padding
        self.kernel_size = positive_pair("kernel_size", kernel_size)
        self.stride = positive_pair("stride", stride)
        self.dilation = positive_pair("dilation", dilation)

    def get_pad_shape(self, input_shape: Sequence[int]) -> tuple[int, int]:
        """Return the number of rows and of columns to add to an image of the size (H, W)."""
        rows, columns = same_padding(input_shape, self.kernel_size, self.stride, self.dilation)
        return rows, columns

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded (N, C, H', W'), or ``x`` itself if nothing is added."""
        rows, columns = self.get_pad_shape(x.shape[-2:])
        if rows == columns == 0:
            return x
        top, left = (rows // 2, columns // 2) if self.padding == "same" else (0, 0)
        return nn.functional.pad(x, (left, columns - left, top, rows - top))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, dilation={self.dilation}, "
            f"padding={self.padding!r}"
        )


def positive_pair(name: str, value: Size2d, minimum: int = 1) -> tuple[int, int]:
    """Return an argument that is an int for both dimensions, or (rows, columns), as a pair.

    Args:
        name: Name of the argument.
        value: Its value.
        minimum: The least valid int.

    Raises:
        ArgumentError: It is neither, or less than ``minimum``.
    """
    rows, columns = check_pair(name, value, "(rows, columns)", integers=True, minimum=minimum)
    return int(rows), int(columns)


def split_padding(
    padding: Size2d | str, kernel_size: Size2d, stride: Size2d, dilation: Size2d
) -> tuple[AdaptivePadding | None, tuple[int, int]]:
    """Return the layer that pads before a kernel is applied, if any, and the padding of the kernel itself.

    Args:
        padding: Pixels on both sides, an int or (rows, columns), or a mode of ``AdaptivePadding``.
        kernel_size: Of the kernel, like those that follow; see ``AdaptivePadding``.
        stride: Its step.
        dilation: Distance of its taps.

    Raises:
        ArgumentError: ``padding`` is not valid.
    """
    if isinstance(padding, str):
        return AdaptivePadding(kernel_size, stride, dilation, padding), (0, 0)  # type: ignore[arg-type]  # it checks the mode
    return None, positive_pair("padding", padding, 0)


def output_size(
    size: Sequence[int],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, int]:
    """Return the (H', W') of what a kernel computes from an image of the size (H, W)."""
    rows, columns = (
        (length + 2 * p - d * (k - 1) - 1) // s + 1
        for length, k, s, p, d in zip(size, kernel_size, stride, padding, dilation, strict=True)
    )
    return rows, columns
