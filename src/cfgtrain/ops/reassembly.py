"""CARAFE: upsampling by weighted sums whose weights depend on the content."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError

__all__ = ["carafe"]


def carafe(
    features: Tensor, masks: Tensor, kernel_size: int, group_size: int = 1, scale_factor: int = 2
) -> Tensor:
    """Upsample by weighted sums (Wang et al., "CARAFE: Content-Aware ReAssembly of FEatures", 2019).

    Pixel (y, x) of the output is the sum of the K x K pixels of ``features`` around (y // S, x // S), zero
    outside the image, weighted by ``masks`` at (y, x). Additional memory is that of the output.

    Args:
        features: (N, C, H, W) float.
        masks: (N, G * K * K, S * H, S * W) float: for each group of channels, the weights of the K x K pixels
            row by row.
        kernel_size: K, odd.
        group_size: G, the number of groups; C is a multiple of it.
        scale_factor: S.

    Returns:
        (N, C, S * H, S * W).

    Raises:
        ArgumentError: The arguments do not fit each other.
    """
    kernel, groups, scale = kernel_size, group_size, scale_factor
    check_integer("kernel_size", kernel, 1)
    check_integer("group_size", groups, 1)
    check_integer("scale_factor", scale, 1)
    n, channels, height, width = features.shape
    if kernel % 2 == 0:
        raise ArgumentError(f"kernel_size must be odd, not {kernel}.", argument="kernel_size")
    if channels % groups:
        raise ArgumentError(
            f"group_size must divide the {channels} channels, which {groups} does not.", argument="group_size"
        )
    wanted = (n, groups * kernel * kernel, scale * height, scale * width)
    if masks.shape != wanted:
        raise ArgumentError(
            f"masks must have the shape {tuple(wanted)}, not {tuple(masks.shape)}.", argument="masks"
        )
    weights = masks.reshape(n, groups, kernel * kernel, 1, height, scale, width, scale).unbind(2)
    border = kernel // 2
    padded = nn.functional.pad(features, (border,) * 4)
    padded = padded.reshape(
        n, groups, channels // groups, *padded.shape[2:]
    )  # (N, G, C / G, H + K - 1, W + K - 1)
    out: Tensor | None = None
    for tap, weight in enumerate(weights):  # weight: (N, G, 1, H, S, W, S)
        row, column = divmod(tap, kernel)
        pixels = padded[..., row : row + height, column : column + width]
        pixels = pixels[..., :, None, :, None]  # (N, G, C / G, H, 1, W, 1)
        out = weight * pixels if out is None else torch.addcmul(out, weight, pixels)
    return out.reshape(n, channels, scale * height, scale * width)  # type: ignore[union-attr]
