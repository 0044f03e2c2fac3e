"""Cut random rectangles out of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cfgtrain.arguments import check_pair, check_type
from cfgtrain.image.array import Array, Numbers, channel_values, check_image, fill

__all__ = ["cutout"]


def cutout(
    img: Array,
    shape: int | Sequence[int],
    pad_val: Numbers = 0,
    *,
    rng: np.random.Generator | np.random.RandomState | None = None,
) -> Array:
    """Fill a rectangle at a random place of an image with a value.

    The centre (x, y) of the rectangle is drawn uniformly from [1, W] and [1, H], as in MMCV, so that a seed gives the
    same rectangle. A rectangle that would begin left of or above the image is moved into it; one that would end right of or below it is clipped. See "Improved Regularization of
    Convolutional Neural Networks with Cutout" (https://arxiv.org/abs/1708.04552).

    Args:
        img: (H, W) or (H, W, C), any dtype.
        shape: Edge of a square, or shape (h, w) of the rectangle, in pixels.
        pad_val: The value: a number, or one number for each channel. For an integer dtype it is rounded half to even.
        rng: Random number generator, from which two numbers are drawn: first y, then x. By default it is the global
            one of NumPy, as in MMCV.

    Returns:
        The image with the rectangle filled, a copy of the same dtype.

    Raises:
        ArgumentError: ``shape`` is negative, or ``pad_val`` has a wrong length or is out of the range of the dtype.
        ArgumentTypeError: ``shape`` is not made of integers, ``pad_val`` is not a number, or ``rng`` is not a
            generator.
    """
    check_image(img)
    cut_height, cut_width = (
        int(edge) for edge in check_pair("shape", shape, "(h, w)", integers=True, minimum=0)
    )
    values = channel_values("pad_val", pad_val, img)
    check_type(
        "rng",
        rng,
        np.random.Generator | np.random.RandomState | None,
        "a numpy.random.Generator or RandomState",
    )
    draw = np.random.random if rng is None else rng.random
    height, width = img.shape[:2]
    y, x = height + (1 - height) * draw(), width + (1 - width) * draw()  # in this order, as MMCV draws them
    top, left = int(max(0, y - cut_height / 2)), int(max(0, x - cut_width / 2))
    cut = img.copy()
    fill(cut[top : top + cut_height, left : left + cut_width], values)
    return cut
