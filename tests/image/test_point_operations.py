from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import photograph
from PIL import Image, ImageEnhance, ImageOps

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.backends import use_backend
from cfgtrain.image.point_operations import (
    adjust_brightness,
    adjust_contrast,
    auto_contrast,
    imequalize,
    iminvert,
    lut_transform,
    posterize,
    solarize,
)

SMALL = np.array([[0, 128, 255], [1, 127, 254], [2, 129, 253]], np.uint8)
COLOR = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)

# Each operation with arguments, and its formula on one image in float64, where it does not depend on statistics.
OPERATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, int], Any] | None]] = {
    "invert": (iminvert, lambda v, top: top - v),
    "solarize": (lambda img: solarize(img, 99.5), lambda v, top: np.where(v < 99.5, v, top - v)),
    "posterize": (lambda img: posterize(img, 3), lambda v, top: v // ((top + 1) // 8) * ((top + 1) // 8)),
    "brightness": (lambda img: adjust_brightness(img, 1.5), lambda v, top: np.clip(v * 1.5, 0, top)),
    "contrast": (lambda img: adjust_contrast(img, 1.5), None),
    "auto_contrast": (lambda img: auto_contrast(img, 5), None),
    "equalize": (imequalize, None),
}


def photo(name: str = "coffee.png") -> np.ndarray[Any, Any]:
    with Image.open(photograph(name)) as file:
        return np.array(file.convert("RGB"))


def difference(a: Any, b: Any) -> int:
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max())


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_any_image(data: st.DataObject) -> None:
    """Shape, dtype and number of channels are kept for any strides; the result is a contiguous copy of the formula."""
    name = data.draw(st.sampled_from(sorted(OPERATIONS)))
    function, formula = OPERATIONS[name]
    dtype = data.draw(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.int64, np.float16, np.float32, np.float64])
    )
    channels = data.draw(st.sampled_from([(), (1,), (2,), (3,), (4,), (5,), (7,)]))
    shape = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), *channels)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    top = 65535 if dtype == np.uint16 else 255
    base = rng.integers(0, top + 1, shape).astype(dtype)
    img = data.draw(st.sampled_from([base, base[::-1], base.swapaxes(0, 1), base[:, ::-1][::2]]))
    before = img.copy()
    result = function(img)
    assert result.shape == img.shape
    assert result.dtype == dtype
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, img)
    assert np.array_equal(img, before)
    assert np.array_equal(result, function(before))
    assert result.min() >= 0
    assert result.max() <= top
    if formula is not None:
        exact = formula(img.astype(np.float64), top)
        assert np.array_equal(result, exact.astype(dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_invert(dtype: Any) -> None:
    """Each value becomes 255 minus it."""
    assert np.array_equal(iminvert(SMALL.astype(dtype)), 255 - SMALL.astype(int))


@pytest.mark.parametrize(
    ("thr", "expected"),
    [
        (128, [[0, 127, 0], [1, 127, 1], [2, 126, 2]]),
        (100, [[0, 127, 0], [1, 128, 1], [2, 126, 2]]),
        (127.5, [[0, 127, 0], [1, 127, 1], [2, 126, 2]]),
        (256, SMALL.tolist()),
        (0, (255 - SMALL).tolist()),
    ],
)
def test_solarize(thr: float, expected: list[list[int]]) -> None:
    """Values from the threshold on are inverted; no value reaches 256."""
    assert solarize(SMALL, thr).tolist() == expected
    assert solarize(SMALL.astype(np.float32), thr).tolist() == expected


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (8, SMALL.tolist()),
        (1, [[0, 128, 128], [0, 0, 128], [0, 128, 128]]),
        (3, [[0, 128, 224], [0, 96, 224], [0, 128, 224]]),
        (0, [[0, 0, 0]] * 3),
    ],
)
def test_posterize(bits: int, expected: list[list[int]]) -> None:
    """The highest bits are kept, by a mask for integers and by the formula for floats."""
    assert posterize(SMALL, bits).tolist() == expected
    assert posterize(SMALL.astype(np.float32), bits).tolist() == expected


def test_posterize_of_16_bits() -> None:
    """The bits of uint16 are counted from the highest of 16."""
    assert posterize(np.array([[0xABCD]], np.uint16), 4).tolist() == [[0xA000]]
    assert posterize(np.array([[0xABCD]], np.uint16), 16).tolist() == [[0xABCD]]


@pytest.mark.parametrize("img", [COLOR, photo()], ids=["random", "photograph"])
@pytest.mark.parametrize("factor", [0, 0.3, 1, 1.37, 3])
@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_brightness_and_contrast_of_pillow(img: Any, factor: float, backend: Any) -> None:
    """Brightness and contrast are within 1 of Pillow; contrast 0 is equal, and factor 1 is the image."""
    picture = Image.fromarray(img)
    bgr = img[..., ::-1]
    bright = adjust_brightness(bgr, factor, backend)[..., ::-1]
    contrast = adjust_contrast(bgr, factor, backend)
    assert contrast.flags.c_contiguous
    allowed = 0 if factor in (0, 1) or backend == "pillow" else 1
    assert difference(bright, ImageEnhance.Brightness(picture).enhance(factor)) <= allowed
    assert difference(contrast[..., ::-1], ImageEnhance.Contrast(picture).enhance(factor)) <= allowed


