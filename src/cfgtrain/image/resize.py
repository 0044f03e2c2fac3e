"""Resize images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import cv2
import numpy as np

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array
from cfgtrain.image.backends import current_backend
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
        img: (H, W) or (H, W, C) array of uint8, int16, uint16, float32 or float64. Pillow only supports uint8.
        size: Target size (w, h) in pixels.
        return_scale: Whether to also return the scale factors of the width and the height.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``lanczos``. Pillow has ``box`` and
            ``hamming`` instead of ``area``, and always applies antialiasing when it reduces an image.
        out: (h, w) or (h, w, C) array of the dtype of ``img`` to which the result is written. Ignored by
            Pillow.
        backend: ``cv2`` or ``pillow``. By default it is the one set by ``use_backend`` if it is one of these,
            and otherwise ``cv2``.

    Returns:
        The resized image, (h, w) or (h, w, C), with the same dtype, or ``out`` if it is given. A channel axis
        of length 1 is kept. With ``return_scale``, a tuple (image, w_scale, h_scale).

    Raises:
        ArgumentError: The interpolation or backend is unknown, the size is not positive, or the backend
            cannot resize the image.
    """
    target = _checked_size(size)
    resize = _resize_pillow if _backend(backend) == "pillow" else _resize_cv2
    resized = resize(img, target, interpolation, out)
    if img.ndim == 3 and resized.ndim == 2:
        resized = resized[..., None]  # cv2 drops a channel axis of length 1
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
    """Return the size of an image after rescaling it with its aspect ratio kept.

    Args:
        old_size: Size (w, h) in pixels.
        scale: A scale factor, or the maximum lengths of the two edges in either order. In the latter case the
            image becomes as large as possible while its long edge is at most the larger value and its short
            edge at most the smaller one.
        return_scale: Whether to also return the scale factor.

    Returns:
        The new size (w, h), each rounded half up, so an edge can be 0 for a very small factor. With
        ``return_scale``, a tuple ((w, h), factor).

    Raises:
        ArgumentError: The resulting factor is not positive and finite.
        ArgumentTypeError: ``scale`` is neither a number nor a tuple of two.
    """
    width, height = old_size
    if isinstance(scale, tuple) and len(scale) == 2:
        factor = min(max(scale) / max(width, height), min(scale) / min(width, height))
    elif isinstance(scale, (int, float, np.number)):
        factor = float(scale)
    else:
        raise ArgumentTypeError(f"scale must be a number or a tuple of two maximum lengths, not {scale!r}.")
    if not 0 < factor < float("inf"):
        raise ArgumentError(f"scale must be positive and finite, not {scale!r}.")
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
        ArgumentTypeError: See ``rescale_size``.
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
        raise ArgumentError(f"size must be two positive integers (w, h), not {size!r}.")
    return int(size[0]), int(size[1])


def _backend(backend: str | None) -> str:
    if backend is None:
        current = current_backend()
        return current if current in _BACKENDS else "cv2"
    check_choice("backend", backend, _BACKENDS)
    return backend


def _check_interpolation(interpolation: str, known: Sequence[str], backend: str) -> None:
    if interpolation not in known:
        hint = suggest(str(interpolation), known)
        raise ArgumentError(
            f"With {backend}, interpolation must be one of {', '.join(known)}, not {interpolation!r}.{hint}"
        )


def _resize_cv2(img: Array, size: Size, interpolation: str, out: Array | None) -> Array:
    _check_interpolation(interpolation, list(_CV2), "cv2")
    try:
        resized = cv2.resize(img, size, dst=out, interpolation=_CV2[interpolation])
    except cv2.error as error:
        raise ArgumentError(
            f"An image of shape {img.shape} and dtype {img.dtype} cannot be resized to {size} with {interpolation}."
        ) from error
    if out is None:
        return resized
    if resized is not out:  # the array did not match, and OpenCV allocated another one
        out[...] = resized.reshape(out.shape)
    return out


def _resize_pillow(img: Array, size: Size, interpolation: str, out: Array | None) -> Array:
    from PIL import Image

    _check_interpolation(interpolation, _PILLOW, "pillow")
    if img.dtype != np.uint8:
        raise ArgumentError(f"With pillow, the dtype of an image must be uint8, not {img.dtype}.")
    resample = Image.Resampling[interpolation.upper()]
    single = img[..., 0] if img.ndim == 3 and img.shape[2] == 1 else img
    return np.array(Image.fromarray(single).resize(size, resample))
