"""Flip images, and apply EXIF orientations."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np

from cfgtrain.arguments import check_choice
from cfgtrain.image.array import Array

__all__ = ["imflip", "imflip_"]

Direction = Literal["horizontal", "vertical", "diagonal"]

_AXES: dict[str, int | tuple[int, int]] = {"horizontal": 1, "vertical": 0, "diagonal": (0, 1)}
_CV2_CODES = {"horizontal": 1, "vertical": 0, "diagonal": -1}
_CV2_TYPES = ("uint8", "int8", "uint16", "int16", "int32", "float32", "float64")
_CV2_CHANNELS = 512

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
        The flipped image, a copy with the same shape and dtype.

    Raises:
        ArgumentError: The direction is unknown.
    """
    _check_direction(direction)
    if img.dtype.name in _CV2_TYPES and img.ndim in (2, 3) and img.size and img.shape[2:] < (_CV2_CHANNELS,):
        return cv2.flip(img, _CV2_CODES[direction]).reshape(img.shape)
    return np.flip(img, _AXES[direction]).copy()


def imflip_(img: Array, direction: Direction = "horizontal") -> Array:
    """Flip an image in place, and return it; see ``imflip``."""
    img[...] = imflip(img, direction)
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


def _check_direction(direction: str) -> None:
    check_choice("direction", direction, get_args(Direction))
