"""Flip images, and apply EXIF orientations."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np

from cfgtrain.arguments import check_choice
from cfgtrain.image.array import (
    MAX_CHANNELS,
    Array,
    check_image,
    check_writable,
    count_channels,
    dtype_name,
    opencv_output,
)

__all__ = ["imflip", "imflip_"]

Direction = Literal["horizontal", "vertical", "diagonal"]

_AXES: dict[str, int | tuple[int, int]] = {"horizontal": 1, "vertical": 0, "diagonal": (0, 1)}
_CV2_CODES = {"horizontal": 1, "vertical": 0, "diagonal": -1}
_CV2_TYPES = ("uint8", "int8", "uint16", "int16", "int32", "float32", "float64")

# EXIF orientation: (whether to transpose, flip afterwards), which turn the image upright.
_UPRIGHT: dict[int, tuple[bool, Direction | None]] = {
    1: (False, None),
    2: (False, "horizontal"),
    3: (False, "diagonal"),
    4: (False, "vertical"),
    5: (True, None),
    6: (True, "horizontal"),
    7: (True, "diagonal"),
    8: (True, "vertical"),
}


def imflip(img: Array, direction: Direction = "horizontal") -> Array:
    """Flip an image.

    Args:
        img: (H, W) or (H, W, C), any dtype.
        direction: ``horizontal`` swaps left and right, ``vertical`` top and bottom, ``diagonal`` both.

    Returns:
        The flipped image, a contiguous copy with the same shape and dtype. MMCV returns a view.

    Raises:
        ArgumentError: ``img`` is not an image array, or the direction is unknown.
    """
    check_image(img)
    check_choice("direction", direction, get_args(Direction))
    if _fits_opencv(img):
        return cv2.flip(img, _CV2_CODES[direction]).reshape(img.shape)
    return np.flip(img, _AXES[direction]).copy()


def imflip_(img: Array, direction: Direction = "horizontal") -> Array:
    """Flip an image in place.

    Args:
        img: (H, W) or (H, W, C), any dtype; it is changed.
        direction: See ``imflip``.

    Returns:
        ``img`` itself.

    Raises:
        ArgumentError: See ``imflip``, or ``img`` is read-only.
    """
    check_image(img)
    check_choice("direction", direction, get_args(Direction))
    check_writable("imflip", img)
    target = opencv_output(img)
    if target is not None and _fits_opencv(img):
        cv2.flip(target, _CV2_CODES[direction], dst=target)
    else:
        img[...] = np.flip(img, _AXES[direction]).copy()
    return img


def turn_upright(img: Array, orientation: int) -> Array:
    """Turn an image upright according to its EXIF orientation.

    Args:
        img: (H, W) or (H, W, C), as stored in the file.
        orientation: EXIF orientation, 1 to 8.

    Returns:
        The upright image: (H, W, ...) for orientations 1 to 4, (W, H, ...) for 5 to 8. For 1, it is ``img``
        itself.
    """
    transpose, direction = _UPRIGHT[orientation]
    if transpose:
        img = cv2.transpose(img)
    return img if direction is None else imflip(img, direction)


def _fits_opencv(img: Array) -> bool:
    return dtype_name(img.dtype) in _CV2_TYPES and count_channels(img) <= MAX_CHANNELS