@pytest.mark.parametrize("factor", np.random.default_rng(1).random(20) * 3)
def test_bits_of_brightness_and_contrast(factor: float) -> None:
    """The table has the bits of the formula on the whole image in float32, which MMCV computes."""
    img = photo()
    gray = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    flat = np.full(img.shape, round(int(gray.sum()) / gray.size), np.float32)
    for result, constant in (
        (adjust_contrast(img, factor), flat),
        (adjust_brightness(img, factor), np.zeros_like(flat)),
    ):
        exact = cv2.addWeighted(img.astype(np.float32), factor, constant, 1 - factor, 0)
        assert np.array_equal(result, np.clip(exact, 0, 255).astype(np.uint8))


def test_contrast_of_other_channels() -> None:
    """The gray value is the mean of a gray image, the gray of BGRA without alpha, and otherwise the mean of all."""
    gray = np.array([[0, 101]], np.uint8)  # the mean is 50.5, and 50 is even
    assert adjust_contrast(gray, 0).tolist() == [[50, 50]]
    assert adjust_contrast(gray[..., None].astype(np.float32), 0).tolist() == [[[50], [50]]]
    assert (
        adjust_contrast(np.full((2, 2, 4), (10, 10, 10, 200), np.uint8), 0).tolist() == [[[10] * 4] * 2] * 2
    )
    assert adjust_contrast(np.full((2, 2, 2), (10, 20), np.uint8), 0).tolist() == [[[15, 15]] * 2] * 2
    assert adjust_contrast(np.full((1, 1, 3), 40000, np.uint16), 0.5).tolist() == [[[40000] * 3]]


@pytest.mark.parametrize("seed", range(60))
def test_equalize_and_auto_contrast_are_pillow(seed: int) -> None:
    """Equalize and auto_contrast are exactly Pillow's, on images of many sizes and ranges of values."""
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.choice(257, 2, replace=False))
    img = rng.integers(low, high, (*rng.integers(1, 70, 2), 3), dtype=np.uint8)
    picture = Image.fromarray(img)
    assert np.array_equal(imequalize(img), np.array(ImageOps.equalize(picture)))
    percent = rng.random(3) * 100
    for cutoff in (
        0,
        10,
        12.5,
        (10, 10),
        60,
        50,
        (100, 0),
        (0, 100),
        float(percent[0]),
        tuple(percent[1:].tolist()),
    ):
        expected = np.array(ImageOps.autocontrast(picture, cutoff))
        assert np.array_equal(auto_contrast(img, cutoff), expected)
    gray = img[..., 0]
    assert np.array_equal(imequalize(gray), np.array(ImageOps.equalize(Image.fromarray(gray))))
    assert np.array_equal(auto_contrast(gray, 10), np.array(ImageOps.autocontrast(Image.fromarray(gray), 10)))


@pytest.mark.parametrize("name", ["coffee.png", "astronaut.png", "chelsea.png"])
def test_equalize_and_auto_contrast_of_photographs(name: str) -> None:
    """Equalize and auto_contrast are exactly Pillow's on photographs."""
    img = photo(name)
    assert np.array_equal(imequalize(img), np.array(ImageOps.equalize(Image.fromarray(img))))
    assert np.array_equal(auto_contrast(img), np.array(ImageOps.autocontrast(Image.fromarray(img))))
    assert np.array_equal(
        auto_contrast(img, [3, 7]), np.array(ImageOps.autocontrast(Image.fromarray(img), (3, 7)))
    )  # type: ignore[arg-type]


def test_equalize_with_too_few_pixels() -> None:
    """An image with fewer pixels than levels is not changed."""
    assert np.array_equal(imequalize(SMALL), SMALL)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_statistics_of_other_dtypes(dtype: Any) -> None:
    """For uint16 the levels are those of 16 bits, and a float counts as the integer below it."""
    img = photo()[::4, ::4]
    if dtype == np.uint16:
        wide = img.astype(np.uint16) * 257
        stretched, expected = auto_contrast(wide, 10), auto_contrast(img, 10)
        assert np.abs(stretched / 257 - expected).max() <= 1
        few = np.repeat(np.arange(4, dtype=np.uint16) * 5, 65536).reshape(512, 512)
        assert np.unique(imequalize(few)).tolist() == [0, 21845, 43691, 65535]  # thirds
    else:
        real = img.astype(np.float32) + np.float32(0.25)
        assert np.array_equal(imequalize(real), imequalize(img))
        assert np.abs(auto_contrast(real, 10) - auto_contrast(img, 10)).max() <= 3


