"""Resize images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args, overload

import cv2
import numpy as np
from PIL import Image

from cfgtrain.arguments import check_choice, check_numbers
from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import (
    MAX_CHANNELS,
    Array,
    by_channel_groups,
    check_image,
    count_channels,
    opencv_output,
    opencv_reason,
)
from cfgtrain.image.backends import current_backend

__all__ = ["imresize", "imresize_like"]

Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]
PillowInterpolation = Literal["nearest", "bilinear", "bicubic", "box", "lanczos", "hamming"]
ResizeBackend = Literal["cv2", "pillow"]
Size = tuple[int, int]

CV2_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
_CV2_DTYPES = ("uint8", "uint16", "int16", "float32", "float64")
# "nearest" copies pixels, so OpenCV can do it for any dtype through one of the same number of bytes
_CV2_DTYPE_OF_ITEMSIZE = {1: "uint8", 2: "uint16", 4: "float32", 8: "float64"}


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
        img: (H, W) or (H, W, C) array of uint8, uint16, int16, float32 or float64; any dtype for ``nearest`` with
            ``cv2``, and only uint8 with ``pillow``.
        size: Target size (w, h) in pixels.
        return_scale: Whether to also return the scale factors of the width and the height.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``lanczos``. Pillow has ``box`` and
            ``hamming`` instead of ``area``, and always applies antialiasing when it reduces an image.
        out: (h, w) or (h, w, C) array of the dtype of ``img`` to which the result is written. MMCV ignores it with
            ``pillow``.
        backend: ``cv2`` or ``pillow``. By default it is the one set by ``use_backend`` if it is one of these,
            and otherwise ``cv2``. Pillow treats the last of four channels as alpha.

    Returns:
        The resized image, (h, w) or (h, w, C), with the same dtype, or ``out`` if it is given. A channel axis
        of length 1 is kept. With ``return_scale``, a tuple (image, w_scale, h_scale).

    Raises:
        ArgumentError: The interpolation or backend is unknown, the size is not positive, ``out`` does not match, or
            the backend cannot resize the image.
        ArgumentTypeError: An argument has a wrong type, or the dtype of ``img`` is not supported.
    """
    check_image(img)
    width, height = (int(edge) for edge in check_numbers("size", size, 2, "(w, h)", integers=True, minimum=1))
    if out is not None:
        _check_out(out, img, (width, height))
    resize = _resize_pillow if _backend(backend) == "pillow" else _resize_cv2
    resized = resize(img, (width, height), interpolation, out)
    if out is not None:
        if not np.may_share_memory(resized, out):
            out[...] = resized.reshape(out.shape)
        resized = out
    return (resized, width / img.shape[1], height / img.shape[0]) if return_scale else resized


@overload
def imresize_like(
    img: Array,
    dst_img: Array,
    return_scale: Literal[False] = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> Array: ...
@overload
def imresize_like(
    img: Array,
    dst_img: Array,
    return_scale: Literal[True],
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> tuple[Array, float, float]: ...
def imresize_like(
    img: Array,
    dst_img: Array,
    return_scale: bool = False,
    interpolation: Interpolation | PillowInterpolation = "bilinear",
    backend: ResizeBackend | None = None,
) -> Array | tuple[Array, float, float]:
    """Resize an image to the size of another one.

    Args:
        img: See ``imresize``.
        dst_img: The other image, (h, w) or (h, w, C), of any dtype and number of channels.
        return_scale: Whether to also return the scale factors of the width and the height.
        interpolation: See ``imresize``.
        backend: See ``imresize``.

    Returns:
        The resized image, (h, w) or (h, w, C). With ``return_scale``, a tuple (image, w_scale, h_scale).

    Raises:
        ArgumentError: See ``imresize``.
        ArgumentTypeError: See ``imresize``.
    """
    height, width = check_image(dst_img, name="dst_img").shape[:2]
    scaled = imresize(img, (width, height), True, interpolation, backend=backend)
    return scaled if return_scale else scaled[0]


def _backend(backend: str | None) -> str:
    if backend is None:
        current = current_backend()
        return current if current in get_args(ResizeBackend) else "cv2"
    check_choice("backend", backend, get_args(ResizeBackend))
    return backend


def _check_out(out: Array, img: Array, size: Size) -> None:
    check_image(out, name="out")
    wanted = (size[1], size[0], *img.shape[2:])
    same_shape = out.shape[:2] == wanted[:2] and count_channels(out) == count_channels(img)
    if not same_shape or out.dtype != img.dtype:
        raise ArgumentError(
            f"out must be an array of shape {wanted} and dtype {img.dtype}, "
            f"not of shape {out.shape} and dtype {out.dtype}.",
            argument="out",
        )
    if not out.flags.writeable:
        raise ArgumentError("out is read-only.", argument="out")


def _resize_cv2(img: Array, size: Size, interpolation: str, out: Array | None) -> Array:
    check_choice("interpolation", interpolation, CV2_INTERPOLATIONS)
    source, itemsize = img, img.dtype.itemsize
    if interpolation == "nearest" and img.dtype.kind in "biuf" and itemsize in _CV2_DTYPE_OF_ITEMSIZE:
        source = img.view(_CV2_DTYPE_OF_ITEMSIZE[itemsize])
    check_image(source, _CV2_DTYPES)
    target = None
    if out is not None and not np.may_share_memory(img, out):
        # OpenCV allocates another array if this one does not match
        target = opencv_output(out.view(source.dtype))

    def resize(part: Array, _: object) -> Array:
        return cv2.resize(part, size, dst=target, interpolation=CV2_INTERPOLATIONS[interpolation])

    try:
        at_once = 4 if interpolation == "area" else MAX_CHANNELS  # reducing by area accepts four channels
        return by_channel_groups(source, (), resize, at_once).view(img.dtype)
    except cv2.error as error:
        raise ArgumentError(
            f"OpenCV cannot resize an image of shape {img.shape} to the size {size}: {opencv_reason(error)}"
        ) from error


def _resize_pillow(img: Array, size: Size, interpolation: str, out: Array | None) -> Array:
    check_choice("interpolation", interpolation, get_args(PillowInterpolation))
    check_image(img, ("uint8",))
    resample = Image.Resampling[interpolation.upper()]
    if img.ndim == 2 or img.shape[2] in (3, 4):
        return np.array(Image.fromarray(img).resize(size, resample))
    channels = (Image.fromarray(channel).resize(size, resample) for channel in np.moveaxis(img, 2, 0))
    return np.stack([np.array(channel) for channel in channels], axis=2)
