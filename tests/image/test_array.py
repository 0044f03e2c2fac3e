from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from cfgtrain.errors import ArgumentTypeError
from cfgtrain.image.array import check_image, filled, in_dtype, opencv_output
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