def test_lut_transform() -> None:
    """Any shape is looked up; the result has the dtype of the table."""
    table = np.random.default_rng(0).permutation(256)
    img = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 5, 6))
    for dtype in (np.uint8, np.int64, np.float32):
        assert np.array_equal(lut_transform(img.astype(dtype), table), table[img])
    for dtype in (np.uint8, np.int32, np.int64, np.uint32, np.float16, np.float32, np.float64):
        result = lut_transform(img.astype(np.uint8), table.astype(dtype))
        assert result.dtype == dtype
        assert np.array_equal(result, table[img])
    assert lut_transform(np.arange(5, dtype=np.uint8), table).shape == (5,)
    assert lut_transform(np.zeros((0, 4), np.uint8), table).shape == (0, 4)


@pytest.mark.parametrize(
    ("img", "table", "kind", "message"),
    [
        ([[1]], np.arange(256), ArgumentTypeError, r"img must be an array of numbers, not \[\[1\]\]"),
        (SMALL, list(range(256)), ArgumentTypeError, "lut_table must be an array of numbers"),
        (
            np.array([[-1]]),
            np.arange(256),
            ArgumentError,
            "values of img must be from 0 to 255, not from -1 to -1",
        ),
        (np.array([[256.0]]), np.arange(256), ArgumentError, "values of img must be from 0 to 255"),
        (np.array([[np.nan]]), np.arange(256), ArgumentError, "values of img must be from 0 to 255"),
        (SMALL, np.arange(255), ArgumentError, r"lut_table must have the shape \(256,\), not \(255,\)"),
        (SMALL, np.zeros((256, 1)), ArgumentError, r"lut_table must have the shape \(256,\), not \(256, 1\)"),
    ],
)
def test_lut_transform_of_invalid_arguments(img: Any, table: Any, kind: type, message: str) -> None:
    """Values out of range and tables of other sizes are refused."""
    with pytest.raises(AssertionError, match=message) as raised:
        lut_transform(img, table)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: posterize(SMALL, 9), "bits must be from 0 to 8, not 9"),
        (lambda: posterize(SMALL.astype(np.float32), -1), "bits must be from 0 to 8, not -1"),
        (lambda: posterize(SMALL, 2.0), r"bits must be an integer, not 2.0"),  # type: ignore[arg-type]
        (lambda: solarize(SMALL, "a"), "thr must be a number, not 'a'"),  # type: ignore[arg-type]
        (lambda: auto_contrast(SMALL, 101), "cutoff must be from 0 to 100, not 101"),
        (lambda: auto_contrast(SMALL, (1, 2, 3)), r"cutoff must be 2 numbers \(low, high\), not \(1, 2, 3\)"),  # type: ignore[arg-type]
        (lambda: adjust_brightness(SMALL, float("nan")), "factor must be a number, not nan"),
        (lambda: adjust_contrast(SMALL, 1, "PIL"), "backend must be"),  # type: ignore[arg-type]
        (lambda: adjust_brightness(SMALL, float("inf")), "factor must be finite, not inf"),
        (lambda: adjust_brightness(SMALL, float("inf"), "pillow"), "factor must be finite, not inf"),
        (lambda: adjust_contrast(SMALL.astype(np.float32), float("-inf")), "factor must be finite, not -inf"),
        (lambda: adjust_brightness(SMALL.astype(float), 1, "pillow"), "array of uint8, not of float64"),
        (lambda: adjust_brightness(COLOR[..., :2], 1, "pillow"), "img must have 1 or 3 or 4 channels"),
        (lambda: iminvert([[1]]), "img must be an array"),  # type: ignore[arg-type]
        (lambda: imequalize(SMALL.astype(complex)), "img must be an array of uint8 or"),
    ],
)
def test_invalid_arguments(call: Callable[[], Any], message: str) -> None:
    """Other values and types are argument errors, which MMCV's assertions and ValueErrors are."""
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_infinite_threshold(dtype: Any) -> None:
    """No value reaches an infinite threshold, and each is above minus infinity."""
    img = np.arange(12).reshape(3, 4).astype(dtype)
    assert np.array_equal(solarize(img, float("inf")), img)
    assert np.array_equal(solarize(img, float("-inf")), iminvert(img))


@pytest.mark.filterwarnings("error")
def test_histogram_of_nan() -> None:
    """NaN, which has no level in a histogram, counts as 0."""
    img = photo()[..., 0].astype(np.float32)
    zero = img.copy()
    img[:3], zero[:3] = np.nan, 0
    assert np.array_equal(imequalize(img), imequalize(zero))
    assert np.array_equal(auto_contrast(img, 5)[3:], auto_contrast(zero, 5)[3:])


def test_the_default_backend_is_read_at_call_time() -> None:
    """``use_backend`` has an effect on the functions that can run on Pillow."""
    img = photo()[..., ::-1]
    use_backend("pillow")
    try:
        assert np.array_equal(adjust_contrast(img, 1.3), adjust_contrast(img, 1.3, "pillow"))
        with pytest.raises(ArgumentError, match="array of uint8, not of float32"):
            adjust_contrast(img.astype(np.float32), 1.3)
    finally:
        use_backend("cv2")
    assert adjust_contrast(img.astype(np.float32), 1.3).dtype == np.float32
