"""Transforms of the image: ``img`` of the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgtrain.errors import ArgumentError
from cfgtrain.image.resize import Interpolation, imresize
from cfgtrain.registries import PIPELINES

__all__ = [
    "Normalize",
    "RandomCrop",
    "Resize",
]

Results = dict[str, Any]


@PIPELINES.register_module()
class Resize:
    """Resize ``img`` to a fixed size.

    Args:
        scale: Target (w, h) in pixels.
        interpolation: One of nearest, bilinear, bicubic, area, lanczos.
    """

    def __init__(self, scale: Sequence[int], interpolation: Interpolation = "bilinear") -> None:
        sides: Sequence[object] = scale  # of a config
        if len(sides) != 2 or not all(isinstance(side, (int, float)) and side >= 1 for side in sides):
            raise ArgumentError(
                f"scale is (width, height) in pixels, at least (1, 1), not {scale!r}.", argument="scale"
            )
        self.scale = (int(scale[0]), int(scale[1]))
        self.interpolation = interpolation

    def __call__(self, results: Results) -> Results:
        """Replace ``img``."""
        results["img"] = imresize(results["img"], self.scale, interpolation=self.interpolation)
        return results


@PIPELINES.register_module()
class RandomCrop:
    """Pad ``img`` on all sides and cut out a window at a random place: a random shift.

    Args:
        size: Side of the square window, in pixels.
        padding: Pixels added on each side first.
        pad_val: What they are filled with.
    """

    def __init__(self, size: int, padding: int = 0, pad_val: float = 0) -> None:
        for name, value, least in (("size", size, 1), ("padding", padding, 0)):
            if value < least:
                raise ArgumentError(f"{name} is at least {least}, not {value!r}.", argument=name)
        self.size = size
        self.padding = padding
        self.pad_val = pad_val

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by a (size, size) or (size, size, C) window."""
        img = results["img"]
        around = [(self.padding, self.padding)] * 2 + [(0, 0)] * (img.ndim - 2)
        img = np.pad(img, around, constant_values=self.pad_val)
        room = img.shape[0] - self.size, img.shape[1] - self.size
        if min(room) < 0:
            raise ArgumentError(
                f"A {self.size}x{self.size} window does not fit into a padded {img.shape[:2]} image."
            )
        top, left = np.random.randint(room[0] + 1), np.random.randint(room[1] + 1)
        results["img"] = img[top : top + self.size, left : left + self.size]
        return results


@PIPELINES.register_module()
class Normalize:
    """Make ``img`` float32 with ``(img - mean) / std``.

    Args:
        mean: A number, or one per channel, in the units of the image.
        std: Likewise, above 0.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.asarray(mean, dtype=np.float32)
        self.std = np.asarray(std, dtype=np.float32)
        if not (self.std > 0).all():
            raise ArgumentError(f"std is above 0, not {std!r}.", argument="std")

    def __call__(self, results: Results) -> Results:
        """Replace ``img``."""
        results["img"] = (results["img"].astype(np.float32) - self.mean) / self.std
        return results
