"""Transforms of the image in the results, ``img``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgtrain.arguments import check_integer, check_numbers
from cfgtrain.errors import ArgumentError
from cfgtrain.image.resize import Interpolation, imresize
from cfgtrain.registries import PIPELINES

__all__ = ["Normalize", "RandomCrop", "Resize"]

Results = dict[str, Any]


@PIPELINES.register_module()
class Resize:
    """Resizes ``img`` to a fixed size.

    Args:
        scale: Target size (w, h) in pixels.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``lanczos``.
    """

    def __init__(self, scale: Sequence[int], interpolation: Interpolation = "bilinear") -> None:
        width, height = check_numbers("scale", scale, 2, "(width, height)", minimum=1)
        self.scale = (int(width), int(height))
        self.interpolation = interpolation

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an (h, w) or (h, w, C) array of the same dtype."""
        results["img"] = imresize(results["img"], self.scale, interpolation=self.interpolation)
        return results


@PIPELINES.register_module()
class RandomCrop:
    """Pads ``img`` on all sides and crops a square window at a random position.

    Args:
        size: Side length of the window in pixels.
        padding: Number of pixels to add on each side before cropping.
        pad_val: Value of the added pixels.
    """

    def __init__(self, size: int, padding: int = 0, pad_val: float = 0) -> None:
        self.size = check_integer("size", size, 1)
        self.padding = check_integer("padding", padding, 0)
        self.pad_val = pad_val

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by a (size, size) or (size, size, C) window.

        Raises:
            ArgumentError: The window is larger than the padded image.
        """
        img = results["img"]
        widths = [(self.padding, self.padding)] * 2 + [(0, 0)] * (img.ndim - 2)
        img = np.pad(img, widths, constant_values=self.pad_val)
        room = img.shape[0] - self.size, img.shape[1] - self.size
        if min(room) < 0:
            raise ArgumentError(
                f"A {self.size}x{self.size} window does not fit into a padded image of shape {img.shape[:2]}."
            )
        top, left = np.random.randint(room[0] + 1), np.random.randint(room[1] + 1)
        results["img"] = img[top : top + self.size, left : left + self.size]
        return results


@PIPELINES.register_module()
class Normalize:
    """Normalizes ``img`` to ``(img - mean) / std`` in float32.

    Args:
        mean: Mean, a number or one number per channel, in the units of the image.
        std: Standard deviation, a positive number or one per channel, in the units of the image.

    Raises:
        ArgumentError: ``std`` is not positive.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.asarray(mean, dtype=np.float32)
        self.std = np.asarray(std, dtype=np.float32)
        if not (self.std > 0).all():
            raise ArgumentError(f"std must be positive, not {std!r}.", argument="std")

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by a float32 array of the same shape."""
        results["img"] = (results["img"].astype(np.float32) - self.mean) / self.std
        return results
