from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.errors import ArgumentError
from cfgtrain.image.backends import use_backend
from cfgtrain.image.resize import imresize


def ramp(*shape: int, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 6), (10, 5)), ((4, 6, 1), (10, 5, 1)), ((4, 6, 3), (10, 5, 3)), ((4, 6, 4), (10, 5, 4))],
)
def test_size_is_width_height(shape: tuple[int, ...], expected: tuple[int, ...], dtype: Any) -> None:
    """``size`` is (w, h); the dtype and the channel axis are kept, even with a single channel."""
    resized = imresize(ramp(*shape, dtype=dtype), (5, 10))
    assert resized.shape == expected
    assert resized.dtype == dtype


def test_same_size_changes_nothing() -> None:
    """Resizing to the same size changes no pixel, and the input is never changed."""
    img = ramp(4, 6)
    before = img.copy()
    for interpolation in ("nearest", "bilinear", "bicubic", "area", "lanczos"):
        assert (imresize(img, (6, 4), interpolation=interpolation) == before).all()
    imresize(img, (2, 2))
    assert (img == before).all()


VALUES = [
    ("nearest", [[0, 0, 100, 100]]),
    ("bilinear", [[0, 25, 75, 100]]),
    ("area", [[0, 0, 100, 100]]),
]


@pytest.mark.parametrize(("interpolation", "expected"), VALUES)
def test_interpolations(interpolation: Any, expected: list[list[int]]) -> None:
    """Each interpolation computes its values; pixels are sampled at their centres."""
    img = np.array([[0, 100]], dtype=np.float32)
    assert imresize(img, (4, 1), interpolation=interpolation).tolist() == expected


def test_area_averages() -> None:
    """Reducing by area returns the mean of the covered pixels."""
    img = np.array([[0, 10], [20, 30]], dtype=np.float32)
    assert imresize(img, (1, 1), interpolation="area").tolist() == [[15]]


def test_unknown_interpolation() -> None:
    """An unknown interpolation raises an error with a suggestion."""
    with pytest.raises(ArgumentError, match=r"not 'bilinaer'\. Did you mean 'bilinear'"):
        imresize(ramp(2, 2), (4, 4), interpolation="bilinaer")


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4), (0.5, 4)])
def test_size_must_be_positive(size: Any) -> None:
    """A size that is not two positive integers raises an error."""
    with pytest.raises(ArgumentError, match=r"size\[[01]\] must be (at least 1|an integer)"):
        imresize(ramp(2, 2), size)


def test_return_scale() -> None:
    """return_scale adds the scale factors of the width and the height."""
    resized, w_scale, h_scale = imresize(ramp(300, 400, 3), (1000, 600), return_scale=True)
    assert resized.shape == (600, 1000, 3)
    assert (w_scale, h_scale) == (2.5, 2.0)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (6, 8, 3)])
def test_out(shape: tuple[int, ...]) -> None:
    """The result is written to ``out``, which is returned."""
    out = np.zeros((3, 4, *shape[2:]), np.uint8)
    assert imresize(ramp(*shape), (4, 3), out=out) is out
    assert np.array_equal(out, imresize(ramp(*shape), (4, 3)))


def test_pillow() -> None:
    """Pillow has its own interpolations, keeps a single channel, and only supports uint8."""
    assert imresize(ramp(8, 8, 1), (4, 4), interpolation="hamming", backend="pillow").shape == (4, 4, 1)
    use_backend("pillow")
    try:
        halved = imresize(np.array([[0, 100], [200, 100]], np.uint8), (1, 1), interpolation="box")
    finally:
        use_backend("cv2")
    assert halved.tolist() == [[100]]
    with pytest.raises(AssertionError, match="of uint8, not of uint16"):
        imresize(ramp(8, 8, dtype=np.uint16), (4, 4), backend="pillow")
    with pytest.raises(ValueError, match="'cv2' or 'pillow', not 'tifffile'"):
        imresize(ramp(8, 8), (4, 4), backend="tifffile")  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "size"), [(bool, (4, 4)), (np.float16, (4, 4))])
def test_unsupported_dtypes(dtype: Any, size: tuple[int, int]) -> None:
    """An image that OpenCV cannot resize raises an error with its dtype."""
    with pytest.raises(ArgumentError, match=np.dtype(dtype).name):
        imresize(np.zeros((8, 8), dtype), size)
