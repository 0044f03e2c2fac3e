"""A convolution whose padding depends on the size of its input."""

from __future__ import annotations

from torch import Tensor, nn

from cfgtrain.cnn.bricks.padding import same_padding
from cfgtrain.registries import CONV_LAYERS

__all__ = ["Conv2dAdaptivePadding"]

Size2d = int | tuple[int, int]


@CONV_LAYERS.register_module()
class Conv2dAdaptivePadding(nn.Conv2d):
    """A ``torch.nn.Conv2d`` with the padding "SAME" of TensorFlow.

    The output has the size ceil(H / stride), ceil(W / stride). If the number of rows or columns to add is odd,
    the additional one is added at the bottom or on the right.

    Args:
        in_channels: C_in of the input (N, C_in, H, W).
        out_channels: C_out of the output (N, C_out, H', W').
        kernel_size: As of ``torch.nn.Conv2d``, like those that follow.
        stride: Step of the kernel in pixels.
        padding: Not used; the padding follows from the size of the input.
        dilation: Distance of the taps of the kernel in pixels.
        groups: Number of groups of channels.
        bias: Whether a bias is added.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2d,
        stride: Size2d = 1,
        padding: Size2d | str = 0,
        dilation: Size2d = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in the base class
        """Convolve (N, C_in, H, W) to (N, C_out, ceil(H / stride), ceil(W / stride))."""
        rows, columns = same_padding(input.shape[-2:], self.kernel_size, self.stride, self.dilation)
        left, top = columns // 2, rows // 2
        padded = nn.functional.pad(input, (left, columns - left, top, rows - top))
        return super().forward(padded)
