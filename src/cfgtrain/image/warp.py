"""Rotate, shear and translate images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np

from cfgtrain.arguments import check_choice, check_number, check_numbers, check_positive
from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import (
    MAX_EDGE,
    Array,
    Numbers,
    by_channel_groups,
    channel_values,
    check_image,
    opencv_reason,
    too_large,
)
from cfgtrain.image.resize import CV2_INTERPOLATIONS, Interpolation

__all__ = ["imrotate", "imshear", "imtranslate"]

BorderMode = Literal["constant", "replicate", "reflect", "wrap", "reflect_101", "transparent"]
Axis = Literal["horizontal", "vertical"]

# BORDER_ISOLATED is not supported: warpAffine of OpenCV 5 reads outside the image with it. BORDER_TRANSPARENT means to
# draw on an existing image; here it is a new one of the border value, and OpenCV 4 and 5 would blend edges differently.
_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
    "reflect_101": cv2.BORDER_REFLECT_101,
    "transparent": cv2.BORDER_CONSTANT,
}
_DTYPES = ("uint8", "uint16", "int16", "float32", "float64")
_QUARTERS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))  # (cos, sin) of 0, 90, 180 and 270 degrees


def imrotate(
    img: Array,
    angle: float,
    center: Sequence[float] | None = None,
    scale: float = 1.0,
    border_value: Numbers = 0,
    interpolation: Interpolation = "bilinear",
    auto_bound: bool = False,
    border_mode: BorderMode = "constant",
) -> Array:
    """Rotate an image.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, int16, float32 or float64.
        angle: Angle in degrees; positive is clockwise.
        center: Centre (x, y) of the rotation in pixels, 0-based. By default it is the centre of the image,
            ((W - 1) / 2, (H - 1) / 2).
        scale: Factor by which the image is scaled about the centre.
        border_value: Value of the pixels from outside the image, for ``constant`` and ``transparent``: a number, or
            one number for each channel. MMCV applies a number to the first channel only.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` (here the same as ``bilinear``) or
            ``lanczos``.
        auto_bound: Whether the result is as large as the whole rotated image requires.
        border_mode: How pixels outside the image are extrapolated: ``constant`` (iiii|abcdefgh|iiii),
            ``replicate`` (aaaa|abcdefgh|hhhh), ``reflect`` (dcba|abcdefgh|hgfe), ``wrap`` (efgh|abcdefgh|abcd),
            ``reflect_101`` (edcb|abcdefgh|gfed), or ``transparent``, which is the same as ``constant`` (MMCV leaves
            the pixels uninitialized).

    Returns:
        The rotated image of the same dtype: (H, W, ...), or larger or smaller with ``auto_bound``.

    Raises:
        ArgumentError: Both ``center`` and ``auto_bound`` are given, or an argument is out of its range or unknown.
        ArgumentTypeError: An argument has a wrong type, or the dtype of ``img`` is not supported.
    """
    check_image(img, _DTYPES)
    if center is not None and auto_bound:
        raise ArgumentError(
            "center cannot be combined with auto_bound, which rotates about the centre.", argument="center"
        )
    degrees, factor = check_number("angle", angle, finite=True), check_positive("scale", scale)
    height, width = img.shape[:2]
    x, y = ((width - 1) / 2, (height - 1) / 2) if center is None else _point(center)
    cos, sin = (factor * each for each in _cos_sin(degrees))
    matrix = [[cos, -sin, (1 - cos) * x + sin * y], [sin, cos, (1 - cos) * y - sin * x]]
    size = width, height
    if auto_bound:
        new_width = height * abs(sin) + width * abs(cos)
        new_height = height * abs(cos) + width * abs(sin)
        matrix[0][2] += (new_width - width) / 2
        matrix[1][2] += (new_height - height) / 2
        size = max(round(new_width), 1), max(round(new_height), 1)
    return _warp(img, matrix, size, border_value, interpolation, border_mode)


def imshear(
    img: Array,
    magnitude: float,
    direction: Axis = "horizontal",
    border_value: Numbers = 0,
    interpolation: Interpolation = "bilinear",
) -> Array:
    """Shear an image.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, int16, float32 or float64.
        magnitude: How many pixels each row moves to the right (``horizontal``), or each column down (``vertical``),
            relative to the one before it. The first one does not move.
        direction: ``horizontal`` or ``vertical``.
        border_value: Value of the pixels from outside the image: a number, or one number for each channel. MMCV
            fills only the first three channels.
        interpolation: See ``imrotate``.

    Returns:
        The sheared image, with the same shape and dtype.

    Raises:
        ArgumentError: The direction or interpolation is unknown, ``magnitude`` is not finite, or ``border_value`` has
            a wrong length or is out of the range of the dtype.
        ArgumentTypeError: An argument has a wrong type, or the dtype of ``img`` is not supported.
    """
    check_image(img, _DTYPES)
    check_choice("direction", direction, get_args(Axis))
    shear = check_number("magnitude", magnitude, finite=True)
    horizontal = direction == "horizontal"
    matrix = [[1.0, shear, 0.0], [0.0, 1.0, 0.0]] if horizontal else [[1.0, 0.0, 0.0], [shear, 1.0, 0.0]]
    return _warp(img, matrix, (img.shape[1], img.shape[0]), border_value, interpolation)


def imtranslate(
    img: Array,
    offset: float,
    direction: Axis = "horizontal",
    border_value: Numbers = 0,
    interpolation: Interpolation = "bilinear",
) -> Array:
    """Translate an image.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, int16, float32 or float64.
        offset: How many pixels the image moves to the right (``horizontal``) or down (``vertical``).
        direction: ``horizontal`` or ``vertical``.
        border_value: See ``imshear``.
        interpolation: See ``imrotate``.

    Returns:
        The translated image, with the same shape and dtype.

    Raises:
        ArgumentError: The direction or interpolation is unknown, ``offset`` is not finite, or ``border_value`` has a
            wrong length or is out of the range of the dtype.
        ArgumentTypeError: An argument has a wrong type, or the dtype of ``img`` is not supported.
    """
    check_image(img, _DTYPES)
    check_choice("direction", direction, get_args(Axis))
    pixels = check_number("offset", offset, finite=True)
    x, y = (pixels, 0.0) if direction == "horizontal" else (0.0, pixels)
    return _warp(
        img, [[1.0, 0.0, x], [0.0, 1.0, y]], (img.shape[1], img.shape[0]), border_value, interpolation
    )


def _warp(
    img: Array,
    matrix: Sequence[Sequence[float]],
    size: tuple[int, int],
    border_value: Numbers,
    interpolation: str,
    border_mode: str = "constant",
) -> Array:
    """Apply an affine transform.

    Args:
        img: An image of one of ``_DTYPES``.
        matrix: 2 x 3 matrix that maps a point (x, y, 1) of ``img`` to a point of the result.
        size: Size (w, h) of the result.
        border_value: See ``imrotate``.
        interpolation: See ``imrotate``.
        border_mode: See ``imrotate``.
    """
    check_choice("interpolation", interpolation, CV2_INTERPOLATIONS)
    check_choice("border_mode", border_mode, _BORDERS)
    values = channel_values("border_value", border_value, img)
    if max(size) > MAX_EDGE:
        raise too_large(size[1], size[0])
    forward = np.array(matrix, np.float64)

    def warp(part: Array, values: tuple[float, ...]) -> Array:
        return cv2.warpAffine(
            part,
            forward,
            size,
            flags=CV2_INTERPOLATIONS[interpolation],
            borderMode=_BORDERS[border_mode],
            borderValue=values,
        )

    try:
        return by_channel_groups(img, values, warp)
    except cv2.error as error:
        raise ArgumentError(
            f"OpenCV cannot transform an image of shape {img.shape} to the size {size}: {opencv_reason(error)}"
        ) from error


def _point(center: object) -> tuple[float, float]:
    x, y = check_numbers("center", center, 2, "(x, y)")
    return check_number("center[0]", x, finite=True), check_number("center[1]", y, finite=True)


def _cos_sin(degrees: float) -> tuple[float, float]:
    """Return the cosine and sine of an angle; those of a multiple of 90 degrees are exact."""
    quarters, rest = divmod(degrees, 90)
    if rest == 0:
        return _QUARTERS[int(quarters % 4)]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
