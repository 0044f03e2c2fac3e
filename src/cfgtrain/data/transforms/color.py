"""Transforms of the values of the image in the results, ``img``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgtrain.arguments import check_type
from cfgtrain.data.transforms.ranges import Range, checked_range, draw, is_range
from cfgtrain.data.transforms.results import Results, record
from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array, count_channels
from cfgtrain.image.normalize import channel_order, planes_by_table
from cfgtrain.image.photometric import adjust_color, adjust_hue
from cfgtrain.image.point_operations import adjust_brightness, adjust_contrast
from cfgtrain.registries import PIPELINES

__all__ = ["ColorJitter", "Normalize"]


_FUNCTIONS = (
    ("brightness", adjust_brightness),
    ("contrast", adjust_contrast),
    ("saturation", adjust_color),
    ("hue", adjust_hue),
)


@PIPELINES.register_module()
class Normalize:
    """Normalizes ``img`` to ``(img - mean) / std`` in float32.

    Args:
        mean: Mean, a number or one number per channel in the order of the result, in the units of the image.
        std: Standard deviation, a positive number or one per channel, likewise.
        to_rgb: Whether to swap the first and third of three or four channels before, from BGR to RGB. It has no
            effect on a gray image.

    Raises:
        ArgumentError: ``std`` is not positive.
    """

    def __init__(
        self, mean: float | Sequence[float], std: float | Sequence[float], to_rgb: bool = False
    ) -> None:
        self.mean = np.asarray(mean, dtype=np.float32)
        self.std = np.asarray(std, dtype=np.float32)
        if not (self.std > 0).all():
            raise ArgumentError(f"std must be positive, not {std!r}.", argument="std")
        self.to_rgb = check_type("to_rgb", to_rgb, bool, "True or False")
        levels = np.arange(256, dtype=np.float32)[:, None]
        # The result for each uint8 value, (1 or C, 256)
        self._tables = np.ascontiguousarray(((levels - self.mean) / self.std).T)

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by a float32 array of the same shape, and record ``img_norm_cfg``, the arguments.

        In memory, the channels of the result are one after the other, so that ``ImageToTensor`` does not copy it.

        Raises:
            ArgumentError: The image does not have as many channels as there are numbers, or ``to_rgb`` is True
                and it has two channels or more than four.
        """
        img = results["img"]
        channels = count_channels(img)
        self._check_channels(img, channels)
        order = channel_order(channels, self.to_rgb and channels > 1)
        if img.dtype == np.uint8:
            tables = self._tables if len(self._tables) == channels else self._tables.repeat(channels, axis=0)
            results["img"] = planes_by_table(img, order, tables).transpose(1, 2, 0).reshape(img.shape)
        else:
            if self.to_rgb and channels > 1:
                img = img[..., order]
            results["img"] = (img.astype(np.float32) - self.mean) / self.std
        record(results, img_norm_cfg={"mean": self.mean, "std": self.std, "to_rgb": self.to_rgb})
        return results

    def _check_channels(self, img: Array, channels: int) -> None:
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers.size not in (1, channels):
                raise ArgumentError(
                    f"{name} has {numbers.size} numbers, but the image has {channels} "
                    f"channel{'s' * (channels > 1)}: its shape is {img.shape}.",
                    argument=name,
                )
        if self.to_rgb and channels not in (1, 3, 4):
            raise ArgumentError(
                f"to_rgb must be False for an image with {channels} channels: only 3 or 4 can be BGR or RGB.",
                argument="to_rgb",
            )


@PIPELINES.register_module()
class ColorJitter:
    """Changes brightness, contrast, saturation and hue of ``img`` by random amounts, in random order.

    The first three are factors, of which 1 keeps the image: a number ``x`` means the range (1 - x, 1 + x), but not
    below 0. A gray image has neither saturation nor hue, and keeps its values then.

    Args:
        brightness: Number, or range (low, high) of the factor; see ``adjust_brightness``.
        contrast: Number, or range (low, high) of the factor; see ``adjust_contrast``.
        saturation: Number, or range (low, high) of the factor; see ``adjust_color``.
        hue: Shift of the hue in turns of the color circle: range (low, high) within (-0.5, 0.5), or a number ``x``,
            which means (-x, x); see ``adjust_hue``.

    Raises:
        ArgumentError: An argument is out of its range.
    """

    def __init__(
        self, brightness: Range = 0, contrast: Range = 0, saturation: Range = 0, hue: Range = 0
    ) -> None:
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = checked_range("hue", hue, -0.5, 0.5)
        if not is_range(hue):
            self.hue = -abs(self.hue[0]), abs(self.hue[0])
        neutral = {"hue": (0, 0)}
        self._changes = [
            (function, getattr(self, name))
            for name, function in _FUNCTIONS
            if getattr(self, name) != neutral.get(name, (1, 1))
        ]

    def __call__(self, results: Results) -> Results:
        """Replace ``img`` by an array of the same shape and dtype."""
        img = results["img"]
        for i in np.random.permutation(len(self._changes)):
            change, limits = self._changes[i]
            img = change(img, draw(limits))
        results["img"] = img
        return results


def _factors(name: str, value: Any) -> tuple[float, float]:
    """Return the range of a factor that is given as a range, or as the greatest distance from 1."""
    low, high = checked_range(name, value, 0)
    return (low, high) if is_range(value) else (max(0, 1 - high), 1 + high)
