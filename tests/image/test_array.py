from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import (
    channel_numbers,
    channel_values,
    check_image,
    filled,
    in_dtype,
    opencv_output,
    opencv_reason,
)
from cfgtrain.image.flip import imflip


def test_byte_order() -> None:
    """An array in the byte order of another machine, whose pixels OpenCV would misread, raises an error."""
    foreign = np.ones((2, 2), np.dtype(np.uint16).newbyteorder())
    with pytest.raises(ArgumentTypeError, match=r"byte order of this machine.*img\.astype\('uint16'\)"):
        check_image(foreign)
    with pytest.raises(ArgumentTypeError, match="byte order"):
        imflip(foreign)
    assert check_image(foreign.astype("uint16")).dtype == np.uint16


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(np.uint8, [0, 2, 2, 7]), (np.int16, [0, 2, 2, 7]), (np.float32, [0.5, 1.5, 2.5, 7])],
)
def test_in_dtype(dtype: Any, expected: list[float]) -> None:
    """Values are rounded half to even for integer dtypes, and kept for floating-point dtypes."""
    values = in_dtype([0.5, 1.5, 2.5, 7], np.zeros((1, 1, 4), dtype))
    assert values.tolist() == expected
    assert values.dtype == dtype


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 4), (2, 3, 600)])
def test_filled(shape: tuple[int, ...]) -> None:
    """Every pixel of a filled image has the values, and the channel axis is that of the model."""
    values = list(range(shape[2] if len(shape) == 3 else 1))
    result = filled(5, 7, values, np.zeros(shape, np.int32))
    assert result.shape == (5, 7, *shape[2:])
    assert result.dtype == np.int32
    assert (result == (values if len(shape) == 3 else values[0])).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (1, 4, 3), (4, 1, 3), (4, 5, 1), (4, 5, 3)])
def test_opencv_output(shape: tuple[int, ...]) -> None:
    """OpenCV can write to the memory of a contiguous array, also if its strides along axes of length 1 are unusual."""
    base = np.zeros((shape[0], shape[1] * 2, *shape[2:]), np.uint8)
    for img in (np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)[::-1], base[:, ::2]):
        output = opencv_output(img)
        assert (output is not None) == img.flags.c_contiguous
        if output is not None:
            cv2.flip(np.ones(shape, np.uint8), 0, dst=output)
            assert (img == 1).all()


COLOR = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize("img", [COLOR[..., 0], COLOR[..., :1], COLOR])
def test_number_of_channels(img: Any) -> None:
    """(H, W) counts as one channel, and other numbers are refused."""
    assert check_image(img, channels=(1, 3)) is img
    with pytest.raises(ArgumentError, match=r"img must have 2 channels, but its shape is \(4, 5"):
        check_image(img, channels=(2,))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, (2, 2, 2)),
        (np.float32(0.5), (0.5, 0.5, 0.5)),
        (np.array(300), (300, 300, 300)),
        ([1, 2.5, -3], (1, 2.5, -3)),
        ((1, 2, 3), (1, 2, 3)),
        (np.array([[1, 2, 3]]), (1, 2, 3)),
    ],
)
def test_numbers_of_channels(value: Any, expected: tuple[float, ...]) -> None:
    """One number is used for each channel; sequences and arrays have one for each."""
    assert channel_numbers("mean", value, 3) == expected


@pytest.mark.parametrize("value", [[1, 2], np.zeros(4), [1, 2, float("nan")]])
def test_wrong_numbers_of_channels(value: Any) -> None:
    """Other lengths, and numbers that are not numbers, are refused."""
    with pytest.raises(ArgumentError, match="mean"):
        channel_numbers("mean", value, 3)
    with pytest.raises(ArgumentTypeError, match=r"mean\[1\] must be a number, not None"):
        channel_numbers("mean", [1, None, 2], 3)


def test_values_must_fit_the_dtype() -> None:
    """The values of pixels are those of the dtype of the image."""
    assert channel_values("pad_val", [1, 255, 0], COLOR) == (1, 255, 0)
    assert channel_values("pad_val", -1, COLOR.astype(np.float32)) == (-1, -1, -1)
    for value in (256, -1, [0, 0, 300]):
        with pytest.raises(ArgumentError, match="pad_val must be from 0 to 255 for an image of uint8"):
            channel_values("pad_val", value, COLOR)


def test_reason_of_a_wrong_argument() -> None:
    """Of the lines in which OpenCV says what it cannot convert, the reason is the first alone."""
    with pytest.raises(cv2.error) as info:
        cv2.resize(COLOR, (2**31, 1))
    assert opencv_reason(info.value).startswith("Can't parse 'dsize'")
    assert "\n" not in opencv_reason(info.value)
