"""Show optical flow as colors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from cfgtrain.arguments import check_number, check_numbers
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array
from cfgtrain.video.optflow import check_flow, flowread
from cfgtrain.visualization.window import imshow

__all__ = ["flow2rgb", "flowshow", "make_color_wheel"]

# The corners of the color wheel as RGB: red, yellow, green, cyan, blue, magenta and red again.
_CORNERS = np.array([(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)])
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
    wheel = make_color_wheel() if color_wheel is None else _check_wheel(color_wheel)
    limit = min(check_number("unknown_thr", unknown_thr, 0), _LONGEST)
    whiteness = np.ascontiguousarray((1 - wheel).T)  # what a color lacks to be white
    steps = np.roll(whiteness, -1, axis=1) - whiteness
    bins_per_radian = np.float32((len(wheel) - 1) / (2 * np.pi))
    rgb = np.empty((*flow.shape[:2], 3), np.float32)
    known = np.empty(flow.shape[:2], bool)
    longest = 0.0
    for rows in _slices(len(flow)):
        with np.errstate(over="ignore"):  # numbers that become infinite are unknown flow
            dx, dy = (flow[rows, :, i].astype(np.float32) for i in range(2))
        np.logical_and(np.abs(dx) <= limit, np.abs(dy) <= limit, out=known[rows])  # NaN is not known
        if not known[rows].all():
            dx, dy = np.where(known[rows], dx, np.float32(0)), np.where(known[rows], dy, np.float32(0))
        length = np.sqrt(dx * dx + dy * dy)
        longest = max(longest, float(length.max()))
        place = (np.arctan2(-dy, -dx) + np.float32(np.pi)) * bins_per_radian
        left = np.floor(place)
        fraction = place - left
        bins = left.astype(np.intp)
        planes = [
            (whiteness[channel].take(bins, mode="clip") + fraction * steps[channel].take(bins, mode="clip"))
            * length
            for channel in range(3)
        ]
        cv2.merge(planes, rgb[rows])
    scale = 1 / longest if longest > np.finfo(np.float32).eps else 1.0
    for rows in _slices(len(flow)):
        out = rgb[rows]
        np.subtract(1, np.multiply(out, np.float32(scale), out=out), out=out)
        np.maximum(out, 0, out=out)  # which rounding may have made slightly negative
        if not known[rows].all():
            out[~known[rows]] = 0
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
    ramps = [
        begin + (end - begin) * np.arange(count)[:, None] / count
        for (begin, end), count in zip(pairwise(_CORNERS), counts, strict=True)
    ]
    return np.concatenate(ramps).astype(np.float32)


def _check_wheel(value: Any) -> Array:
    try:
        wheel = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"color_wheel must be an array of numbers (n, 3), not {value!r}.", argument="color_wheel"
        ) from error
    if wheel.ndim != 2 or wheel.shape[1] != 3 or len(wheel) == 0:
        raise ArgumentError(
            f"color_wheel must be an array (n, 3), not of shape {wheel.shape}.", argument="color_wheel"
        )
    return wheel


def _slices(count: int) -> list[slice]:
    return [slice(top, top + _ROWS_AT_ONCE) for top in range(0, count, _ROWS_AT_ONCE)]
