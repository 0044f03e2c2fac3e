"""CARAFE: upsampling by weighted sums whose weights depend on the content."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, pad

from cfgtrain.arguments import check_divisor, check_integer
from cfgtrain.errors import ArgumentError

__all__ = ["CARAFE", "carafe"]


def carafe(
    features: Tensor, masks: Tensor, kernel_size: int, group_size: int = 1, scale_factor: int = 2
) -> Tensor:
    """Upsample by weighted sums (Wang et al., "CARAFE: Content-Aware ReAssembly of FEatures", 2019).

    Pixel (y, x) of the output is the sum of the K x K pixels of ``features`` around (y // S, x // S), zero
    outside the image, weighted by ``masks`` at (y, x). The additional memory is about that of the output.

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
    _check_settings(kernel, groups, scale)
    n, channels, height, width = features.shape
    check_divisor("group_size", groups, channels, f"the {channels} channels")
    wanted = (n, groups * kernel * kernel, scale * height, scale * width)
    if masks.shape != wanted:
        raise ArgumentError(
            f"masks must have the shape {tuple(wanted)}, not {tuple(masks.shape)}.", argument="masks"
        )
    dtype = torch.promote_types(features.dtype, masks.dtype)
    out: Tensor = _Carafe.apply(  # type: ignore[no-untyped-call]
        features.to(dtype).reshape(n, groups, channels // groups, height, width),
        masks.to(dtype).reshape(n, groups, kernel * kernel, height, scale, width, scale),
    )  # (N, G, C / G, H, S, W, S)
    return out.reshape(n, channels, scale * height, scale * width)


class CARAFE(nn.Module):
    """The function ``carafe`` as a module. ``CARAFEPack`` also predicts the weights.

    Args:
        kernel_size: K, odd.
        group_size: G, the number of groups.
        scale_factor: S.

    Raises:
        ArgumentError: An argument is not a positive int, or ``kernel_size`` is even.
    """

    def __init__(self, kernel_size: int, group_size: int, scale_factor: int) -> None:
        super().__init__()
        _check_settings(kernel_size, group_size, scale_factor)
        self.kernel_size, self.group_size, self.scale_factor = kernel_size, group_size, scale_factor

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Return the upsampled features; see ``carafe``."""
        return carafe(features, masks, self.kernel_size, self.group_size, self.scale_factor)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.kernel_size}, {self.group_size}, {self.scale_factor}"


def _check_settings(kernel_size: int, group_size: int, scale_factor: int) -> None:
    check_integer("kernel_size", kernel_size, 1)
    check_integer("group_size", group_size, 1)
    check_integer("scale_factor", scale_factor, 1)
    if kernel_size % 2 == 0:
        raise ArgumentError(f"kernel_size must be odd, not {kernel_size}.", argument="kernel_size")


class _Carafe(torch.autograd.Function):
    """Works on some rows at a time, and keeps only its inputs for the backward pass.

    The letters in the formulas: n, g and c are the sample, the group and the channel in the group; y and w the
    pixel of the input; i and j that of the S x S pixels of the output; a and b the pixel of the kernel.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, masks: Tensor) -> Tensor:
        ctx.save_for_backward(features, masks)
        kernel, scale = math.isqrt(masks.shape[2]), masks.shape[4]
        n, groups, channels, height, width = features.shape
        padded = pad(features, (kernel // 2,) * 4)
        out = features.new_empty(n, groups, channels, height, scale, width, scale)
        for rows in _blocks(height, kernel, scale):
            pixels, weights = _windows(padded, rows, kernel), _weights(masks, rows, kernel)
            out[:, :, :, rows] = torch.einsum("ngcywab,ngabyiwj->ngcyiwj", pixels, weights)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        features, masks = ctx.saved_tensors
        kernel, scale = math.isqrt(masks.shape[2]), masks.shape[4]
        n, groups, channels, height, width = features.shape
        border = kernel // 2
        padded = pad(features, (border,) * 4)
        of_padded, of_masks = torch.zeros_like(padded), torch.empty_like(masks)
        for rows in _blocks(height, kernel, scale):
            grad = grads[0][:, :, :, rows]
            pixels, weights = _windows(padded, rows, kernel), _weights(masks, rows, kernel)
            of_masks[:, :, :, rows] = torch.einsum("ngcyiwj,ngcywab->ngabyiwj", grad, pixels).flatten(2, 3)
            of_windows = torch.einsum("ngcyiwj,ngabyiwj->ngcabyw", grad, weights)
            size = (rows.stop - rows.start + kernel - 1, width + kernel - 1)
            of_windows = of_windows.reshape(
                n, groups * channels * kernel * kernel, (rows.stop - rows.start) * width
            )
            of_block = fold(of_windows, size, kernel)
            of_padded[..., rows.start : rows.stop + kernel - 1, :] += of_block.reshape(
                n, groups, channels, *size
            )
        return of_padded[..., border : border + height, border : border + width], of_masks


def _blocks(height: int, kernel: int, scale: int) -> list[slice]:
    """Return blocks of rows whose K x K windows have at most about as many elements as the output."""
    step = max(height * scale * scale // (kernel * kernel), 1)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _windows(padded: Tensor, rows: slice, kernel: int) -> Tensor:
    """Return the K x K pixels around each pixel of some rows, (N, G, C / G, rows, W, K, K), a view."""
    return padded[..., rows.start : rows.stop + kernel - 1, :].unfold(3, kernel, 1).unfold(4, kernel, 1)


def _weights(masks: Tensor, rows: slice, kernel: int) -> Tensor:
    """Return the weights for some rows, (N, G, K, K, rows, S, W, S), a view."""
    n, groups, _, _, scale, width, _ = masks.shape
    return masks[:, :, :, rows].view(n, groups, kernel, kernel, rows.stop - rows.start, scale, width, scale)
