from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image import normalize
from cfgtrain.image.normalize import imdenormalize, imnormalize, imnormalize_

MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])
COLOR = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)

DTYPES = [np.uint8, np.uint16, np.int16, np.float16, np.float32, np.float64]


def two_steps(img: Any) -> Any:
    """cv2's subtraction and multiplication, which are what MMCV runs."""
    result = cv2.cvtColor(img.astype(np.float32), cv2.COLOR_BGR2RGB)
    cv2.subtract(result, MEAN.reshape(1, -1), result)
    return cv2.multiply(result, 1 / STD.reshape(1, -1), result)


def test_normalized_bits() -> None:
    """The table for uint8 gives the bits of cv2's two steps; floats are within one unit of the last place."""
    expected = two_steps(COLOR)
    assert np.allclose(expected, (COLOR[..., ::-1] - MEAN) / STD, atol=1e-5)
    assert np.array_equal(imnormalize(COLOR, MEAN, STD), expected)
    planes = imnormalize(COLOR, MEAN, STD, channels_first=True)
    assert np.array_equal(planes, expected.transpose(2, 0, 1))
    assert planes.flags.c_contiguous
    np.testing.assert_array_max_ulp(imnormalize(COLOR.astype(np.float32), MEAN, STD), expected, 1)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_normalize_any_image(data: st.DataObject) -> None:
    """Any shape, dtype, number of channels and strides: the formula, the kept shape, and an unchanged input."""
    dtype = data.draw(st.sampled_from(DTYPES))
    channels = data.draw(st.sampled_from([None, 1, 2, 3, 4, 5, 7]))
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels is None else (height, width, channels)
    base = rng.integers(0, 256, shape).astype(dtype)
    img = data.draw(st.sampled_from([base, base[::-1], base.swapaxes(0, 1), base[:, ::-1][::2]]))
    before = img.copy()
    mean, std = rng.random(channels or 1) * 200, rng.random(channels or 1) * 90 + 1
    swap = channels in (None, 1, 3, 4) and data.draw(st.booleans())
    order = [2, 1, 0, 3][:channels] if swap and channels in (3, 4) else list(range(channels or 1))
    colors = img[..., order] if channels else img
    expected = (colors.astype(np.float64) - mean) / std
    result = imnormalize(img, mean, std, swap)
    assert result.dtype == np.float32
    assert result.shape == img.shape
    assert result.flags.c_contiguous
    assert np.allclose(result, expected, atol=1e-4)
    planes = imnormalize(img, list(mean), tuple(std), swap, channels_first=True)
    assert np.array_equal(planes, np.moveaxis(result.reshape(*img.shape[:2], -1), 2, 0))
    assert np.array_equal(img, before)
    if img.dtype in (np.float32, np.float64):
        assert imnormalize_(img, mean, std, swap) is img
        assert np.allclose(img, expected, atol=1e-4)
        assert np.allclose(imdenormalize(img, mean, std, swap), before, atol=1e-3)


@pytest.mark.parametrize("shape", [(40, 1), (9, 2), (40, 1, 1), (9, 1, 3), (7, 4, 4), (7, 2, 5)])
@pytest.mark.parametrize("rows", [1, 2, 4, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_blocks(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], rows: int, dtype: Any) -> None:
    """Blocks of few rows have the same bits as large ones."""
    img = np.random.default_rng(0).random(shape).astype(dtype)
    mean, std = np.linspace(0, 1, img[0, 0].size), np.linspace(1, 3, img[0, 0].size)
    whole = imnormalize(img, mean, std, to_rgb=False)
    reshaped = (img if img.ndim == 3 else img[..., None]).astype(np.float64)
    assert np.allclose(whole.reshape(reshaped.shape), (reshaped - mean) / std, atol=1e-6)
    monkeypatch.setattr(normalize, "_BLOCK_BYTES", 4 * rows * img[0].size)
    assert np.array_equal(imnormalize(img, mean, std, to_rgb=False), whole)
    assert np.allclose(imnormalize_(img, mean, std, to_rgb=False), whole, atol=1e-6)


def test_in_place_keeps_the_precision() -> None:
    """float64 is normalized in float64."""
    img = COLOR.astype(np.float64)
    imnormalize_(img, MEAN, STD)
    assert np.abs(img - (COLOR[..., ::-1] - MEAN) / STD).max() < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_denormalize(dtype: Any) -> None:
    """The normalization is reversed, and RGB becomes BGR; the dtype is kept."""
    normalized = ((COLOR[..., ::-1] - MEAN) / STD).astype(dtype)
    img = imdenormalize(normalized, MEAN, STD)
    assert img.dtype == dtype
    assert np.allclose(img, COLOR, atol=1e-4)
    assert np.allclose(imdenormalize(normalized, MEAN, STD, to_bgr=False), COLOR[..., ::-1], atol=1e-4)


def test_one_number_for_all_channels() -> None:
    """A number is used for each channel; a gray image needs no conversion to RGB."""
    assert np.allclose(imnormalize(COLOR, 128, 64.0, to_rgb=False), (COLOR.astype(float) - 128) / 64)
    assert np.allclose(
        imnormalize(COLOR[..., 0], np.array(128), [64]), (COLOR[..., 0].astype(float) - 128) / 64
    )


@pytest.mark.parametrize("img", [COLOR, COLOR.astype(np.int16)])
def test_only_floats_can_be_changed_in_place(img: Any) -> None:
    """Integers cannot hold the result."""
    with pytest.raises(AssertionError, match=r"img must be an array of float32 or float64, not of u?int"):
        imnormalize_(img, MEAN, STD)
    with pytest.raises(AssertionError, match=r"img must be an array of float32 or float64, not of u?int"):
        imdenormalize(img, MEAN, STD)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            (COLOR, [1, 2], STD),
            r"mean must be a number, or one number for each of the 3 channels, not \[1, 2\]",
        ),
        ((COLOR, "a", STD), "mean must be a number, not 'a'"),
        ((COLOR, MEAN, [1, 0, 1]), r"std must be positive, not \[1, 0, 1\]"),
        ((np.zeros((3, 3, 2)), 0, 1), "to_rgb must be False for an image with 2 channels"),
        (([1], 0, 1), "img must be an array"),
    ],
)
def test_invalid_arguments(args: Any, message: str) -> None:
    """Numbers that do not fit the image are refused."""
    with pytest.raises(ArgumentError, match=message):
        imnormalize(*args)


@pytest.mark.parametrize("dtype", [complex, str, object, "M8[s]"])
@pytest.mark.parametrize("channels_first", [False, True])
def test_arrays_without_real_numbers(dtype: Any, channels_first: bool) -> None:
    """Complex numbers, texts and objects are refused, and not converted."""
    with pytest.raises(ArgumentTypeError, match="img must be an array of real numbers"):
        imnormalize(COLOR.astype(dtype), MEAN, STD, channels_first=channels_first)


def test_read_only_image() -> None:
    """A read-only image cannot be normalized in place."""
    img = COLOR.astype(np.float32)
    img.flags.writeable = False
    with pytest.raises(
        ArgumentError, match="img is read-only, so it cannot be changed in place: use imnormalize"
    ):
        imnormalize_(img, MEAN, STD)


def test_invalid_mean_is_a_type_error() -> None:
    """A value that is not a number is a TypeError."""
    with pytest.raises(ArgumentTypeError):
        imnormalize(COLOR, None, STD)  # type: ignore[arg-type]
