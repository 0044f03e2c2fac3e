from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgtrain.errors import ArgumentError
from cfgtrain.image.pad import PaddingMode, impad, impad_to_multiple

MODES = get_args(PaddingMode)
DTYPES = [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.int8, np.int64, np.float16, bool]
SHAPES: list[tuple[int, ...]] = [(6, 9), (6, 9, 1), (6, 9, 2), (6, 9, 3), (6, 9, 4), (6, 9, 5), (6, 9, 600)]


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 128, shape).astype(dtype)


def source(at: int, length: int, mode: str) -> int | None:
    """Return the index of the pixel at a place outside an axis, found by walking; None for the constant."""
    if mode == "constant":
        return at if 0 <= at < length else None
    if mode == "edge" or length == 1:
        return min(max(at, 0), length - 1)
    while not 0 <= at < length:
        repeated = 1 if mode == "symmetric" else 0
        at = -at - repeated if at < 0 else 2 * (length - 1) - at + repeated
    return at


def padded(img: Any, widths: tuple[int, int, int, int], value: Any, mode: str = "constant") -> Any:
    """Pad pixel by pixel; the numbers of pixels are (left, top, right, bottom)."""
    left, top, right, bottom = widths
    height, width = img.shape[:2]
    result = np.empty((height + top + bottom, width + left + right, *img.shape[2:]), img.dtype)
    for y in range(result.shape[0]):
        for x in range(result.shape[1]):
            row, column = source(y - top, height, mode), source(x - left, width, mode)
            result[y, x] = value if row is None or column is None else img[row, column]
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", MODES)
def test_modes(mode: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Every mode adds the right pixels, for any dtype and number of channels; a number fills all channels."""
    img = noise(*shape, dtype=dtype)
    before = img.copy()
    for padding, widths in [
        (3, (3, 3, 3, 3)),
        ((1, 2), (1, 2, 1, 2)),
        ([4, 3, 2, 1], (4, 3, 2, 1)),
        (0, (0, 0, 0, 0)),
    ]:
        result = impad(img, padding=padding, pad_val=7, padding_mode=mode)  # type: ignore[arg-type]
        assert np.array_equal(result, padded(img, widths, dtype(7), mode))
        assert result.dtype == dtype
        assert result.flags.c_contiguous
        assert not np.shares_memory(result, img)
    assert np.array_equal(img, before)


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_value_for_each_channel(shape: tuple[int, ...], dtype: Any) -> None:
    """A sequence gives each channel its value, also as a list or an array."""
    img = noise(*shape, dtype=dtype)
    values = [each % 100 for each in range(shape[2])]
    expected = padded(img, (2, 2, 2, 2), np.array(values).astype(dtype))
    for kind in (values, tuple(values), np.array(values)):
        assert np.array_equal(impad(img, padding=2, pad_val=kind), expected)


@pytest.mark.parametrize("value", [np.int64(7), np.uint8(7), np.float32(7), np.array(7), 7.0])
def test_numpy_numbers(value: Any) -> None:
    """NumPy numbers are accepted as values."""
    assert (impad(noise(2, 2, 3), padding=1, pad_val=value)[0] == 7).all()


@pytest.mark.parametrize("channels", [3, 5])
def test_fractional_value(channels: int) -> None:
    """A fractional value is rounded half to even for an integer dtype, whatever the number of channels."""
    values = [123.675, 0.5, 1.5, 2.5, 7][:channels]
    assert (
        impad(noise(2, 2, channels), padding=1, pad_val=values)[0, 0].tolist() == [124, 0, 2, 2, 7][:channels]
    )
    assert impad(noise(2, 2, channels, dtype=np.float64), padding=1, pad_val=values)[0, 0].tolist() == values


def test_shape() -> None:
    """Pixels are added at the right and bottom; an edge that is long enough is not changed."""
    img = noise(10, 10, 3)
    assert np.array_equal(impad(img, shape=(15, 12), pad_val=(1, 2, 3)), padded(img, (0, 0, 2, 5), (1, 2, 3)))
    assert np.array_equal(impad(img, shape=[8, 12]), padded(img, (0, 0, 2, 0), 0))
    assert np.array_equal(impad(img, (12, 8)), padded(img, (0, 0, 0, 2), 0))
    same = impad(img, shape=(8, 8))
    assert np.array_equal(same, img)
    assert not np.shares_memory(same, img)


@given(st.data())
def test_views(data: st.DataObject) -> None:
    """Views of any strides and pads larger than the image are padded like copies."""
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    channels = data.draw(st.sampled_from([1, 3, 5]))
    img = noise(width * 2, height * 3, channels).transpose(1, 0, 2)[::-3, ::2]
    widths = tuple(data.draw(st.integers(0, 9)) for _ in range(4))
    mode = data.draw(st.sampled_from(MODES))
    assert np.array_equal(impad(img, padding=widths, padding_mode=mode), padded(img, widths, 0, mode))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, AssertionError, "Exactly one of shape and padding"),
        ({"shape": (5, 5), "padding": 1}, AssertionError, "Exactly one of shape and padding"),
        ({"padding": (1, 2, 3)}, ValueError, r"padding must be an integer, 2 integers .* not \(1, 2, 3\)"),
        ({"padding": "12"}, TypeError, "padding must be an integer, 2 integers"),
        ({"padding": 1.5}, TypeError, "padding must be an integer"),
        ({"padding": -1}, ValueError, "padding must be at least 0"),
        ({"padding": (1, -1)}, ValueError, r"padding\[1\] must be at least 0"),
        ({"shape": 5}, TypeError, r"shape must be 2 integers \(h, w\)"),
        ({"shape": (5, 5, 3)}, ValueError, r"shape must be 2 integers \(h, w\)"),
        ({"padding": 1, "pad_val": "wrong"}, TypeError, "pad_val must be a number"),
        ({"padding": 1, "pad_val": (1, 2)}, AssertionError, "one number for each of the 3 channels"),
        ({"padding": 1, "pad_val": 256}, ValueError, "pad_val must be from 0 to 255"),
        ({"padding": 1, "padding_mode": "reflct"}, AssertionError, "Did you mean 'reflect'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """Each wrong argument raises an error that says what would be right."""
    with pytest.raises(error, match=message):
        impad(noise(4, 4, 3), **arguments)


def test_gray_value() -> None:
    """The length of the value is compared with the channels, not with the width of a gray image."""
    with pytest.raises(AssertionError, match="each of the 1 channels"):
        impad(noise(4, 4), padding=1, pad_val=(1, 2, 3, 4))
    assert impad(noise(4, 4), padding=1, pad_val=(9,))[0, 0] == 9


@pytest.mark.parametrize(
    ("divisor", "shape"),
    [(16, (16, 32)), (1, (11, 17)), (11, (11, 22)), ((4, 5), (12, 20)), ([20, 17], (20, 17))],
)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (6,)])
def test_multiple(divisor: Any, shape: tuple[int, int], channels: tuple[int, ...]) -> None:
    """Each edge is padded to a multiple; a pair of divisors is (h, w)."""
    img = noise(11, 17, *channels)
    expected = padded(img, (0, 0, shape[1] - 17, shape[0] - 11), 3)
    assert np.array_equal(impad_to_multiple(img, divisor, pad_val=3), expected)


@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize(
    "sides", [{"padding": 10**12}, {"padding": [2**70] * 4}, {"shape": (10**9, 10**9)}, {"shape": (2**31, 1)}]
)
def test_too_large(channels: int, sides: Any) -> None:
    """A result that does not fit into the memory, or into the integers of OpenCV, is an error of one kind."""
    with pytest.raises(ArgumentError, match="The memory is not sufficient for an image of"):
        impad(noise(4, 4, channels), **sides)


@pytest.mark.parametrize("padding", [np.array(2), {1, 2, 3}, b"ab"])
def test_padding_is_a_sequence(padding: Any) -> None:
    """Arrays without axes, and other things that have no order, are refused."""
    with pytest.raises(ArgumentError, match="padding must be"):
        impad(noise(4, 4), padding=padding)


@pytest.mark.parametrize("divisor", [0, -2, 1.5, (1, 2, 3), "2", None])
def test_wrong_divisor(divisor: Any) -> None:
    """A divisor that is not positive and an integer raises an error."""
    with pytest.raises(ArgumentError, match="divisor"):
        impad_to_multiple(noise(4, 4), divisor)
