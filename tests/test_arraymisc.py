from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cfgtrain
from cfgtrain.arraymisc import dequantize, quantize
from cfgtrain.errors import ArgumentError, ArgumentTypeError


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_quantize(dtype: Any) -> None:
    """Values become the number of their interval; those out of range belong to the first or last."""
    values = np.array([[-5, -1, -0.51, -0.5], [0, 0.49, 1, 7]])
    quantized = quantize(values, -1, 1, 4, dtype)
    assert quantized.tolist() == [[0, 0, 0, 1], [2, 2, 3, 3]]
    assert quantized.dtype == dtype
    assert quantize(values, -1, 1, 4).dtype == np.int64


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dequantize(dtype: Any) -> None:
    """The number of an interval becomes its center."""
    levels = np.arange(4, dtype=np.uint8)
    assert dequantize(levels, -1, 1, 4, dtype).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert dequantize(levels, -1, 1, 4, dtype).dtype == dtype
    assert dequantize(levels, -1, 1, 4).dtype == np.float64


@given(
    values=st.lists(st.floats(-100, 100), min_size=1),
    low=st.floats(-10, 10),
    width=st.floats(0.1, 20),
    levels=st.integers(2, 300),
)
def test_both(values: list[float], low: float, width: float, levels: int) -> None:
    """What is quantized and dequantized is off by at most half an interval, and quantizes to the same number."""
    high = low + width
    numbers = quantize(np.array(values), low, high, levels)
    assert numbers.min() >= 0
    assert numbers.max() < levels
    centers = dequantize(numbers, low, high, levels)
    assert np.abs(centers - np.clip(values, low, high)).max() <= width / levels / 2 * 1.001
    assert np.array_equal(quantize(centers, low, high, levels), numbers)


def test_zero_is_kept() -> None:
    """With an odd number of intervals around 0, 0 is recovered exactly."""
    assert dequantize(quantize(np.zeros(3), -1, 1, 99), -1, 1, 99).tolist() == [0, 0, 0]


def test_integers_out_of_the_range_of_their_type() -> None:
    """A minimum that uint8 cannot hold is no problem for an array of uint8."""
    assert quantize(np.array([0, 255], np.uint8), -255, 255, 2).tolist() == [1, 1]


@pytest.mark.parametrize("function", [quantize, dequantize])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((0, 1, 0), "levels must be at least 2, not 0"),
        ((0, 1, 1), "levels must be at least 2, not 1"),
        ((0, 1, 10.0), "levels must be an integer, not 10.0"),
        ((1, 1, 5), "min_val must be less than max_val, not 1 and 1"),
        ((2, 1, 5), "min_val must be less than max_val, not 2 and 1"),
        (("a", 1, 5), "min_val must be a number, not 'a'"),
    ],
)
def test_invalid_arguments(function: Any, args: Any, message: str) -> None:
    """Numbers of levels below 2 and empty ranges are ValueErrors."""
    with pytest.raises(ValueError, match=message) as raised:
        function(np.ones(3), *args)
    assert isinstance(raised.value, ArgumentError)


@pytest.mark.parametrize("function", [quantize, dequantize])
@pytest.mark.parametrize("value", ["a", None, [None, 1], [[1], [1, 2]], 1j, {1}, b"a"])
def test_not_numbers(function: Any, value: Any) -> None:
    """Anything but numbers is refused."""
    with pytest.raises(ArgumentTypeError, match="arr must be an array of numbers"):
        function(value, 0, 1, 5)


@pytest.mark.parametrize("function", [quantize, dequantize])
@pytest.mark.parametrize("dtype", ["zz", 5, complex, object, [1, 2]])
def test_wrong_dtype(function: Any, dtype: Any) -> None:
    """A dtype that does not exist, or is not one of real numbers, is refused."""
    with pytest.raises(ArgumentTypeError, match="dtype must be a dtype of numbers"):
        function([0.5], 0, 1, 5, dtype)


def test_nothing_wraps_around() -> None:
    """A dtype that is too small for a result is refused; so is NaN for an integer dtype."""
    assert quantize([1.0], 0, 1, 256, np.uint8).tolist() == [255]
    with pytest.raises(ArgumentError, match=r"dtype uint8 does not hold the results, from 0\.0 to 256\.0"):
        quantize([0.0, 1.0], 0, 1, 257, np.uint8)
    with pytest.raises(ArgumentError, match="dtype uint8 does not hold the results"):
        dequantize([0], -1, 1, 2**10, np.uint8)
    with pytest.raises(ArgumentError, match="dtype int64 does not hold the results, from nan to nan"):
        quantize([0.5, np.nan], 0, 1, 5)
    assert np.isnan(quantize([np.nan], 0, 1, 5, np.float32)).all()


def test_finite_range() -> None:
    """The ends of the range are finite."""
    with pytest.raises(ArgumentError, match="min_val must be finite, not -inf"):
        quantize([0.5], -np.inf, 1, 5)
    with pytest.raises(ArgumentError, match="max_val must be finite, not inf"):
        dequantize([1], 0, np.inf, 5)


def test_results_are_contiguous() -> None:
    """The memory layout of the result does not depend on that of the input."""
    arr = np.asfortranarray(np.random.default_rng(0).random((3, 4)))
    assert quantize(arr, 0, 1, 5).flags.c_contiguous
    assert dequantize(arr, 0, 1, 5).flags.c_contiguous


def test_the_root_has_the_names() -> None:
    """The functions can be imported from the root, as from MMCV's."""
    assert cfgtrain.quantize is quantize
    assert cfgtrain.dequantize is dequantize
