from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgtrain.errors import ArgumentError
from cfgtrain.image.erase import cutout

SMALL = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)


def test_small() -> None:
    """With the seed 0, the centre is hit twice, as with MMCV."""
    np.random.seed(0)
    assert cutout(SMALL, 1).tolist() == [[1, 2, 3], [4, 0, 6], [7, 8, 9]]
    assert cutout(SMALL, 1, pad_val=10).tolist() == [[1, 2, 3], [4, 10, 6], [7, 8, 9]]


@pytest.mark.parametrize("reseed", [True, False])
def test_the_random_numbers_of_mmcv(reseed: bool) -> None:
    """A seed of NumPy's global generator gives the same rectangles as in MMCV."""
    np.random.seed(0)
    for shape, pad_val, expected in (
        (1, 0, [[1, 2, 3], [4, 0, 6], [7, 8, 9]]),
        (1, 10, [[1, 2, 3], [4, 10, 6], [7, 8, 9]]),
        ((1, 2), 0, [[1, 2, 3], [0, 0, 6], [7, 8, 9]]),
    ):
        if reseed:
            np.random.seed(0)
        assert cutout(SMALL, shape, pad_val).tolist() == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 2), [[1, 2, 3], [0, 0, 6], [7, 8, 9]]),
        ([1, 2], [[1, 2, 3], [0, 0, 6], [7, 8, 9]]),
        (6, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        (0, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        (np.int64(6), [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
)
def test_shapes(shape: Any, expected: list[list[int]]) -> None:
    """The shape is an edge or (h, w); the result is a copy."""
    np.random.seed(0)
    cutout(SMALL, 1)
    cut = cutout(SMALL, shape)
    assert cut.tolist() == expected
    assert not np.shares_memory(cut, SMALL)
    assert SMALL.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,), (5,), (600,)])
def test_channels(dtype: Any, channels: tuple[int, ...]) -> None:
    """The value of each channel is written, for any dtype and number of channels, also of a view."""
    img = np.ones((9, 14, *channels), dtype)[::-1, ::2]
    values = np.arange(channels[0]) % 200 if channels else np.int64(5)
    cut = cutout(img, 20, values)
    assert (cut == values.astype(dtype)).all()
    assert (cut.shape, cut.dtype, cut.flags.c_contiguous) == (img.shape, dtype, True)


def test_fractional_value() -> None:
    """A fractional value is rounded half to even for an integer dtype, as by impad."""
    assert cutout(np.zeros((1, 1, 3), np.uint8), 4, (123.675, 0.5, 1.5)).ravel().tolist() == [124, 0, 2]
    assert cutout(np.zeros((1, 1), np.float32), 4, 0.5).item() == 0.5


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(0, 12), st.integers(0, 12)
)
def test_place(seed: int, height: int, width: int, cut_height: int, cut_width: int) -> None:
    """The place is computed from exactly two draws of the global generator, first y and then x."""
    img = np.zeros((height, width), np.uint8)
    np.random.seed(seed)
    y, x = np.random.uniform(height, 1), np.random.uniform(width, 1)
    state = np.random.get_state()
    top, left = int(max(0, y - cut_height / 2)), int(max(0, x - cut_width / 2))
    expected = img.copy()
    for row in range(top, min(height, top + cut_height)):
        for column in range(left, min(width, left + cut_width)):
            expected[row, column] = 1
    np.random.seed(seed)
    assert np.array_equal(cutout(img, (cut_height, cut_width), 1), expected)
    assert np.array_equal(np.random.get_state()[1], state[1])  # type: ignore[index]


def test_rng() -> None:
    """A given generator is used instead of the global one."""
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    img = np.zeros((50, 50), np.uint8)
    first = cutout(img, 5, 1, rng=np.random.default_rng(3))
    assert np.array_equal(first, cutout(img, 5, 1, rng=np.random.default_rng(3)))
    assert not np.array_equal(first, cutout(img, 5, 1, rng=np.random.default_rng(4)))
    assert np.array_equal(np.random.get_state()[1], before)  # type: ignore[index]
    state = np.random.RandomState(0)
    np.random.seed(0)
    assert np.array_equal(cutout(img, 5, 1, rng=state), cutout(img, 5, 1))


@pytest.mark.parametrize("shape", [2.5, (1, 2.0), (1, 2, 3), -1, (1, -1), "2", None])
def test_wrong_shape(shape: Any) -> None:
    """A shape that is not made of one or two integers raises an error."""
    with pytest.raises(AssertionError, match="shape"):
        cutout(SMALL, shape)


@pytest.mark.parametrize(
    ("value", "error"), [(None, TypeError), ("1", TypeError), ((1, 2), AssertionError), (300, ValueError)]
)
def test_wrong_value(value: Any, error: type[Exception]) -> None:
    """A value that does not match the image raises an error."""
    with pytest.raises(error, match="pad_val must be"):
        cutout(SMALL, 1, pad_val=value)


def test_wrong_rng() -> None:
    """A seed is not a generator."""
    with pytest.raises(ArgumentError, match=r"rng must be a numpy\.random\.Generator or RandomState, not 0"):
        cutout(SMALL, 1, rng=0)  # type: ignore[arg-type]
