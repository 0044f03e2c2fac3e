"""Transforms of the size and the position of the image in the results, ``img``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from cfgtrain.arguments import check_choice, check_integer, check_number, check_numbers, check_pair
from cfgtrain.data.transforms.ranges import Range, checked_range, draw, is_range
from cfgtrain.data.transforms.results import Results, record
from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Numbers
from cfgtrain.image.flip import Direction, imflip
from cfgtrain.image.pad import impad, impad_to_multiple
from cfgtrain.image.rescale import rescale_size
from cfgtrain.image.resize import CV2_INTERPOLATIONS, Interpolation, imresize
from cfgtrain.image.warp import imrotate
from cfgtrain.registries import PIPELINES

__all__ = ["CenterCrop", "Pad", "RandomCrop", "RandomFlip", "RandomResizedCrop", "Resize", "Rotate"]

Size = int | Sequence[int]

_ATTEMPTS = 10  # to draw a rectangle that fits into the image


@PIPELINES.register_module()
class Resize:
    """Resizes ``img``.

    Args:
        scale: Target size (w, h) in pixels, or one number for both edges. With ``keep_ratio``, the image becomes as
            large as possible within these edges, in either order, as in MMCV; and one number is the length of the
            short edge.
        keep_ratio: Whether to keep the aspect ratio.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``lanczos``.
    """

    def __init__(
        self, scale: Size, keep_ratio: bool = False, interpolation: Interpolation = "bilinear"
    ) -> None:
        check_choice("interpolation", interpolation, CV2_INTERPOLATIONS)
        self.scale = _checked_size("scale", scale)
        self.short_edge = scale if isinstance(scale, int) and keep_ratio else None
        self.keep_ratio = keep_ratio
        self.interpolation = interpolation

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an (h, w) or (h, w, C) array of the same dtype, and record ``scale_factor`` (w, h)."""
        img = results["img"]
        size = self.scale
        if self.keep_ratio:
            limits = size if self.short_edge is None else (self.short_edge, math.inf)
            width, height = rescale_size((img.shape[1], img.shape[0]), limits)
            size = max(width, 1), max(height, 1)
        record(results, scale_factor=(size[0] / img.shape[1], size[1] / img.shape[0]))
        return _with_image(results, imresize(img, size, interpolation=self.interpolation))


