from __future__ import annotations

import cv2
import numpy as np
import pytest
from photos import letter_f

from cfgtrain.image.array import Array
from cfgtrain.image.transparency import on_white, resample


def half(pixels: Array) -> Array:
    return cv2.resize(pixels, (30, 40), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_opaque_pictures_are_resized_as_without_alpha(dtype: type) -> None:
    """An opaque alpha channel does not change the result, except for rounding."""
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    img = (letter_f().astype(np.float64) / 255 * top).astype(dtype)
    opaque = np.dstack([img, np.full((80, 60), top, dtype)])
    resized = resample(opaque, half)
    assert resized.dtype == dtype
    assert (resized[..., 3] == top).all()
    assert np.abs(resized[..., :3].astype(float) - half(img)).max() <= (1e-6 if top == 1 else 1)


def test_invisible_colours_do_not_count() -> None:
    """A transparent pixel has no part in the mean of the colours, and half in that of alpha."""
    img = np.array([[[200, 0, 0, 255], [0, 200, 0, 0]]], np.uint8)
    mean = resample(img, lambda pixels: pixels.mean(axis=1, keepdims=True))
    assert mean.tolist() == [[[200, 0, 0, 128]]]


def test_on_white() -> None:
    """Half-transparent black is gray on white."""
    assert on_white(np.array([[[0, 0, 0, 0.5]]], np.float32)).tolist() == [[[0.5, 0.5, 0.5]]]
    assert on_white(np.array([[[0, 0, 0, 0]]], np.uint16)).tolist() == [[[65535, 65535, 65535]]]
