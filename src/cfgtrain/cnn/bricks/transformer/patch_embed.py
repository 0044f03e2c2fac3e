"""Images as sequences of patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cfgtrain.cnn.bricks.conv import build_conv_layer
from cfgtrain.cnn.bricks.norm import build_norm_layer
from cfgtrain.cnn.bricks.transformer.adaptive_padding import (
    Size2d,
    output_size,
    positive_pair,
    split_padding,
)
from cfgtrain.cnn.module import BaseModule

__all__ = ["PatchEmbed"]


class PatchEmbed(BaseModule):
    """Maps the patches of an image to vectors, by a convolution.

    From Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", 2020.
    The parameters are ``projection.*`` and, with a normalization, ``norm.*``.

    Args:
        in_channels: C_in of the images (B, C_in, H, W).
        embed_dims: C of the vectors.
        conv_type: Type of the convolution.
        kernel_size: Size of a patch in pixels, an int or (rows, columns), like those that follow.
        stride: Distance of the patches; None: ``kernel_size``.
        padding: Pixels that are added on both sides, or ``"corner"`` or ``"same"``, as many as needed; see
            ``AdaptivePadding``.
        dilation: Distance of the taps of the convolution.
        bias: Whether the convolution has a bias.
        norm_cfg: Config of the normalization of the vectors, or None.
        input_size: H and W of the images if they are known, an int or a pair; see ``init_out_size``.
        init_cfg: Config of the weight initialization.

    Raises:
        ArgumentError: A size or ``padding`` is invalid.

    Attributes:
        init_input_size: ``input_size`` as a pair, or None.
        init_out_size: The (H', W') that ``forward`` returns for images of this size, or None.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv2d",
        kernel_size: Size2d = 16,
        stride: Size2d | None = 16,
        padding: Size2d | str = "corner",
        dilation: Size2d = 1,
        bias: bool = True,
        norm_cfg: Mapping[str, Any] | None = None,
        input_size: Size2d | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        kernel = positive_pair("kernel_size", kernel_size)
        step = kernel if stride is None else positive_pair("stride", stride)
        spacing = positive_pair("dilation", dilation)
        self.adaptive_padding, pixels = split_padding(padding, kernel, step, spacing)
        self.projection = build_conv_layer(
            {"type": conv_type},
            in_channels=in_channels,
            out_channels=embed_dims,
            kernel_size=kernel,
            stride=step,
            padding=pixels,
            dilation=spacing,
            bias=bias,
        )
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1] if norm_cfg else None
        self.init_input_size: tuple[int, int] | None = None
        self.init_out_size: tuple[int, int] | None = None
        if input_size:
            size = self.init_input_size = positive_pair("input_size", input_size)
            if self.adaptive_padding is not None:
                rows, columns = self.adaptive_padding.get_pad_shape(size)
                size = (size[0] + rows, size[1] + columns)
            self.init_out_size = output_size(size, kernel, step, pixels, spacing)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Compute the vectors of the patches.

        Args:
            x: (B, C_in, H, W) float images.

        Returns:
            The vectors (B, H' * W', C), row by row, and (H', W'), the numbers of rows and columns of patches.
        """
        if self.adaptive_padding is not None:
            x = self.adaptive_padding(x)
        x = self.projection(x)  # (B, C, H', W')
        size = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)  # (B, H' * W', C)
        if self.norm is not None:
            x = self.norm(x)
        return x, size
