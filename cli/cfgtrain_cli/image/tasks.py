"""What is done to one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from cfgtrain.errors import ArgumentError
from cfgtrain.image.backends import Array
from cfgtrain.image.flip import Direction, imflip
from cfgtrain.image.picture import Picture, Size, resize_picture
from cfgtrain.image.resize import Interpolation, rescale_size

_MOST_PIXELS = 1 << 30  # OpenCV reads no larger picture back


class Task(Protocol):
    """Something to do to each picture."""

    done: str

    def wanted(self, size: Size) -> Size:
        """Return the (w, h) that a picture of this (w, h) comes to."""
        ...

    def apply(self, picture: Picture) -> Array:
        """Return the new pixels."""
        ...


@dataclass(frozen=True)
class Resize:
    """Give pictures another size.

    Attributes:
        size: The (w, h) to come to, or to fit into with ``keep_ratio``.
        scale: A factor.
        long_edge: Length of the longer edge in pixels; with ``short_edge``, a bound.
        short_edge: Length of the shorter edge.
        keep_ratio: Whether ``size`` is a box to fit into.
        shrink_only: Whether smaller pictures stay as they are.
        interpolation: Of `imresize`; auto takes area to shrink and bicubic to enlarge.
    """

    size: Size | None = None
    scale: float | None = None
    long_edge: int | None = None
    short_edge: int | None = None
    keep_ratio: bool = False
    shrink_only: bool = False
    interpolation: Interpolation | Literal["auto"] = "auto"
    done = "Resized"

    def wanted(self, size: Size) -> Size:
        """Return the (w, h) that a picture of this (w, h) comes to; at least one pixel each."""
        if self.size and not self.keep_ratio:
            new = self.size
        else:
            width, height = rescale_size(size, self._factor(size))
            new = (max(width, 1), max(height, 1))
        if self.shrink_only and (new[0] > size[0] or new[1] > size[1]):
            return size
        if new[0] * new[1] > _MOST_PIXELS:
            raise ArgumentError(f"It would become {new[0]}x{new[1]} pixels, and {_MOST_PIXELS} are the most.")
        return new

    def apply(self, picture: Picture) -> Array:
        """Return the resized pixels."""
        new = self.wanted(picture.size)
        height, width = picture.pixels.shape[:2]
        interpolation = self.interpolation
        if interpolation == "auto":
            interpolation = "area" if new[0] * new[1] <= width * height else "bicubic"
        return resize_picture(picture.pixels, new, interpolation)

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
    """Mirror pictures, after they are put upright."""

    direction: Direction
    done = "Flipped"

    def wanted(self, size: Size) -> Size:
        """Return the size: it stays."""
        return size

    def apply(self, picture: Picture) -> Array:
        """Return the mirrored pixels."""
        return imflip(picture.pixels, self.direction)
