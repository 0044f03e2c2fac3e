"""Crop images."""

from __future__ import annotations

import numpy as np

from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array, Numbers, channel_values, check_image, filled
from cfgtrain.image.boxes import Boxes, bbox_scaling
from cfgtrain.image.pad import add_border

__all__ = ["imcrop"]

_LIMIT = 2**31  # of coordinates; larger ones are not integers of OpenCV


def imcrop(
    img: Array, bboxes: Boxes, scale: float = 1.0, pad_fill: Numbers | None = None
) -> Array | list[Array]:
    """Crop one box or several boxes out of an image.

    Args:
        img: (H, W) or (H, W, C), any dtype.
        bboxes: One box (4,) or several boxes (k, 4), as an array or lists: (x1, y1, x2, y2), pixels, 0-based. Both
            corners belong to the box, so its width is x2 - x1 + 1.
        scale: Factor by which each box is scaled about its centre before. The scaled coordinates are truncated to
            integers.
        pad_fill: Value of the pixels of a box that are outside the image: a number, or one number for each channel.
            For an integer dtype it is rounded half to even. By default the boxes are clipped to the image.

    Returns:
        The patch, or a list of the patches if ``bboxes`` is (k, 4). Each is a copy of the same dtype; MMCV returns
        views. With ``pad_fill`` a patch has the size of its scaled box; a box wholly outside the image is then a
        patch of ``pad_fill`` alone.

    Raises:
        ArgumentError: A box is empty or has a coordinate that is not finite, or is wholly outside the image and ``pad_fill`` is not given
            (MMCV returns the nearest pixels of the border); ``scale`` is not positive and finite; or ``pad_fill``
            has a wrong length or is out of the range of the dtype; or the memory is not sufficient for a patch.
        ArgumentTypeError: An argument is not a number or not an array of numbers.
    """
    check_image(img)
    values = None if pad_fill is None else channel_values("pad_fill", pad_fill, img)
    scaled = bbox_scaling(bboxes, scale)
    if scaled.ndim > 2:
        raise ArgumentError(
            f"bboxes must be one box (4,) or several boxes (k, 4), not of shape {scaled.shape}.",
            argument="bboxes",
        )
    if not ((scaled > -_LIMIT) & (scaled < _LIMIT)).all():
        raise ArgumentError(
            f"bboxes must be finite and below 2**31 after scaling, not {scaled.tolist()}.", argument="bboxes"
        )
    boxes = scaled.astype(np.int64).reshape(-1, 4).tolist()
    patches = [_crop(img, box, values) for box in boxes]
    return patches[0] if scaled.ndim == 1 else patches


def _crop(img: Array, box: list[int], values: tuple[float, ...] | None) -> Array:
    """Return the pixels of a box (x1, y1, x2, y2), with added pixels of ``values`` if they are given."""
    x1, y1, x2, y2 = box
    height, width = img.shape[:2]
    if x2 < x1 or y2 < y1:
        raise ArgumentError(
            f"The box {box} is empty: x2 must be at least x1, and y2 at least y1.", argument="bboxes"
        )
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2 + 1, width), min(y2 + 1, height)
    if left >= right or top >= bottom:
        if values is None:
            raise ArgumentError(
                f"The box {box} (x1, y1, x2, y2) is wholly outside the image of width {width} and height {height}. "
                "Use pad_fill to fill it with a value.",
                argument="bboxes",
            )
        return filled(y2 - y1 + 1, x2 - x1 + 1, values, img)
    inside = img[top:bottom, left:right]
    if values is None or inside.shape[:2] == (y2 - y1 + 1, x2 - x1 + 1):
        return inside.copy()
    return add_border(inside, (left - x1, top - y1, x2 + 1 - right, y2 + 1 - bottom), values)
