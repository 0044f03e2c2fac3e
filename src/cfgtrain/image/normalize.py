"""Normalize images by mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import (
    Array,
    channel_numbers,
    check_image,
    check_writable,
    count_channels,
    dtype_name,
)
from cfgtrain.image.point_table import apply_table

__all__ = ["imdenormalize", "imnormalize", "imnormalize_"]

PerChannel = float | Sequence[float] | Array
Step = tuple[Literal["add", "subtract", "multiply"], Sequence[float]]  # with the number for each channel

_FLOATS = ("float32", "float64")
_CV2_DTYPES = ("uint8", "uint16", "float32")
_BLOCK_BYTES = 1 << 19  # of results, which stay in the cache of a CPU core from step to step


def imnormalize(
    img: Array, mean: PerChannel, std: PerChannel, to_rgb: bool = True, *, channels_first: bool = False
) -> Array:
    """Normalize an image: ``(img - mean) / std`` for each channel, in float32.

    Args:
        img: (H, W) or (H, W, C) array of real numbers of any dtype.
        mean: Mean in the units of the image: one number, or one for each channel, in the order of the result.
        std: Standard deviation, likewise. It is positive.
        to_rgb: Whether to swap the first and third channel before, from BGR to RGB. It has no effect on one channel.
        channels_first: Whether to return (C, H, W), as models take it. This is faster than a transpose afterwards.

    Returns:
        Contiguous float32 array with the shape of ``img``, or (C, H, W) with ``channels_first``.

    Raises:
        ArgumentTypeError: ``img`` is not an array of real numbers.
        ArgumentError: ``mean`` or ``std`` does not fit the image, or two or more than four channels cannot be
            converted to RGB.
    """
    channels = count_channels(check_image(img, real=True))
    swap, steps = _swapped("to_rgb", to_rgb, img), _normalization(mean, std, img)
    if channels_first:
        return _normalize_planes(img, channel_order(channels, swap), steps)
    if img.dtype == np.uint8:
        return apply_table(_swap(img) if swap else img, _table_of(steps, channels))
    return apply_steps(img, np.empty(img.shape, np.float32), swap, steps)


def imnormalize_(img: Array, mean: PerChannel, std: PerChannel, to_rgb: bool = True) -> Array:
    """Normalize an image in place, and return it; see ``imnormalize``.

    Args:
        img: (H, W) or (H, W, C) array of float32 or float64, which is changed.
        mean: See ``imnormalize``.
        std: See ``imnormalize``.
        to_rgb: See ``imnormalize``.

    Raises:
        ArgumentTypeError: ``img`` is not an array of floats, so that it cannot hold the result.
        ArgumentError: See ``imnormalize``, or ``img`` is read-only.
    """
    check_writable("imnormalize", check_image(img, _FLOATS))
    return apply_steps(img, img, _swapped("to_rgb", to_rgb, img), _normalization(mean, std, img))


def imdenormalize(img: Array, mean: PerChannel, std: PerChannel, to_bgr: bool = True) -> Array:
    """Reverse the normalization of an image: ``img * std + mean`` for each channel.

    Args:
        img: (H, W) or (H, W, C) array of float32 or float64.
        mean: See ``imnormalize``.
        std: See ``imnormalize``.
        to_bgr: Whether to swap the first and third channel afterwards, from RGB to BGR. It has no effect on one
            channel.

    Returns:
        The image, a copy with the same dtype, not rounded or limited to a range.

    Raises:
        ArgumentTypeError: ``img`` is not an array of floats.
        ArgumentError: See ``imnormalize``.
    """
    channels = count_channels(check_image(img, _FLOATS))
    swap = _swapped("to_bgr", to_bgr, img)
    order = channel_order(channels, swap)
    stds, means = channel_numbers("std", std, channels), channel_numbers("mean", mean, channels)
    steps: list[Step] = [("multiply", [stds[i] for i in order]), ("add", [means[i] for i in order])]
    return apply_steps(img, np.empty(img.shape, img.dtype), swap, steps)


def channel_order(channels: int, swap: bool) -> list[int]:
    """Return the indices of the channels, with the first and third swapped if ``swap`` is true."""
    return [2, 1, 0, *range(3, channels)] if swap else list(range(channels))


def apply_steps(img: Array, out: Array, swap: bool, steps: Sequence[Step]) -> Array:
    """Apply arithmetic with one number per channel to an image.

    Args:
        img: (H, W) or (H, W, C).
        out: Array of the same shape, float32 or float64, to which the result is written. It may be ``img``.
        swap: Whether to swap the first and third of 3 or 4 channels before.
        steps: The operations, one or more.

    Returns:
        ``out``.
    """
    if not out.flags.c_contiguous:
        out[...] = apply_steps(img, np.empty(out.shape, out.dtype), swap, steps)
        return out
    # Operands are as long as a row, since NumPy is slow on an axis as short as that of the channels.
    operands = [(name, np.tile(np.asarray(numbers, out.dtype), img.shape[1])) for name, numbers in steps]
    rows = _rows_at_once(out)
    for top in range(0, len(img), rows):
        source, part = img[top : top + rows], out[top : top + rows]
        part[...] = _swap(source) if swap else source
        lines = part.reshape(len(part), -1)
        for name, operand in operands:
            getattr(np, name)(lines, operand, out=lines)
    return out


def _table_of(steps: Sequence[Step], channels: int) -> Array:
    """Return the result of arithmetic for each uint8 value and channel, (256, C), in float32.

    Products are computed in float64 before, so that the bits are those of OpenCV and MMCV.
    """
    values: Array = np.arange(256, dtype=np.float32)[:, None].repeat(channels, axis=1)
    for name, numbers in steps:
        operand = np.asarray(numbers, np.float64 if name == "multiply" else np.float32)
        values = getattr(np, name)(values, operand).astype(np.float32)
    return values


def planes_by_table(img: Array, order: Sequence[int], tables: Array) -> Array:
    """Return the channels of an image one after the other, with each value replaced by that in a table.

    Args:
        img: (H, W) or (H, W, C) array of uint8.
        order: Index of the channel of ``img`` for each channel of the result.
        tables: (C, 256), the float32 value for each uint8 value, for each channel of the result.

    Returns:
        Contiguous float32 array (C, H, W).
    """
    out = np.empty((len(order), *img.shape[:2]), np.float32)
    rows = max(1, _BLOCK_BYTES * len(img) // img.size)  # of bytes that are read
    for top in range(0, len(img), rows):
        planes = _split(img[top : top + rows])
        for channel, source in enumerate(order):
            plane = np.ascontiguousarray(planes[source])
            cv2.LUT(plane, tables[channel : channel + 1], out[channel, top : top + rows])
    return out


def _normalize_planes(img: Array, order: Sequence[int], steps: Sequence[Step]) -> Array:
    """Return an image as (C, H, W) after arithmetic, with its channels in a given order."""
    if img.dtype == np.uint8:
        return planes_by_table(img, order, np.ascontiguousarray(_table_of(steps, len(order)).T))
    out = np.empty((len(order), *img.shape[:2]), np.float32)
    rows = _rows_at_once(img)
    for top in range(0, len(img), rows):
        planes = _split(img[top : top + rows])
        for channel, source in enumerate(order):
            part = out[channel, top : top + rows]
            part[...] = planes[source]
            for name, numbers in steps:
                getattr(np, name)(part, np.float32(numbers[channel]), out=part)
    return out


def _rows_at_once(img: Array) -> int:
    return max(1, _BLOCK_BYTES * len(img) // (img.size * 4))


def _split(img: Array) -> Sequence[Array]:
    if img.ndim == 2:
        return [img]
    if img.shape[2] in (3, 4) and dtype_name(img.dtype) in _CV2_DTYPES:
        return cv2.split(img)
    return [img[..., channel] for channel in range(img.shape[2])]


def _swap(img: Array) -> Array:
    if dtype_name(img.dtype) in _CV2_DTYPES:
        return cv2.cvtColor(img, cv2.COLOR_BGR2RGB if img.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return img[..., channel_order(img.shape[2], swap=True)]


def _swapped(name: str, value: bool, img: Array) -> bool:
    channels = count_channels(img)
    if value and channels not in (1, 3, 4):
        raise ArgumentError(
            f"{name} must be False for an image with {channels} channels: only 3 or 4 can be BGR or RGB.",
            argument=name,
        )
    return bool(value) and channels > 1


def _normalization(mean: PerChannel, std: PerChannel, img: Array) -> list[Step]:
    channels = count_channels(img)
    means, stds = channel_numbers("mean", mean, channels), channel_numbers("std", std, channels)
    for number in stds:
        if number <= 0:
            raise ArgumentError(f"std must be positive, not {std!r}.", argument="std")
    return [("subtract", means), ("multiply", [1 / number for number in stds])]
