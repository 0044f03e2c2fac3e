"""Quantize arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cfgtrain.arguments import check_integer, check_number
from cfgtrain.errors import ArgumentError

__all__ = ["dequantize", "quantize"]

Array = np.ndarray[Any, Any]


def quantize(
    arr: ArrayLike, min_val: float, max_val: float, levels: int, dtype: DTypeLike = np.int64
) -> Array:
    """Quantize values to the numbers of equal intervals between a minimum and a maximum.

    Args:
        arr: Values, an array of any shape. Those out of range are limited to it.
        min_val: Lower end of the first interval.
        max_val: Upper end of the last interval.
        levels: Number of intervals, at least 2.
        dtype: dtype of the result.

    Returns:
        Array with the shape of ``arr`` and values from 0 to ``levels - 1``.

    Raises:
        ArgumentError: ``levels`` is not an integer of at least 2, or ``min_val`` is not less than ``max_val``.
    """
    _check(min_val, max_val, levels)
    above = np.clip(np.asarray(arr, np.float64), min_val, max_val) - min_val
    numbers = np.minimum(np.floor(levels * above / (max_val - min_val)), levels - 1)
    return np.asarray(numbers).astype(dtype)


def dequantize(
    arr: ArrayLike, min_val: float, max_val: float, levels: int, dtype: DTypeLike = np.float64
) -> Array:
    """Convert the numbers of intervals, which ``quantize`` returns, to the centers of the intervals.

    Args:
        arr: Numbers of intervals, an array of any shape.
        min_val: See ``quantize``.
        max_val: See ``quantize``.
        levels: See ``quantize``.
        dtype: dtype of the result.

    Returns:
        Array with the shape of ``arr``.

    Raises:
        ArgumentError: See ``quantize``.
    """
    _check(min_val, max_val, levels)
    centers = (np.asarray(arr, np.float64) + 0.5) * (max_val - min_val) / levels + min_val
    return np.asarray(centers).astype(dtype)


def _check(min_val: float, max_val: float, levels: int) -> None:
    check_integer("levels", levels, minimum=2)
    if not check_number("min_val", min_val) < check_number("max_val", max_val):
        raise ArgumentError(
            f"min_val must be less than max_val, not {min_val!r} and {max_val!r}.",
            argument=("min_val", "max_val"),
        )