@PIPELINES.register_module()
class RandomResizedCrop:
    """Crops a random part of ``img`` and resizes it, as for training on ImageNet.

    See "Going deeper with convolutions" (https://arxiv.org/abs/1409.4842). If no part that fits was drawn in ten
    attempts, it is the largest part at the center with an accepted aspect ratio.

    Args:
        size: Size (w, h) of the result in pixels, or one number for both edges.
        area: Range (low, high) of the area of the part, relative to that of the image.
        ratio: Range (low, high) of the aspect ratio w / h of the part; its logarithm is drawn uniformly.
        interpolation: See ``Resize``.

    Raises:
        ArgumentError: A range is not one of positive numbers, or the area is more than that of the image.
    """

    def __init__(
        self,
        size: Size,
        area: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Interpolation = "bilinear",
    ) -> None:
        check_choice("interpolation", interpolation, CV2_INTERPOLATIONS)
        self.size = _checked_size("size", size)
        self.area = positive_range("area", area, 1)
        self.ratio = positive_range("ratio", ratio)
        self.interpolation = interpolation

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an (h, w) or (h, w, C) array of the same dtype."""
        img = results["img"]
        height, width = img.shape[:2]
        box = draw_box(height, width, self.area, self.ratio) or self._largest(height, width)
        part = crop(img, *box)
        return _with_image(results, imresize(part, self.size, interpolation=self.interpolation))

    def _largest(self, height: int, width: int) -> tuple[int, int, int, int]:
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        part_width = max(min(width, round(height * ratio)), 1)
        part_height = max(min(height, round(width / ratio)), 1)
        return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width


@PIPELINES.register_module()
class CenterCrop:
    """Crops the center of ``img``.

    Args:
        size: Size (w, h) of the window in pixels, or one number for both edges.
    """

    def __init__(self, size: Size) -> None:
        self.size = _checked_size("size", size)

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an (h, w) or (h, w, C) window.

        Raises:
            ArgumentError: The window is larger than the image.
        """
        img = results["img"]
        rows, columns = _room(img, self.size, "an image")
        return _with_image(results, crop(img, rows // 2, columns // 2, self.size[1], self.size[0]))


@PIPELINES.register_module()
class RandomCrop:
    """Pads ``img`` on all sides and crops a window at a random position.

    Args:
        size: Size (w, h) of the window in pixels, or one number for both edges.
        padding: Number of pixels to add on each side before cropping.
        pad_val: Value of the added pixels: a number, or one number for each channel.
    """

    def __init__(self, size: Size, padding: int = 0, pad_val: Numbers = 0) -> None:
        self.size = _checked_size("size", size)
        self.padding = check_integer("padding", padding, 0)
        self.pad_val = pad_val

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an (h, w) or (h, w, C) window.

        Raises:
            ArgumentError: The window is larger than the padded image.
        """
        img = results["img"]
        if self.padding:
            img = impad(img, padding=self.padding, pad_val=self.pad_val)
        rows, columns = _room(img, self.size, "a padded image" if self.padding else "an image")
        top, left = np.random.randint(rows + 1), np.random.randint(columns + 1)
        return _with_image(results, crop(img, top, left, self.size[1], self.size[0]))


@PIPELINES.register_module()
class RandomFlip:
    """Flips ``img`` with some probability.

    Args:
        prob: Probability that the image is flipped.
        direction: ``horizontal`` swaps left and right, ``vertical`` top and bottom, ``diagonal`` both. Of a list,
            one is drawn for each image that is flipped.

    Raises:
        ArgumentError: ``prob`` is not from 0 to 1, or a direction is unknown.
    """

    def __init__(self, prob: float = 0.5, direction: Direction | Sequence[Direction] = "horizontal") -> None:
        self.prob = check_number("prob", prob, 0, 1)
        several = isinstance(direction, (list, tuple)) and len(direction) > 0
        self.directions = list(direction) if several else [direction]
        for each in self.directions:
            check_choice("direction", each, get_args(Direction))

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an array of the same shape and dtype, and record ``flip`` and ``flip_direction``.

        ``flip_direction`` is None if the image was not flipped.
        """
        flip = np.random.random() < self.prob
        direction = None
        if flip:
            several = len(self.directions) > 1
            direction = self.directions[np.random.randint(len(self.directions)) if several else 0]
            results["img"] = imflip(results["img"], direction)  # type: ignore[arg-type]  # checked
        record(results, flip=flip, flip_direction=direction)
        return results


@PIPELINES.register_module()
class Rotate:
    """Rotates ``img`` about its center by a random angle; its size is kept.

    Args:
        angle: Range (low, high) of the angle in degrees, positive for clockwise; or one number, which means the range
            (-angle, angle).
        fill: Value of the pixels from outside the image: a number, or one number for each channel.
        prob: Probability that the image is rotated.
        interpolation: See ``Resize``.
    """

    def __init__(
        self,
        angle: Range,
        fill: Numbers = 0,
        prob: float = 1.0,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        check_choice("interpolation", interpolation, CV2_INTERPOLATIONS)
        self.angle = checked_range("angle", angle)
        if not is_range(angle):
            self.angle = -abs(self.angle[0]), abs(self.angle[0])
        self.fill = fill
        self.prob = check_number("prob", prob, 0, 1)
        self.interpolation = interpolation

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an array of the same shape and dtype."""
        if self.prob >= 1 or np.random.random() < self.prob:
            results["img"] = imrotate(
                results["img"], draw(self.angle), border_value=self.fill, interpolation=self.interpolation
            )
        return results


@PIPELINES.register_module()
class Pad:
    """Pads ``img`` at the right and at the bottom, to a size or to a multiple of a number.

    Args:
        size: Least size (w, h) of the result in pixels, or one number for both edges. An edge that is long enough is
            not changed.
        size_divisor: Number of which both edges become multiples. Exactly one of ``size`` and ``size_divisor`` is
            required.
        pad_val: Value of the added pixels: a number, or one number for each channel.

    Raises:
        ArgumentError: Not exactly one of ``size`` and ``size_divisor`` is given.
    """

    def __init__(
        self, size: Size | None = None, size_divisor: int | None = None, pad_val: Numbers = 0
    ) -> None:
        if (size is None) == (size_divisor is None):
            raise ArgumentError(
                f"Exactly one of size and size_divisor is required, not size={size!r} and "
                f"size_divisor={size_divisor!r}.",
                argument="size",
            )
        self.size = None if size is None else _checked_size("size", size)
        self.size_divisor = None if size_divisor is None else check_integer("size_divisor", size_divisor, 1)
        self.pad_val = pad_val

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an (h, w) or (h, w, C) array of the same dtype, and record ``pad_shape``, its shape.

        ``img_shape`` remains the shape without the added pixels.
        """
        img = results["img"]
        record(results, img_shape=img.shape)
        if self.size is not None:
            img = impad(img, shape=self.size[::-1], pad_val=self.pad_val)
        elif self.size_divisor is not None:
            img = impad_to_multiple(img, self.size_divisor, self.pad_val)
        results["img"] = img
        record(results, pad_shape=img.shape)
        return results


def draw_box(
    height: int, width: int, area: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int] | None:
    """Draw a random rectangle within an image.

    Args:
        height: Height of the image in pixels.
        width: Width of the image.
        area: Range of the area relative to that of the image.
        ratio: Range of the aspect ratio w / h.

    Returns:
        The rectangle (top, left, height, width), or None if none that fits was drawn in ten attempts.
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(_ATTEMPTS):
        pixels = height * width * np.random.uniform(*area)
        aspect = math.exp(np.random.uniform(low, high))
        box_width, box_height = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = np.random.randint(height - box_height + 1)
            left = np.random.randint(width - box_width + 1)
            return top, left, box_height, box_width
    return None


def crop(img: np.ndarray[Any, Any], top: int, left: int, height: int, width: int) -> np.ndarray[Any, Any]:
    """Return a part of an image, which shares its memory."""
    return img[top : top + height, left : left + width]


def positive_range(name: str, value: Any, maximum: float | None = None) -> tuple[float, float]:
    """Return an argument that is a range of positive numbers.

    Raises:
        ArgumentError: It is not (low, high) with 0 < low <= high <= ``maximum``.
    """
    low, high = check_numbers(name, value, 2, "(low, high)", maximum=maximum)
    if not 0 < low <= high < math.inf:
        raise ArgumentError(f"{name} must be (low, high) with 0 < low <= high, not {value!r}.", argument=name)
    return low, high


def _checked_size(name: str, value: Any) -> tuple[int, int]:
    width, height = check_pair(name, value, "(width, height)", minimum=1)
    return int(width), int(height)


def _room(img: np.ndarray[Any, Any], size: tuple[int, int], what: str) -> tuple[int, int]:
    """Return how many rows and columns an image has more than a window of a size (w, h)."""
    rows, columns = img.shape[0] - size[1], img.shape[1] - size[0]
    if min(rows, columns) < 0:
        raise ArgumentError(
            f"A {size[0]}x{size[1]} window does not fit into {what} of shape {img.shape[:2]}.",
            hint="Make the image larger with Resize or Pad before.",
        )
    return rows, columns


def _with_image(results: Results, img: np.ndarray[Any, Any]) -> Results:
    results["img"] = img
    record(results, img_shape=img.shape)
    return results
