"""Resize images by a factor, up to maximum lengths, or to multiples of a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal, overload

from cfgtrain.arguments import check_numbers, check_pair, check_positive, count_items
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array, Numbers, check_image
from cfgtrain.image.resize import Interpolation, PillowInterpolation, ResizeBackend, Size, imresize

__all__ = ["imrescale", "imresize_to_multiple", "rescale_size"]


@overload
def rescale_size(
    old_size: Sequence[int], scale: float | Sequence[float], return_scale: Literal[False] = False
) -> Size: ...
@overload
def rescale_size(
    old_size: Sequence[int], scale: float | Sequence[float], return_scale: Literal[True]
) -> tuple[Size, float]: ...
def rescale_size(
    old_size: Sequence[int], scale: float | Sequence[float], return_scale: bool = False
) -> Size | tuple[Size, float]:
    """Return the size of an image after rescaling it with its aspect ratio kept.

    Args:
        old_size: Size (w, h) in pixels.
        scale: A scale factor, or the maximum lengths of the two edges in either order. In the latter case the
            image becomes as large as possible while its long edge is at most the larger value and its short
            edge at most the smaller one. One of the two lengths may be infinite.
        return_scale: Whether to also return the scale factor.

    Returns:
        The new size (w, h), each rounded half up, so an edge can be 0 for a very small factor. With
        ``return_scale``, a tuple ((w, h), factor).

    Raises:
        ArgumentError: The resulting factor is not positive and finite, or ``old_size`` is not positive.
        ArgumentTypeError: ``scale`` is neither a number nor a sequence of two.
    """
    width, height = check_numbers("old_size", old_size, 2, "(w, h)", minimum=1)
    factor = _factor(scale, width, height)
    new_size = _scaled(width, factor), _scaled(height, factor)
    return (new_size, factor) if return_scale else new_size


@overload
def imrescale(
    img: Array,
    scale: float | Sequence[float],
    return_scale: Literal[False] = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> Array: ...
@overload
def imrescale(
    img: Array,
    scale: float | Sequence[float],
    return_scale: Literal[True],
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> tuple[Array, float]: ...
def imrescale(
    img: Array,
    scale: float | Sequence[float],
    return_scale: bool = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> Array | tuple[Array, float]:
    """Resize an image with its aspect ratio kept. Each edge of the result has at least one pixel.

    Args:
        img: See ``imresize``.
        scale: See ``rescale_size``.
        return_scale: Whether to also return the scale factor.
        interpolation: See ``imresize``.
        backend: See ``imresize``.

    Returns:
        The resized image, (h, w) or (h, w, C). With ``return_scale``, a tuple (image, factor).

    Raises:
        ArgumentError: See ``rescale_size`` and ``imresize``.
        ArgumentTypeError: See ``rescale_size`` and ``imresize``.
    """
    height, width = check_image(img).shape[:2]
    factor = _factor(scale, width, height)
    size = max(_scaled(width, factor), 1), max(_scaled(height, factor), 1)
    resized = imresize(img, size, interpolation=interpolation, backend=backend)
    return (resized, factor) if return_scale else resized


@overload
def imresize_to_multiple(
    img: Array,
    divisor: int | Sequence[int],
    size: int | Sequence[int] | None = None,
    scale_factor: Numbers | None = None,
    keep_ratio: bool = False,
    return_scale: Literal[False] = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    out: Array | None = None,
    backend: ResizeBackend | None = None,
) -> Array: ...
@overload
def imresize_to_multiple(
    img: Array,
    divisor: int | Sequence[int],
    size: int | Sequence[int] | None = None,
    scale_factor: Numbers | None = None,
    keep_ratio: bool = False,
    *,
    return_scale: Literal[True],
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    out: Array | None = None,
    backend: ResizeBackend | None = None,
) -> tuple[Array, float, float]: ...
def imresize_to_multiple(
    img: Array,
    divisor: int | Sequence[int],
    size: int | Sequence[int] | None = None,
    scale_factor: Numbers | None = None,
    keep_ratio: bool = False,
    return_scale: bool = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    out: Array | None = None,
    backend: ResizeBackend | None = None,
) -> Array | tuple[Array, float, float]:
    """Resize an image to a given size or by a factor, with each edge rounded up to a multiple of a number.

    Args:
        img: See ``imresize``.
        divisor: The number, or one for each axis (w, h).
        size: Size (w, h) in pixels before rounding up, or one length for both edges.
        scale_factor: Scale factor before rounding up, or one for each axis (w, h). Exactly one of ``size`` and
            ``scale_factor`` is required.
        keep_ratio: Whether ``size`` gives the maximum lengths of the edges, as in ``rescale_size``. The aspect ratio
            can still change slightly by the rounding. Without effect with ``scale_factor``.
        return_scale: Whether to also return the scale factors of the width and the height, relative to ``img``.
        interpolation: See ``imresize``.
        out: See ``imresize``.
        backend: See ``imresize``.

    Returns:
        The resized image, (h, w) or (h, w, C), or ``out`` if it is given. With ``return_scale``, a tuple (image,
        w_scale, h_scale).

    Raises:
        ArgumentError: Not exactly one of ``size`` and ``scale_factor`` is given, a number is not positive, or see
            ``imresize``.
        ArgumentTypeError: An argument has a wrong type; see also ``imresize``.
    """
    height, width = check_image(img).shape[:2]
    columns, rows = check_pair("divisor", divisor, "(w, h)", integers=True, minimum=1)
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            "Exactly one of size and scale_factor is required, "
            f"not size={size!r} and scale_factor={scale_factor!r}.",
            argument="size",
        )
    if size is not None:
        new_width, new_height = check_pair("size", size, "(w, h)", integers=True, minimum=1)
        if keep_ratio:
            new_width, new_height = rescale_size((width, height), (new_width, new_height))
    else:
        factors = check_pair("scale_factor", scale_factor, "(w, h)")
        x, y = (check_positive("scale_factor", factor) for factor in factors)
        new_width, new_height = _scaled(width, x), _scaled(height, y)
    target = _round_up(new_width, columns), _round_up(new_height, rows)
    resized, x, y = imresize(img, target, True, interpolation, out, backend)
    return (resized, x, y) if return_scale else resized


def _factor(scale: Any, width: float, height: float) -> float:
    """Return the scale factor for the argument ``scale`` of ``rescale_size``."""
    if isinstance(scale, Real):
        return float(check_positive("scale", scale))
    if count_items(scale) != 2:
        raise ArgumentTypeError(
            f"scale must be a number or a pair of maximum lengths, not {scale!r}.", argument="scale"
        )
    lengths = check_numbers("scale", scale, 2)
    factor = min(max(lengths) / max(width, height), min(lengths) / min(width, height))
    if not 0 < factor < math.inf:
        raise ArgumentError(f"scale must be positive and finite, not {scale!r}.", argument="scale")
    return factor


def _scaled(edge: float, factor: float) -> int:
    return int(edge * factor + 0.5)


def _round_up(edge: float, divisor: float) -> int:
    """Return the least positive multiple of ``divisor`` that is at least ``edge``."""
    return int(max(-(-edge // divisor), 1) * divisor)
