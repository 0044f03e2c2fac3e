"""Quantize arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cfgtrain.arguments import check_integer, check_number
from cfgtrain.errors import ArgumentError, ArgumentTypeError

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
        ArgumentTypeError: ``arr`` is not an array of numbers, or ``dtype`` is not a dtype of numbers.
        ArgumentError: ``levels`` is not an integer of at least 2, ``min_val`` is not less than ``max_val``, one of
            them is not finite, or ``dtype`` does not hold a result: it is too small, or an integer one and a value
            is NaN.
    """
    _check(min_val, max_val, levels)
    above = np.clip(_numbers(arr), min_val, max_val) - min_val
    return _converted(np.minimum(np.floor(levels * above / (max_val - min_val)), levels - 1), dtype)


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
        ArgumentTypeError: See ``quantize``.
        ArgumentError: See ``quantize``.
    """
    _check(min_val, max_val, levels)
    return _converted((_numbers(arr) + 0.5) * (max_val - min_val) / levels + min_val, dtype)


def _check(min_val: float, max_val: float, levels: int) -> None:
    check_integer("levels", levels, minimum=2)
    if not check_number("min_val", min_val, finite=True) < check_number("max_val", max_val, finite=True):
        raise ArgumentError(
            f"min_val must be less than max_val, not {min_val!r} and {max_val!r}.",
            argument=("min_val", "max_val"),
        )


def _numbers(arr: ArrayLike) -> Array:
    try:
        values = np.asarray(arr)
    except ValueError:  # rows of different lengths
        values = np.array(None)
    if values.dtype.kind not in "buif":
        raise ArgumentTypeError(f"arr must be an array of numbers, not {arr!r}.", argument="arr")
    return values.astype(np.float64)


def _converted(values: Array, dtype: DTypeLike) -> Array:
    """Return values in another dtype, which must hold them."""
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise ArgumentTypeError(
            f"dtype must be a dtype of numbers, not {dtype!r}.", argument="dtype"
        ) from error
    if kind.kind not in "uif":
        raise ArgumentTypeError(f"dtype must be a dtype of numbers, not {kind}.", argument="dtype")
    if kind.kind in "ui" and values.size:
        low, high, limits = values.min(), values.max(), np.iinfo(kind)
        if not (low >= limits.min and high <= limits.max):  # also if one is NaN
            raise ArgumentError(
                f"dtype {kind} does not hold the results, from {low} to {high}.", argument="dtype"
            )
    return np.asarray(values).astype(kind, order="C")
