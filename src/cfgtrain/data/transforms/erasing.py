"""Erase a part of the image in the results, ``img``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from cfgtrain.arguments import check_number
from cfgtrain.data.transforms.geometry import crop, draw_box, positive_range
from cfgtrain.data.transforms.results import Results
from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Numbers, channel_values, fill
from cfgtrain.registries import PIPELINES

__all__ = ["RandomErasing"]


@PIPELINES.register_module()
class RandomErasing:
    """Fills a random rectangle of ``img``; see "Random Erasing Data Augmentation" (https://arxiv.org/abs/1708.04896).

    Args:
        prob: Probability that a rectangle is erased.
        area: Range (low, high) of its area, relative to that of the image.
        ratio: Range (low, high) of its aspect ratio w / h; its logarithm is drawn uniformly.
        fill: Value of its pixels: a number, one number for each channel, or ``random`` for random values: of all
            values of an integer dtype, and normally distributed with mean 0 and standard deviation 1 for floats,
            which fits an image after ``Normalize``.

    Raises:
        ArgumentError: An argument is out of its range, or ``fill`` is another text.
    """

    def __init__(
        self,
        prob: float = 0.5,
        area: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        fill: Numbers | Literal["random"] = 0,
    ) -> None:
        self.prob = check_number("prob", prob, 0, 1)
        self.area = positive_range("area", area, 1)
        self.ratio = positive_range("ratio", ratio)
        if isinstance(fill, str) and fill != "random":
            raise ArgumentError(f"fill must be a number or 'random', not {fill!r}.", argument="fill")
        self.fill = fill

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by a copy of the same shape and dtype."""
        if np.random.random() >= self.prob:
            return results
        img = results["img"]
        box = draw_box(img.shape[0], img.shape[1], self.area, self.ratio)
        if box is None:
            return results
        img = img.copy()
        part = crop(img, *box)
        if isinstance(self.fill, str):
            part[...] = _noise(part.shape, img.dtype)
        else:
            fill(part, channel_values("fill", self.fill, img))
        results["img"] = img
        return results


def _noise(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if dtype.kind == "f":
        return np.random.standard_normal(shape)
    limits = np.iinfo(dtype)
    return np.random.randint(int(limits.min), int(limits.max) + 1, shape, dtype)
