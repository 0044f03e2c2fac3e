from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.errors import ArgumentError
from cfgtrain.image.resize import imresize


def ramp(*shape: int, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 6), (10, 5)), ((4, 6, 1), (10, 5, 1)), ((4, 6, 3), (10, 5, 3)), ((4, 6, 4), (10, 5, 4))],
)
def test_size_is_width_and_height(shape: tuple[int, ...], expected: tuple[int, ...], dtype: Any) -> None:
    """``size`` is (w, h); channels, one alone too, and the dtype stay."""
    resized = imresize(ramp(*shape, dtype=dtype), (5, 10))
    assert resized.shape == expected
    assert resized.dtype == dtype


def test_same_size_is_the_same_image() -> None:
    """Resizing to its own size changes no pixel, and the input is not changed either."""
    img = ramp(4, 6)
    before = img.copy()
    for interpolation in ("nearest", "bilinear", "bicubic", "area", "lanczos"):
        assert (imresize(img, (6, 4), interpolation) == before).all()
    imresize(img, (2, 2))
    assert (img == before).all()


VALUES = [
    ("nearest", [[0, 0, 100, 100]]),
    ("bilinear", [[0, 25, 75, 100]]),
    ("area", [[0, 0, 100, 100]]),
]


@pytest.mark.parametrize(("interpolation", "expected"), VALUES)
def test_interpolations(interpolation: Any, expected: list[list[int]]) -> None:
    """Each interpolation gives its values; pixels are squares whose centres are sampled."""
    img = np.array([[0, 100]], dtype=np.float32)
    assert imresize(img, (4, 1), interpolation).tolist() == expected


def test_area_averages() -> None:
    """Shrinking by area takes the mean of the pixels that are covered."""
    img = np.array([[0, 10], [20, 30]], dtype=np.float32)
    assert imresize(img, (1, 1), "area").tolist() == [[15]]


def test_unknown_interpolation() -> None:
    """Another interpolation is refused with a suggestion."""
    with pytest.raises(ArgumentError, match=r"no interpolation 'bilinaer'.*Did you mean 'bilinear'"):
        imresize(ramp(2, 2), (4, 4), "bilinaer")


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4), (0.5, 4)])
def test_size_is_positive(size: Any) -> None:
    """A size without pixels is refused."""
    with pytest.raises(ArgumentError, match="positive"):
        imresize(ramp(2, 2), size)
