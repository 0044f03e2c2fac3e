"""Convert images between color spaces."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentTypeError, ColorConversionError
from cfgtrain.image.array import Array, check_image, opencv_reason

__all__ = [
    "bgr2gray",
    "bgr2hls",
    "bgr2hsv",
    "bgr2rgb",
    "bgr2ycbcr",
    "gray2bgr",
    "gray2rgb",
    "hls2bgr",
    "hsv2bgr",
    "imconvert",
    "rgb2bgr",
    "rgb2gray",
    "rgb2ycbcr",
    "ycbcr2bgr",
    "ycbcr2rgb",
]

# ITU-R BT.601, studio range: y, cb and cr in [0, 255] of r, g and b in [0, 1], with the offset in the last column.
_RGB_TO_YCBCR = np.array(
    [
        [65.481, 128.553, 24.966, 16.0],
        [-37.797, -74.203, 112.0, 128.0],
        [112.0, -93.786, -18.214, 128.0],
    ]
)
# r, g and b in [0, 255] of y, cb and cr in [0, 255].
_YCBCR_TO_RGB = np.array(
    [
        [0.00456621 * 255, 0.0, 0.00625893 * 255, -222.921],
        [0.00456621 * 255, -0.00153632 * 255, -0.00318811 * 255, 135.576],
        [0.00456621 * 255, 0.00791071 * 255, 0.0, -276.836],
    ]
)
_YCBCR_TYPES = ("uint8", "float32")


def imconvert(img: Array, src: str, dst: str) -> Array:
    """Convert an image between two color spaces of OpenCV.

    Args:
        img: Image in the color space ``src``, with the dtype that OpenCV accepts for the conversion: always
            uint8, with [0, 255], and float32, with [0, 1]; often also uint16.
        src: Name of the color space of ``img``, in upper or lower case, such as ``bgr``, ``hsv`` or ``ycrcb``.
        dst: Name of the color space of the result.

    Returns:
        The converted image, a copy. If ``src`` and ``dst`` are equal, it has the same values.

    Raises:
        ColorConversionError: OpenCV has no conversion from ``src`` to ``dst``. It is an ``ArgumentError``, and an
            ``AttributeError`` as in MMCV.
        ArgumentError: The image is not one in the color space ``src``.
    """
    check_type("src", src, str, "the name of a color space")
    check_type("dst", dst, str, "the name of a color space")
    check_image(img)
    source, target = src.upper(), dst.upper()
    codes = _conversions()
    if source == target and any(source in name.split("2", 1) for name in codes):
        return np.array(img, order="C")
    name = f"{source}2{target}"
    if name not in codes:
        raise ColorConversionError(
            f"OpenCV has no conversion from color space {src!r} to {dst!r}.",
            near=(name, list(codes)),
            argument="src",
        )
    return _convert(img, codes[name])


def bgr2gray(img: Array, keepdim: bool = False) -> Array:
    """Convert a BGR image to gray: 0.299 R + 0.587 G + 0.114 B.

    Args:
        img: (H, W, 3) array of uint8, uint16 or float32. The alpha channel of (H, W, 4) is not used.
        keepdim: Whether the result keeps a channel axis.

    Returns:
        (H, W) array of the same dtype, or (H, W, 1) with ``keepdim``. Integers are rounded to the nearest.
    """
    return _to_gray(img, cv2.COLOR_BGR2GRAY, keepdim)


def rgb2gray(img: Array, keepdim: bool = False) -> Array:
    """Convert an RGB image to gray; see ``bgr2gray``."""
    return _to_gray(img, cv2.COLOR_RGB2GRAY, keepdim)


def gray2bgr(img: Array) -> Array:
    """Convert a gray image to BGR, with three equal channels.

    Args:
        img: (H, W) or (H, W, 1) array of uint8, uint16 or float32.

    Returns:
        (H, W, 3) array of the same dtype.
    """
    return _convert(check_image(img, channels=(1,)), cv2.COLOR_GRAY2BGR)


def gray2rgb(img: Array) -> Array:
    """Convert a gray image to RGB, with three equal channels; see ``gray2bgr``."""
    return gray2bgr(img)


def bgr2rgb(img: Array) -> Array:
    """Convert a BGR image to RGB.

    Args:
        img: (H, W, 3) array of uint8, uint16 or float32. The alpha channel of (H, W, 4) is dropped.

    Returns:
        (H, W, 3) array of the same dtype.
    """
    return _from_color(img, cv2.COLOR_BGR2RGB)


def rgb2bgr(img: Array) -> Array:
    """Convert an RGB image to BGR; see ``bgr2rgb``."""
    return _from_color(img, cv2.COLOR_RGB2BGR)


def bgr2hsv(img: Array) -> Array:
    """Convert a BGR image to HSV (hue, saturation, value).

    Args:
        img: (H, W, 3) array of uint8, or of float32 with values in [0, 1].

    Returns:
        (H, W, 3) array of the same dtype. For uint8, hue is in half degrees, [0, 179], and the others are in
        [0, 255]. For float32, hue is in degrees, [0, 360), and the others are in [0, 1].
    """
    return _from_color(img, cv2.COLOR_BGR2HSV)


def hsv2bgr(img: Array) -> Array:
    """Convert an HSV image to BGR, with the ranges of ``bgr2hsv``."""
    return _from_color(img, cv2.COLOR_HSV2BGR)


def bgr2hls(img: Array) -> Array:
    """Convert a BGR image to HLS (hue, lightness, saturation).

    The ranges are those of ``bgr2hsv``, but a uint8 hue may also be 180, which is the same as 0.
    """
    return _from_color(img, cv2.COLOR_BGR2HLS)


def hls2bgr(img: Array) -> Array:
    """Convert an HLS image to BGR, with the ranges of ``bgr2hsv``."""
    return _from_color(img, cv2.COLOR_HLS2BGR)


def rgb2ycbcr(img: Array, y_only: bool = False) -> Array:
    """Convert an RGB image to YCbCr of ITU-R BT.601 in studio range, as Matlab does.

    OpenCV's YCrCb has another range and another order of channels.

    Args:
        img: (H, W, 3) array of uint8, or of float32 with values in [0, 1].
        y_only: Whether to return only the luma Y, (H, W).

    Returns:
        (H, W, 3) array (Y, Cb, Cr) of the same dtype, for uint8 within 1 of the exact value: Y in
        [16, 235], Cb and Cr in [16, 240]. For float32, which is exact, these values are divided by 255.

    Raises:
        ArgumentTypeError: The dtype is another one.
    """
    return _to_ycbcr(img, _RGB_TO_YCBCR, y_only)


def bgr2ycbcr(img: Array, y_only: bool = False) -> Array:
    """Convert a BGR image to YCbCr; see ``rgb2ycbcr``."""
    return _to_ycbcr(img, _RGB_TO_YCBCR[:, [2, 1, 0, 3]], y_only)


def ycbcr2rgb(img: Array) -> Array:
    """Convert a YCbCr image of ITU-R BT.601 in studio range to RGB.

    Args:
        img: (H, W, 3) array (Y, Cb, Cr) of uint8, or of float32, with the ranges of ``rgb2ycbcr``.

    Returns:
        (H, W, 3) array of the same dtype. Values of uint8 are within 1 of the exact value and limited to [0, 255], where
        MMCV wraps around: colors outside RGB get wrong there. Values of float32 are not limited to [0, 1].

    Raises:
        ArgumentTypeError: The dtype is another one.
    """
    return _transform(check_image(img, _YCBCR_TYPES, channels=(3,)), _YCBCR_TO_RGB)


def ycbcr2bgr(img: Array) -> Array:
    """Convert a YCbCr image to BGR; see ``ycbcr2rgb``."""
    return _transform(check_image(img, _YCBCR_TYPES, channels=(3,)), _YCBCR_TO_RGB[::-1])


@cache
def _conversions() -> dict[str, int]:
    names = [name for name in dir(cv2) if name.startswith("COLOR_") and "2" in name]
    return {name.removeprefix("COLOR_").upper(): getattr(cv2, name) for name in names}


def _convert(img: Array, code: int) -> Array:
    try:
        return cv2.cvtColor(np.ascontiguousarray(img), code)
    except cv2.error as error:
        raise ArgumentTypeError(
            f"img cannot be converted: OpenCV does not accept an array of shape {img.shape} and dtype {img.dtype} for"
            f" this conversion: {opencv_reason(error)}",
            argument="img",
        ) from error


def _from_color(img: Array, code: int) -> Array:
    return _convert(check_image(img, channels=(3, 4)), code)


def _to_gray(img: Array, code: int, keepdim: bool) -> Array:
    gray = _from_color(img, code)
    return gray[..., None] if keepdim else gray


def _to_ycbcr(img: Array, matrix: Array, y_only: bool) -> Array:
    check_image(img, _YCBCR_TYPES, channels=(3,))
    converted = _transform(img, matrix / [255, 255, 255, 1])  # for values in [0, 255]
    return cv2.extractChannel(converted, 0) if y_only else converted


def _transform(img: Array, matrix: Array) -> Array:
    """Apply a matrix for values in [0, 255], with an offset in the last column, to the channels of an image."""
    offset_scale = 255 if img.dtype == np.float32 else 1
    return cv2.transform(np.ascontiguousarray(img), matrix / [1, 1, 1, offset_scale])


def _convert_input_type_range(img: Array) -> Array:
    """Return an image of uint8 or float32 as float32 in [0, 1] (MMCV's private name).

    Raises:
        ArgumentTypeError: The dtype is another one.
    """
    check_image(img, _YCBCR_TYPES)
    return np.divide(img, np.float32(255), dtype=np.float32) if img.dtype == np.uint8 else img.copy()


def _convert_output_type_range(img: Array, dst_type: Any) -> Array:
    """Return values in [0, 255] as uint8, rounded and limited to that range, or as float32 in [0, 1].

    This is MMCV's private name.

    Raises:
        ArgumentTypeError: ``dst_type`` is neither uint8 nor float32.
    """
    if dst_type not in (np.uint8, np.float32):
        raise ArgumentTypeError(
            f"dst_type must be uint8 or float32, not {np.dtype(dst_type)}.", argument="dst_type"
        )
    if dst_type == np.uint8:
        return np.clip(np.rint(img), 0, 255).astype(np.uint8)
    return np.divide(img, np.float32(255), dtype=np.float32)
