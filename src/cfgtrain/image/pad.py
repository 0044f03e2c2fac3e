"""Pad images."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Literal, get_args

import cv2
import numpy as np

from cfgtrain.arguments import check_choice, check_integer, check_numbers, check_pair, count_items
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import (
    MAX_EDGE,
    Array,
    Numbers,
    channel_values,
    check_image,
    count_channels,
    dtype_name,
    filled,
    restore_axis,
    too_large,
)

__all__ = ["impad", "impad_to_multiple"]

PaddingMode = Literal["constant", "edge", "reflect", "symmetric"]

_CV2_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "symmetric": cv2.BORDER_REFLECT,
}
_CV2_TYPES = ("uint8", "int8", "uint16", "int16", "float32", "float64")
_CV2_CHANNELS = 4  # a border value of OpenCV has four numbers


def impad(
    img: Array,
    shape: Sequence[int] | None = None,
    padding: int | Sequence[int] | None = None,
    pad_val: Numbers = 0,
    padding_mode: PaddingMode = "constant",
) -> Array:
    """Pad an image to a given shape, or by given numbers of pixels.

    Args:
        img: (H, W) or (H, W, C), any dtype.
        shape: Least shape (h, w) of the result. Pixels are added at the right and at the bottom; an edge that is
            long enough is not changed.
        padding: Number of pixels to add at all sides; or (left and right, top and bottom); or (left, top, right,
            bottom). Exactly one of ``shape`` and ``padding`` is required.
        pad_val: Value of the added pixels for ``constant``: a number, or one number for each channel. For an
            integer dtype it is rounded half to even. MMCV applies a number to the first channel only.
        padding_mode: ``constant`` adds ``pad_val``, ``edge`` repeats the last pixel, ``reflect`` mirrors without
            repeating the last pixel, ``symmetric`` mirrors with repeating it.

    Returns:
        The padded image, a copy of the same dtype.

    Raises:
        ArgumentError: Not exactly one of ``shape`` and ``padding`` is given, one of them has a wrong length or is
            negative, ``pad_val`` has a wrong length or is out of the range of the dtype, the mode is unknown, or the
            memory is not sufficient.
        ArgumentTypeError: An argument is not a number, or ``img`` is not an array.
    """
    check_image(img)
    check_choice("padding_mode", padding_mode, get_args(PaddingMode))
    values = channel_values("pad_val", pad_val, img)
    if (shape is None) == (padding is None):
        raise ArgumentError(
            f"Exactly one of shape and padding is required, not shape={shape!r} and padding={padding!r}.",
            argument="shape",
        )
    if shape is not None:
        height, width = check_numbers("shape", shape, 2, "(h, w)", integers=True, minimum=0)
        right, bottom = max(int(width) - img.shape[1], 0), max(int(height) - img.shape[0], 0)
        return add_border(img, (0, 0, right, bottom), values, padding_mode)
    return add_border(img, _sides(padding), values, padding_mode)


def impad_to_multiple(img: Array, divisor: int | Sequence[int], pad_val: Numbers = 0) -> Array:
    """Pad an image at the right and at the bottom so that each edge is a multiple of a number.

    Args:
        img: (H, W) or (H, W, C), any dtype.
        divisor: The number, or one for each axis (h, w).
        pad_val: See ``impad``.

    Returns:
        The padded image, a copy of the same dtype.

    Raises:
        ArgumentError: ``divisor`` is not positive; or see ``impad``.
        ArgumentTypeError: An argument is not a number, or ``img`` is not an array.
    """
    check_image(img)
    rows, columns = check_pair("divisor", divisor, "(h, w)", integers=True, minimum=1)
    height, width = img.shape[:2]
    shape = [int(-(-height // rows) * rows), int(-(-width // columns) * columns)]
    return impad(img, shape=shape, pad_val=pad_val)


def add_border(
    img: Array, sides: Sequence[int], values: Sequence[float], padding_mode: PaddingMode = "constant"
) -> Array:
    """Return an image with added pixels.

    Args:
        img: (H, W) or (H, W, C), any dtype.
        sides: Numbers of pixels to add: (left, top, right, bottom).
        values: Value of the added pixels for ``constant``, one number for each channel.
        padding_mode: See ``impad``.

    Raises:
        ArgumentError: The memory is not sufficient for the padded image.
    """
    left, top, right, bottom = sides
    height, width = top + img.shape[0] + bottom, left + img.shape[1] + right
    if max(height, width) > MAX_EDGE:
        raise too_large(height, width)
    if dtype_name(img.dtype) in _CV2_TYPES and count_channels(img) <= _CV2_CHANNELS:
        border = _CV2_BORDERS[padding_mode]
        try:
            padded = cv2.copyMakeBorder(img, top, bottom, left, right, border, value=values)
        except cv2.error as error:
            raise too_large(height, width) from error
        return restore_axis(padded, img)
    if padding_mode != "constant":  # np.pad of NumPy 1 is wrong for more pixels than the image has
        rows = _positions(img.shape[0], top, bottom, padding_mode)
        columns = _positions(img.shape[1], left, right, padding_mode)
        return np.ascontiguousarray(img[rows[:, None], columns])
    padded = filled(height, width, values, img)
    padded[top : top + img.shape[0], left : left + img.shape[1]] = img
    return padded


def _positions(length: int, before: int, after: int, padding_mode: str) -> Array:
    """Return the index of the pixel that is at each place of a padded axis."""
    places = np.arange(-before, length + after)
    if padding_mode == "edge":
        return places.clip(0, length - 1)
    if padding_mode == "symmetric":
        places %= 2 * length
        return np.minimum(places, 2 * length - 1 - places)
    places %= max(2 * length - 2, 1)
    return np.minimum(places, 2 * length - 2 - places)


def _sides(padding: object) -> tuple[int, int, int, int]:
    """Return the numbers of pixels (left, top, right, bottom) of the argument ``padding``."""
    if isinstance(padding, Integral):
        same = check_integer("padding", padding, 0)
        return same, same, same, same
    length = count_items(padding)
    if length not in (2, 4):
        error = ArgumentTypeError if length is None else ArgumentError
        raise error(
            "padding must be an integer, 2 integers (left and right, top and bottom) or 4 integers "
            f"(left, top, right, bottom), not {padding!r}.",
            argument="padding",
        )
    numbers = check_numbers("padding", padding, length, integers=True, minimum=0)
    left, top, right, bottom = (int(number) for number in (numbers * 2)[:4])
    return left, top, right, bottom
