"""Operations on images whose result for a value depends on that value alone, and on statistics of the image.

All of them accept (H, W) and (H, W, C) arrays with any number of channels, and return a copy with the same shape and
dtype. The range of the values, and of ``top``, is [0, 255] for uint8, other integers and floats, and [0, 65535] for
uint16. Results of integer dtypes are truncated, as in MMCV; nothing wraps around.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np

from cfgtrain.arguments import check_integer, check_number
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array, check_image
from cfgtrain.image.pillow_enhance import enhance, photometric_backend
from cfgtrain.image.point_table import FAST_TABLES, POINT_DTYPES, PointChain, apply_table

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "auto_contrast",
    "imequalize",
    "iminvert",
    "lut_transform",
    "posterize",
    "solarize",
]


def iminvert(img: Array) -> Array:
    """Invert an image: each value v becomes 255 - v (65535 - v for uint16).

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, or with values in [0, 255].

    Returns:
        The inverted image, a copy.
    """
    if check_image(img, POINT_DTYPES).dtype in (np.uint8, np.uint16):
        return np.invert(img, order="C")
    return PointChain(img).invert().result()


def solarize(img: Array, thr: float = 128) -> Array:
    """Invert the values of an image that are at least a threshold.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, or with values in [0, 255].
        thr: Threshold in the units of the image. With 256 (65536 for uint16), nothing is inverted.

    Returns:
        The solarized image, a copy.
    """
    kind = check_image(img, POINT_DTYPES).dtype
    if kind not in (np.uint8, np.uint16) or (kind == np.uint8 and FAST_TABLES):
        return PointChain(img).solarize(thr).result()
    # the bits are inverted where the threshold is reached, which is faster than a table of OpenCV
    img = np.ascontiguousarray(img)
    top = 255 if img.dtype == np.uint8 else 65535
    below = math.ceil(min(max(check_number("thr", thr), 0), top + 1)) - 1
    mask = cv2.threshold(img, below, top, cv2.THRESH_BINARY)[1].reshape(img.shape)
    solarized: Array = np.bitwise_xor(img, mask, out=mask)
    return solarized


def posterize(img: Array, bits: int) -> Array:
    """Reduce the number of bits of each value of an image.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, or with values in [0, 255].
        bits: Number of high bits to keep, 0 to 8 (0 to 16 for uint16). The others are set to 0.

    Returns:
        The posterized image, a copy.

    Raises:
        ArgumentError: ``bits`` is out of range.
    """
    if check_image(img, POINT_DTYPES).dtype not in (np.uint8, np.uint16):
        return PointChain(img).posterize(bits).result()
    depth = 8 * img.itemsize
    cleared = depth - check_integer("bits", bits, 0, depth)
    mask = np.array((1 << depth) - (1 << cleared), img.dtype)
    posterized: Array = np.bitwise_and(img, mask, order="C")
    return posterized


def adjust_brightness(
    img: Array, factor: float = 1.0, backend: Literal["cv2", "pillow"] | None = None
) -> Array:
    """Change the brightness of an image: each value is multiplied by a factor.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, or with values in [0, 255]. Pillow only supports uint8.
        factor: 0 gives a black image, 1 the original one, 2 one that is twice as bright.
        backend: ``cv2`` or ``pillow``. By default it is the one set by ``use_backend`` if it is one of these,
            and otherwise ``cv2``.

    Returns:
        The image, a copy with values limited to the range.

    Raises:
        ArgumentError: The backend is unknown, or Pillow does not support the image.
    """
    if photometric_backend(backend) == "pillow":
        return enhance(img, "Brightness", factor)
    return PointChain(img).brightness(factor).result()


def adjust_contrast(
    img: Array, factor: float = 1.0, backend: Literal["cv2", "pillow"] | None = None
) -> Array:
    """Change the contrast of an image: it is blended with its mean gray value.

    Args:
        img: BGR image (H, W, 3) or BGRA image (H, W, 4) of uint8, uint16, or with values in [0, 255]. For any other
            number of channels, the gray value is the mean of all values. Pillow only supports uint8.
        factor: 0 gives a gray image, 1 the original one.
        backend: See ``adjust_brightness``.

    Returns:
        The image, a copy with values limited to the range.

    Raises:
        ArgumentError: The backend is unknown, or Pillow does not support the image.
    """
    if photometric_backend(backend) == "pillow":
        return enhance(img, "Contrast", factor)
    return PointChain(img).contrast(factor).result()


def auto_contrast(img: Array, cutoff: float | tuple[float, float] = 0) -> Array:
    """Stretch the values of each channel linearly to the whole range, as ``PIL.ImageOps.autocontrast`` does.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, or with values in [0, 255].
        cutoff: Percentage of pixels that are ignored at the dark and at the bright end of the histogram, or a pair
            (low, high) with one percentage for each end, from 0 to 100.

    Returns:
        The image, a copy. A channel in which less than two levels remain is not changed.

    Raises:
        ArgumentError: ``cutoff`` is not one or two percentages.
    """
    return PointChain(img).auto_contrast(cutoff).result()


def imequalize(img: Array) -> Array:
    """Equalize the histogram of each channel of an image, as ``PIL.ImageOps.equalize`` does.

    Args:
        img: (H, W) or (H, W, C) array of uint8, uint16, or with values in [0, 255], which are truncated to integers.

    Returns:
        The equalized image, a copy. A channel with too few pixels for 256 levels (65,536 for uint16) is not changed.
    """
    return PointChain(img).equalize().result()


def lut_transform(img: Array, lut_table: Array) -> Array:
    """Replace each value of an array by its entry in a look-up table.

    Args:
        img: Array of any shape, with values from 0 to 255, whose fractional parts are dropped.
        lut_table: (256,) array.

    Returns:
        Array with the shape of ``img`` and the dtype of ``lut_table``.

    Raises:
        ArgumentTypeError: An argument is not an array of numbers.
        ArgumentError: A value of ``img`` is out of range, or the table does not have 256 entries.
    """
    given: dict[str, object] = {"img": img, "lut_table": lut_table}
    for name, value in given.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif":
            raise ArgumentTypeError(f"{name} must be an array of numbers, not {value!r}.", argument=name)
    if img.dtype != np.uint8:
        if img.size and not (img.min() >= 0 and img.max() <= 255):
            raise ArgumentError(
                f"The values of img must be from 0 to 255, not from {img.min()} to {img.max()}.",
                argument="img",
            )
        img = img.astype(np.uint8)
    if lut_table.shape != (256,):
        raise ArgumentError(
            f"lut_table must have the shape (256,), not {lut_table.shape}.", argument="lut_table"
        )
    return apply_table(img, lut_table)
