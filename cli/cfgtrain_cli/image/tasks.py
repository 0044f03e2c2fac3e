"""The operations on one image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np

from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array
from cfgtrain.image.colorspace import bgr2gray
from cfgtrain.image.crop import imcrop
from cfgtrain.image.flip import Direction, imflip, turn_upright
from cfgtrain.image.pad import PaddingMode, impad
from cfgtrain.image.rescale import rescale_size
from cfgtrain.image.resize import Interpolation, imresize
from cfgtrain.image.transparency import has_alpha, opaque_value, resample
from cfgtrain.image.warp import imrotate
from cfgtrain.image_files.header import Size
from cfgtrain.image_files.reader import Picture
from cfgtrain_cli.image.fill import Colour, channel_fill

_MAX_PIXELS = 1 << 30  # OpenCV does not read larger images
_QUARTER_TURNS = {0: 1, 90: 6, 180: 3, 270: 8}  # the EXIF orientation that asks for a turn by this angle


class Task(Protocol):
    """An operation on an image.

    Attributes:
        done: Past tense of the operation, for reports, such as "Resized".
        may_reduce: Whether a JPEG may be decoded smaller than it is, if the result is smaller.
    """

    done: ClassVar[str]
    may_reduce: ClassVar[bool]

    def new_size(self, size: Size) -> Size:
        """Return the (w, h) of the result for an image of this (w, h)."""
        ...

    def apply(self, picture: Picture) -> Array:
        """Return the pixels of the result."""
        ...


@dataclass(frozen=True)
class Resize:
    """Resize images.

    Attributes:
        size: The (w, h) of the result, or with ``keep_ratio``, of the box that it fits into.
        scale: A factor for width and height.
        long_edge: Length of the longer edge in pixels; with ``short_edge``, an upper bound.
        short_edge: Length of the shorter edge in pixels; with ``long_edge``, an upper bound.
        keep_ratio: Whether to keep the aspect ratio.
        shrink_only: Whether images that would become larger keep their size.
        interpolation: As for `imresize`; auto uses area to shrink and bicubic to enlarge.
    """

    size: Size | None = None
    scale: float | None = None
    long_edge: int | None = None
    short_edge: int | None = None
    keep_ratio: bool = False
    shrink_only: bool = False
    interpolation: Interpolation | Literal["auto"] = "auto"
    done: ClassVar[str] = "Resized"
    may_reduce: ClassVar[bool] = True

    def new_size(self, size: Size) -> Size:
        """Return the size of the result, at least one pixel each."""
        if self.size and not self.keep_ratio:
            new = self.size
        else:
            width, height = rescale_size(size, self._factor(size))
            new = (max(width, 1), max(height, 1))
        if self.shrink_only and (new[0] > size[0] or new[1] > size[1]):
            return size
        return _checked(new)

    def apply(self, picture: Picture) -> Array:
        """Return the resized pixels."""
        new = self.new_size(picture.size)
        height, width = picture.pixels.shape[:2]
        if new == (width, height):
            return picture.pixels
        interpolation = self.interpolation
        if interpolation == "auto":
            interpolation = "area" if new[0] * new[1] <= width * height else "bicubic"
        if interpolation == "nearest":
            return imresize(picture.pixels, new, interpolation="nearest")
        return resample(picture.pixels, lambda pixels: imresize(pixels, new, interpolation=interpolation))

    def _factor(self, size: Size) -> float:
        width, height = size
        if self.size:
            return min(self.size[0] / width, self.size[1] / height)
        if self.scale:
            return self.scale
        bounds = ((self.long_edge, max(size)), (self.short_edge, min(size)))
        return min(edge / now for edge, now in bounds if edge)


@dataclass(frozen=True)
class Flip:
    """Flip images, after they are rotated upright."""

    direction: Direction
    done: ClassVar[str] = "Flipped"
    may_reduce: ClassVar[bool] = False

    def new_size(self, size: Size) -> Size:
        """Return the size unchanged."""
        return size

    def apply(self, picture: Picture) -> Array:
        """Return the flipped pixels."""
        return imflip(picture.pixels, self.direction)


@dataclass(frozen=True)
class Rotate:
    """Rotate images, after they are rotated upright.

    Attributes:
        angle: Angle in degrees, clockwise. Multiples of 90 turn the whole image, without resampling.
        expand: Whether the result is as large as the whole rotated image requires.
        interpolation: As for `imrotate`.
        fill: The colour of the corners; None for black, or transparent in an image with alpha.
    """

    angle: float
    expand: bool = False
    interpolation: Interpolation = "bilinear"
    fill: Colour | None = None
    done: ClassVar[str] = "Rotated"
    may_reduce: ClassVar[bool] = False

    def new_size(self, size: Size) -> Size:
        """Return the size of the result."""
        width, height = size
        if self.angle % 360 in _QUARTER_TURNS:
            return (height, width) if self.angle % 180 else size
        if not self.expand:
            return size
        sin, cos = abs(math.sin(math.radians(self.angle))), abs(math.cos(math.radians(self.angle)))
        return _checked(
            (max(round(height * sin + width * cos), 1), max(round(height * cos + width * sin), 1))
        )

    def apply(self, picture: Picture) -> Array:
        """Return the rotated pixels."""
        pixels = picture.pixels
        if self.angle % 360 in _QUARTER_TURNS:
            return turn_upright(pixels, _QUARTER_TURNS[int(self.angle % 360)])
        self.new_size(picture.size)
        values = np.array(channel_fill(self.fill, pixels), np.float64)
        if has_alpha(pixels) and self.interpolation != "nearest":
            values[:3] *= values[3] / opaque_value(pixels)  # like the colours that `resample` weights

        def rotated(img: Array) -> Array:
            return imrotate(
                img,
                self.angle,
                border_value=values.tolist(),
                interpolation=self.interpolation,
                auto_bound=self.expand,
            )

        return rotated(pixels) if self.interpolation == "nearest" else resample(pixels, rotated)


@dataclass(frozen=True)
class Crop:
    """Crop images, after they are rotated upright.

    Attributes:
        box: (x, y, w, h) of the part to keep, in pixels.
        size: (w, h) of a part at the centre, if ``box`` is None.
    """

    box: tuple[int, int, int, int] | None = None
    size: Size | None = None
    done: ClassVar[str] = "Cropped"
    may_reduce: ClassVar[bool] = False

    def new_size(self, size: Size) -> Size:
        """Return the size of the box."""
        return self._box(size)[2:]

    def apply(self, picture: Picture) -> Array:
        """Return the pixels in the box."""
        x, y, width, height = self._box(picture.size)
        patch = imcrop(picture.pixels, np.array([x, y, x + width - 1, y + height - 1]))
        return patch[0] if isinstance(patch, list) else patch

    def _box(self, size: Size) -> tuple[int, int, int, int]:
        if self.box is None:
            new = self.size or size
            x, y, width, height = (size[0] - new[0]) // 2, (size[1] - new[1]) // 2, *new
        else:
            x, y, width, height = self.box
        if min(x, y) < 0 or x + width > size[0] or y + height > size[1]:
            place = f" at {x},{y}" if self.box else ""
            raise ArgumentError(
                f"The box of {width}x{height}{place} is not inside the image of {size[0]}x{size[1]}."
            )
        return x, y, width, height


@dataclass(frozen=True)
class Pad:
    """Pad images, after they are rotated upright.

    Attributes:
        size: Least (w, h) of the result; pixels are added at the right and at the bottom.
        padding: Numbers of pixels to add: left, top, right, bottom.
        to_multiple: A number of which width and height become multiples, at the right and at the bottom.
        fill: The colour of the new pixels; None for black, or transparent in an image with alpha.
        mode: As for `impad`.
    """

    size: Size | None = None
    padding: tuple[int, int, int, int] | None = None
    to_multiple: int = 1
    fill: Colour | None = None
    mode: PaddingMode = "constant"
    done: ClassVar[str] = "Padded"
    may_reduce: ClassVar[bool] = False

    def new_size(self, size: Size) -> Size:
        """Return the size of the result."""
        left, top, right, bottom = self._sides(size)
        return _checked((left + size[0] + right, top + size[1] + bottom))

    def apply(self, picture: Picture) -> Array:
        """Return the padded pixels."""
        self.new_size(picture.size)
        pixels, sides = picture.pixels, self._sides(picture.size)
        return impad(pixels, padding=sides, pad_val=channel_fill(self.fill, pixels), padding_mode=self.mode)

    def _sides(self, size: Size) -> tuple[int, int, int, int]:
        if self.padding:
            return self.padding
        by = self.to_multiple
        wanted = self.size or (-(-size[0] // by) * by, -(-size[1] // by) * by)
        return 0, 0, max(wanted[0] - size[0], 0), max(wanted[1] - size[1], 0)


@dataclass(frozen=True)
class Convert:
    """Write images in another format, after they are rotated upright.

    Attributes:
        grayscale: Whether to convert colours to gray.
    """

    grayscale: bool = False
    done: ClassVar[str] = "Converted"
    may_reduce: ClassVar[bool] = False

    def new_size(self, size: Size) -> Size:
        """Return the size unchanged."""
        return size

    def apply(self, picture: Picture) -> Array:
        """Return the pixels, in gray if wanted. With alpha, all three colours become the gray."""
        pixels = picture.pixels
        if not self.grayscale or pixels.ndim == 2:
            return pixels
        gray = bgr2gray(pixels[..., :3])
        return np.dstack([gray, gray, gray, pixels[..., 3]]) if has_alpha(pixels) else gray


def _checked(size: Size) -> Size:
    """Return a size that is not too large."""
    if size[0] * size[1] > _MAX_PIXELS:
        raise ArgumentError(
            f"The result would be too large: {size[0]}x{size[1]}, and at most {_MAX_PIXELS} pixels are supported."
        )
    return size
