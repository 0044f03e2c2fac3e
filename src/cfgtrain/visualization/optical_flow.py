"""Show optical flow as colors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from cfgtrain.arguments import check_number, check_numbers
from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array
from cfgtrain.video.optflow import check_flow, flowread
from cfgtrain.visualization.window import imshow

__all__ = ["flow2rgb", "flowshow", "make_color_wheel"]

_BINS = (15, 6, 4, 11, 13, 6)
_LONGEST = 1e18  # the square of longer flow is not a finite float32
_ROWS_AT_ONCE = 32  # few enough for their temporary arrays to stay in the CPU cache


def flowshow(flow: Array | str | os.PathLike[str], win_name: str = "", wait_time: int = 0) -> None:
    """Show optical flow as an image.

    Args:
        flow: Flow (H, W, 2), or the path of a file that ``flowread`` reads.
        win_name: See ``imshow``.
        wait_time: See ``imshow``.

    Raises:
        ArgumentError: The array is not flow; see ``flow2rgb``.
        FlowFileError: The file is not a flow file.
    """
    imshow(cv2.cvtColor(flow2rgb(flowread(flow)), cv2.COLOR_RGB2BGR), win_name, wait_time)


def flow2rgb(
    flow: Array, color_wheel: Array | Sequence[Sequence[float]] | None = None, unknown_thr: float = 1e6
) -> Array:
    """Convert optical flow to colors: the direction becomes the hue, the length the saturation.

    Args:
        flow: Flow (H, W, 2) as (dx, dy) in pixels, of any integer or float dtype.
        color_wheel: RGB colors (n, 3) from 0 to 1 of the directions; by default ``make_color_wheel()``.
        unknown_thr: Flow is unknown where the absolute value of a component is greater than this or NaN.

    Returns:
        RGB image (H, W, 3) of float32 from 0 to 1. Zero flow is white, unknown flow is black, and the longest
        flow has the colors of the wheel.

    Raises:
        ArgumentError: The flow or the wheel has another shape, or ``unknown_thr`` is negative.
        ArgumentTypeError: They are not arrays of numbers.
    """
    flow = check_flow(flow)
    if flow.dtype != np.float64:
        flow = flow.astype(np.float32, copy=False)
    wheel = make_color_wheel() if color_wheel is None else _check_wheel(color_wheel)
    limit = min(check_number("unknown_thr", unknown_thr, 0), _LONGEST)
    longest = max(float(np.sqrt(_squares(part, limit)[2].max())) for part in _parts(flow))
    scale = np.float32(1 / longest if longest > np.finfo(np.float32).eps else 1)
    whiteness = np.ascontiguousarray((1 - wheel).T)  # what a color lacks to be white
    steps = np.roll(whiteness, -1, axis=1) - whiteness
    rgb = np.empty((*flow.shape[:2], 3), np.float32)
    for part, out in zip(_parts(flow), _parts(rgb), strict=True):
        dx, dy, squares, unknown = _squares(part, limit)
        length = np.sqrt(squares).astype(np.float32, copy=False) * scale
        place = (np.arctan2(-dy, -dx).astype(np.float32) / np.float32(np.pi) + 1) / 2 * (len(wheel) - 1)
        bins = place.astype(np.intp)
        fraction = place - bins
        for channel in range(3):
            color = whiteness[channel].take(bins) + fraction * steps[channel].take(bins)
            np.subtract(1, color * length, out=out[..., channel])
        out[unknown] = 0
    return rgb


def make_color_wheel(bins: Sequence[int] | Array | None = None) -> Array:
    """Return the color wheel of the Middlebury flow benchmark (Baker et al. 2007).

    Args:
        bins: The number of colors of the six ramps from red to yellow, yellow to green, green to cyan, cyan to
            blue, blue to magenta and magenta to red; by default 15, 6, 4, 11, 13 and 6.

    Returns:
        RGB colors (n, 3) of float32 from 0 to 1, where n is the sum of ``bins``.

    Raises:
        ArgumentError: There are not six numbers, or one is not positive.
        ArgumentTypeError: ``bins`` is not a sequence of integers.
    """
    counts = check_numbers("bins", _BINS if bins is None else bins, 6, integers=True, minimum=1)
    ramps = []
    for i, count in enumerate(counts):
        rising = np.arange(count, dtype=np.float32) / np.float32(count)
        one, zero = np.ones_like(rising), np.zeros_like(rising)
        ramps.append(
            (
                (one, rising, zero),
                (1 - rising, one, zero),
                (zero, one, rising),
                (zero, 1 - rising, one),
                (rising, zero, one),
                (one, zero, 1 - rising),
            )[i]
        )
    return np.concatenate([np.stack(ramp, axis=1) for ramp in ramps])


def _check_wheel(value: Any) -> Array:
    wheel = np.asarray(value, np.float32)
    if wheel.ndim != 2 or wheel.shape[1] != 3 or len(wheel) == 0:
        raise ArgumentError(
            f"color_wheel must be an array (n, 3), not of shape {wheel.shape}.", argument="color_wheel"
        )
    return wheel


def _parts(array: Array) -> list[Array]:
    return [array[top : top + _ROWS_AT_ONCE] for top in range(0, len(array), _ROWS_AT_ONCE)]


def _squares(flow: Array, limit: float) -> tuple[Array, Array, Array, Array]:
    """Return dx, dy and the squared lengths, which are 0 where the flow is unknown, and where it is."""
    dx, dy = np.ascontiguousarray(flow[..., 0]), np.ascontiguousarray(flow[..., 1])
    unknown = ~((np.abs(dx) <= limit) & (np.abs(dy) <= limit))  # also true for NaN
    if unknown.any():
        dx, dy = np.where(unknown, 0, dx), np.where(unknown, 0, dy)
    return dx, dy, dx * dx + dy * dy, unknown
