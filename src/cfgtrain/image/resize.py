"""Resize images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import cv2
import numpy as np

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.backends import Array, check_backend, current_backend
from cfgtrain.suggestions import suggest

__all__ = ["imrescale", "imresize", "rescale_size"]

Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]
PillowInterpolation = Literal["nearest", "bilinear", "bicubic", "box", "lanczos", "hamming"]
ResizeBackend = Literal["cv2", "pillow"]
Size = tuple[int, int]

_CV2 = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
_PILLOW = ("nearest", "bilinear", "bicubic", "box", "lanczos", "hamming")
_BACKENDS = ("cv2", "pillow")


@overload
def imresize(
    img: Array,
    size: Sequence[int],
    return_scale: Literal[False] = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    out: Array | None = None,
    backend: ResizeBackend | None = None,
) -> Array: ...
@overload
def imresize(
    img: Array,
    size: Sequence[int],
    return_scale: Literal[True],
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    out: Array | None = None,
    backend: ResizeBackend | None = None,
) -> tuple[Array, float, float]: ...
def imresize(
    img: Array,
    size: Sequence[int],
    return_scale: bool = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    out: Array | None = None,
    backend: ResizeBackend | None = None,
) -> Array | tuple[Array, float, float]:
    """Resize an image to a given size.

    Args:
        img: (H, W) or (H, W, C), uint8, int16, uint16, float32 or float64; with Pillow uint8.
        size: Target (w, h) in pixels.
        return_scale: Also return the factors of the width and of the height.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``lanczos``; with Pillow,
            which always smooths when it shrinks, ``box`` and ``hamming`` instead of ``area``.
        out: (h, w) or (h, w, C), of the dtype of ``img``: where to write the result. Not with Pillow.
        backend: ``cv2`` or ``pillow``; by default what `use_backend` chose, or ``cv2`` where that
            resizes nothing.

    Returns:
        (h, w) or (h, w, C), same dtype, ``out`` itself where it is given; a channel axis of length
        one is kept. With ``return_scale`` a tuple (image, w scale, h scale).

    Raises:
        ArgumentError: An unknown interpolation or backend, a size that is not positive, or an image
            that the backend cannot resize.
    """
    target = _checked_size(size)
    resize = _resize_pillow if _backend(backend) == "pillow" else _resize_cv2
    resized = resize(img, target, interpolation, out)
    if img.ndim == 3 and resized.ndim == 2:
        resized = resized[..., None]  # cv2 drops a single channel
    if not return_scale:
        return resized
    return resized, target[0] / img.shape[1], target[1] / img.shape[0]


@overload
def rescale_size(
    old_size: Sequence[int], scale: float | tuple[float, float], return_scale: Literal[False] = False
) -> Size: ...
@overload
def rescale_size(
    old_size: Sequence[int], scale: float | tuple[float, float], return_scale: Literal[True]
) -> tuple[Size, float]: ...
def rescale_size(
    old_size: Sequence[int], scale: float | tuple[float, float], return_scale: bool = False
) -> Size | tuple[Size, float]:
    """Return the size that an image comes to when it is rescaled with its ratio kept.

    Args:
        old_size: (w, h) in pixels.
        scale: A factor, or the bounds of the two edges, in either order: the image becomes as large as
            it can be with its long edge within the larger bound and its short edge within the smaller.
        return_scale: Also return the factor.

    Returns:
        (w, h), each rounded half up, and so 0 where the factor is small enough; or ((w, h), factor).

    Raises:
        ArgumentError: The factor, or a bound, is not positive.
        ArgumentTypeError: The scale is neither a number nor a tuple of two.
    """
    width, height = old_size
    if isinstance(scale, tuple) and len(scale) == 2:
        factor = min(max(scale) / max(width, height), min(scale) / min(width, height))
    elif isinstance(scale, (int, float, np.number)):
        factor = float(scale)
    else:
        raise ArgumentTypeError(f"A scale is a number or a tuple of two bounds, not {scale!r}.")
    if not 0 < factor < float("inf"):
        raise ArgumentError(f"A scale is above 0 and finite, not {scale!r}.")
    new_size = _scaled(width, factor), _scaled(height, factor)
    return (new_size, factor) if return_scale else new_size


@overload
def imrescale(
    img: Array,
    scale: float | tuple[float, float],
    return_scale: Literal[False] = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> Array: ...
@overload
def imrescale(
    img: Array,
    scale: float | tuple[float, float],
    return_scale: Literal[True],
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> tuple[Array, float]: ...
def imrescale(
    img: Array,
    scale: float | tuple[float, float],
    return_scale: bool = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> Array | tuple[Array, float]:
    """Resize an image with its ratio kept; see `rescale_size` for the scale and `imresize` for the rest.

    An edge is at least one pixel long.

    Returns:
        (h, w) or (h, w, C), or (image, factor) with ``return_scale``.
    """
    height, width = img.shape[:2]
    (new_width, new_height), factor = rescale_size((width, height), scale, return_scale=True)
    resized = imresize(
        img, (max(new_width, 1), max(new_height, 1)), interpolation=interpolation, backend=backend
    )
    return (resized, factor) if return_scale else resized


def _scaled(edge: int, factor: float) -> int:
    return int(edge * factor + 0.5)


def _checked_size(size: Sequence[int]) -> Size:
    edges: list[object] = list(size)
    if len(edges) != 2 or not all(isinstance(edge, (int, np.integer)) and edge >= 1 for edge in edges):
        raise ArgumentError(f"A size is a positive (w, h) in whole pixels, not {size!r}.")
    return int(size[0]), int(size[1])


def _backend(backend: str | None) -> str:
    if backend is None:
        current = current_backend()
        return current if current in _BACKENDS else "cv2"
    check_backend(backend)
    if backend not in _BACKENDS:
        raise ArgumentError(f"Images are resized by {' or '.join(_BACKENDS)}, not by {backend!r}.")
    return backend


def _check_interpolation(interpolation: str, known: Sequence[str], backend: str) -> None:
    if interpolation not in known:
        hint = suggest(str(interpolation), known)
        raise ArgumentError(f"{backend} has no interpolation {interpolation!r}: {', '.join(known)}.{hint}")


def _resize_cv2(img: Array, size: Size, interpolation: str, out: Array | None) -> Array:
    _check_interpolation(interpolation, list(_CV2), "cv2")
    try:
        resized = cv2.resize(img, size, dst=out, interpolation=_CV2[interpolation])
    except cv2.error as error:
        raise ArgumentError(
            f"An image of shape {img.shape} and dtype {img.dtype} cannot be resized to {size} by {interpolation}."
        ) from error
    if out is None:
        return resized
    if resized is not out:  # it did not fit, and OpenCV has put the result elsewhere
        out[...] = resized.reshape(out.shape)
    return out


def _resize_pillow(img: Array, size: Size, interpolation: str, out: Array | None) -> Array:
    from PIL import Image

    _check_interpolation(interpolation, _PILLOW, "pillow")
    if img.dtype != np.uint8:
        raise ArgumentError(f"Pillow resizes images of dtype uint8, not {img.dtype}.")
    resample = Image.Resampling[interpolation.upper()]
    single = img[..., 0] if img.ndim == 3 and img.shape[2] == 1 else img
    return np.array(Image.fromarray(single).resize(size, resample))
