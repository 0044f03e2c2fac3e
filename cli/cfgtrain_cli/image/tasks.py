"""The operations on one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array
from cfgtrain.image.flip import Direction, imflip
from cfgtrain.image.rescale import rescale_size
from cfgtrain.image.resize import Interpolation, imresize
from cfgtrain.image.transparency import resample
from cfgtrain.image_files.header import Size
from cfgtrain.image_files.reader import Picture

_MAX_PIXELS = 1 << 30  # OpenCV does not read larger images


class Task(Protocol):
    """An operation on an image.

    Attributes:
        done: Past tense of the operation, for reports, such as "Resized".
    """

    done: str

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
    done = "Resized"

    def new_size(self, size: Size) -> Size:
        """Return the (w, h) of the result, at least one pixel each, for an image of this (w, h)."""
        if self.size and not self.keep_ratio:
            new = self.size
        else:
            width, height = rescale_size(size, self._factor(size))
            new = (max(width, 1), max(height, 1))
        if self.shrink_only and (new[0] > size[0] or new[1] > size[1]):
            return size
        if new[0] * new[1] > _MAX_PIXELS:
            raise ArgumentError(
                f"The result would be too large: {new[0]}x{new[1]}, and at most {_MAX_PIXELS} pixels are supported."
            )
        return new

    def apply(self, picture: Picture) -> Array:
        """Return the resized pixels."""
        new = self.new_size(picture.size)
        height, width = picture.pixels.shape[:2]
        interpolation = self.interpolation
        if interpolation == "auto":
            interpolation = "area" if new[0] * new[1] <= width * height else "bicubic"
        if new == (width, height):
            return picture.pixels
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
    done = "Flipped"

    def new_size(self, size: Size) -> Size:
        """Return the size unchanged."""
        return size

    def apply(self, picture: Picture) -> Array:
        """Return the flipped pixels."""
        return imflip(picture.pixels, self.direction)
