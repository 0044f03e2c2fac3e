"""Fewer and larger patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from cfgtrain.cnn.bricks.norm import build_norm_layer
from cfgtrain.cnn.bricks.transformer.adaptive_padding import (
    Size2d,
    output_size,
    positive_pair,
    split_padding,
)
from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = ["PatchMerging"]

_LN = {"type": "LN"}


class PatchMerging(BaseModule):
    """Merges neighboring patches.

    From Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", 2021. The vectors of
    a group of patches are concatenated, normalized and mapped to one vector. They are concatenated as by
    ``torch.nn.Unfold``, channel by channel, unlike in the code of the paper: its weights need to be permuted. The
    parameters are ``norm.*`` and ``reduction.*``.

    Args:
        in_channels: C of the vectors (B, H * W, C).
        out_channels: C' of the output (B, H' * W', C').
        kernel_size: Size of a group in patches, an int or (rows, columns), like those that follow.
        stride: Distance of the groups; None: ``kernel_size``.
        padding: Patches of zeros that are added on both sides, or ``"corner"`` or ``"same"``, as many as needed;
            see ``AdaptivePadding``.
        dilation: Distance of the patches of a group.
        bias: Whether the linear layer has a bias.
        norm_cfg: Config of the normalization, or None.
        init_cfg: Config of the weight initialization.

    Raises:
        ArgumentError: A size or ``padding`` is invalid.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2d = 2,
        stride: Size2d | None = None,
        padding: Size2d | str = "corner",
        dilation: Size2d = 1,
        bias: bool = False,
        norm_cfg: Mapping[str, Any] | None = _LN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        kernel = positive_pair("kernel_size", kernel_size)
        step = positive_pair("stride", stride) if stride else kernel
        spacing = positive_pair("dilation", dilation)
        self.adaptive_padding, pixels = split_padding(padding, kernel, step, spacing)
        self.sampler = nn.Unfold(kernel, spacing, pixels, step)
        group_dims = kernel[0] * kernel[1] * in_channels
        self.norm = build_norm_layer(norm_cfg, group_dims)[1] if norm_cfg else None
        self.reduction = nn.Linear(group_dims, out_channels, bias=bias)

    def forward(self, x: Tensor, input_size: Sequence[int]) -> tuple[Tensor, tuple[int, int]]:
        """Merge the patches.

        Args:
            x: (B, H * W, C) vectors of the patches, row by row.
            input_size: (H, W), the numbers of rows and columns of patches.

        Returns:
            The vectors (B, H' * W', C'), row by row, and (H', W').

        Raises:
            ArgumentError: ``input_size`` is not a pair, or not that of ``x``.
        """
        height, width = _size(input_size)
        batch, length, channels = x.shape
        if length != height * width:
            raise ArgumentError(
                f"input_size is {height} * {width} patches, but x has {length}, not {height * width}.",
                argument="input_size",
            )
        x = x.transpose(1, 2).reshape(batch, channels, height, width)
        if self.adaptive_padding is not None:
            x = self.adaptive_padding(x)
        sampler: Any = self.sampler
        size = output_size(
            x.shape[-2:], sampler.kernel_size, sampler.stride, sampler.padding, sampler.dilation
        )
        x = self.sampler(x).transpose(1, 2)  # (B, H' * W', C * rows * columns)
        if self.norm is not None:
            x = self.norm(x)
        return self.reduction(x), size


def _size(input_size: Any) -> tuple[int, int]:
    if not isinstance(input_size, Sequence) or len(input_size) != 2:
        raise ArgumentTypeError(
            f"input_size must be a pair (H, W), not {input_size!r}.", argument="input_size"
        )
    return input_size[0], input_size[1]
