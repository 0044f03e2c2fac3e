from __future__ import annotations

import colorsys
from typing import Any

import cv2
import numpy as np
import pytest
from photos import photograph
from PIL import Image

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image import colorspace
from cfgtrain.image.colorspace import (
    bgr2gray,
    bgr2hls,
    bgr2hsv,
    bgr2rgb,
    bgr2ycbcr,
    gray2bgr,
    gray2rgb,
    hls2bgr,
    hsv2bgr,
    imconvert,
    rgb2bgr,
    rgb2gray,
    rgb2ycbcr,
    ycbcr2bgr,
    ycbcr2rgb,
)

RNG = np.random.default_rng(0)
RANDOM = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
UNIT = RNG.random((20, 30, 3), dtype=np.float32)

# BT.601, studio range, of r, g and b in [0, 1]
YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
BLACK = np.array([16, 128, 128])


def photo() -> np.ndarray[Any, Any]:
    with Image.open(photograph("coffee.png")) as file:
        return np.array(file.convert("RGB"))


@pytest.mark.parametrize(
    ("src", "dst"), [("bgr", "gray"), ("rgb", "gray"), ("bgr", "rgb"), ("rgb", "bgr"), ("bgr", "hsv"),
                     ("hsv", "bgr"), ("bgr", "hls"), ("hls", "bgr"), ("BGR", "YCrCb"), ("Rgb", "LAB")]
)  # fmt: skip
def test_imconvert_is_the_conversion_of_opencv(src: str, dst: str) -> None:
    """Names of color spaces are found in any case."""
    code = {name.upper(): getattr(cv2, name) for name in dir(cv2)}[f"COLOR_{src}2{dst}".upper()]
    assert np.array_equal(imconvert(UNIT, src, dst), cv2.cvtColor(UNIT, code))


def test_imconvert_to_the_same_space_copies() -> None:
    """An image that is already in the color space is copied."""
    img = RANDOM[::-1]
    copy = imconvert(img, "bgr", "BGR")
    assert np.array_equal(copy, img)
    assert copy.flags.c_contiguous
    assert not np.shares_memory(copy, img)


@pytest.mark.parametrize(("src", "dst"), [("bgr", "hsvv"), ("rgb", "nothing"), ("nothing", "nothing")])
def test_unknown_conversion(src: str, dst: str) -> None:
    """An unknown conversion is an ArgumentError, and an AttributeError as in MMCV, with a suggestion."""
    with pytest.raises(AttributeError, match=f"from color space '{src}' to '{dst}'") as raised:
        imconvert(RANDOM, src, dst)
    assert isinstance(raised.value, ArgumentError)
    if dst == "hsvv":
        assert "'BGR2HSV'" in str(raised.value)


def test_invalid_arguments() -> None:
    """Images that a conversion does not accept, and other types, are argument errors."""
    with pytest.raises(ArgumentTypeError, match=r"src must be the name of a color space, not None"):
        imconvert(RANDOM, None, "bgr")  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"shape \(40, 60, 3\) and dtype float64"):
        imconvert(RANDOM.astype(np.float64), "bgr", "hsv")
    for convert in (bgr2rgb, bgr2gray, bgr2hsv):
        with pytest.raises(
            ArgumentError, match=r"img must have 3 or 4 channels, but its shape is \(40, 60\)"
        ):
            convert(RANDOM[..., 0])
    with pytest.raises(ArgumentError, match=r"img must have 1 channel, but its shape is \(40, 60, 3\)"):
        gray2bgr(RANDOM)


@pytest.mark.parametrize(
    ("convert", "weights"), [(bgr2gray, [0.114, 0.587, 0.299]), (rgb2gray, [0.299, 0.587, 0.114])]
)
def test_gray(convert: Any, weights: list[float]) -> None:
    """Gray is the weighted mean of BT.601, exact to 4 decimals for floats, and rounded for integers."""
    assert np.allclose(convert(UNIT), UNIT @ np.array(weights), atol=1e-4)
    assert np.abs(convert(RANDOM) - RANDOM @ np.array(weights)).max() <= 0.51
    wide = RANDOM.astype(np.uint16) * 257
    assert np.abs(convert(wide) - wide @ np.array(weights)).max() <= 1.5  # the weights of OpenCV have 14 bits
    assert convert(RANDOM, keepdim=True).shape == (40, 60, 1)
    assert np.array_equal(convert(RANDOM, keepdim=True)[..., 0], convert(RANDOM))
    assert np.array_equal(convert(RANDOM[::-1, ::2]), convert(RANDOM)[::-1, ::2])


@pytest.mark.parametrize("convert", [gray2bgr, gray2rgb])
@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_from_gray(convert: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Gray becomes three equal channels."""
    gray = RANDOM[..., 0].reshape(shape).astype(dtype)
    color = convert(gray)
    assert color.shape == (40, 60, 3)
    assert color.dtype == dtype
    assert (color == gray.reshape(40, 60, 1)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("convert", [bgr2rgb, rgb2bgr])
def test_swap_of_red_and_blue(convert: Any, dtype: Any) -> None:
    """BGR and RGB are the reverse of each other, in contiguous copies."""
    img = RANDOM.astype(dtype)
    swapped = convert(img)
    assert np.array_equal(swapped, img[..., ::-1])
    assert swapped.flags.c_contiguous
    assert np.array_equal(convert(img[..., ::-1]), img)


def test_hsv_and_hls_against_colorsys() -> None:
    """Hue is in degrees, the others are in [0, 1], as the standard library computes them to 2 decimals."""
    pixels = UNIT[:, :, ::-1].reshape(-1, 3).tolist()
    hsv = np.array([colorsys.rgb_to_hsv(*each) for each in pixels]) * [360, 1, 1]
    hls = np.array([colorsys.rgb_to_hls(*each) for each in pixels]) * [360, 1, 1]
    assert np.allclose(bgr2hsv(UNIT).reshape(-1, 3), hsv, atol=1e-2)
    assert np.allclose(bgr2hls(UNIT).reshape(-1, 3), hls, atol=1e-2)


@pytest.mark.parametrize(("forth", "back"), [(bgr2hsv, hsv2bgr), (bgr2hls, hls2bgr)])
def test_hsv_and_hls_back(forth: Any, back: Any) -> None:
    """Both directions together give the image again; uint8 hues are in half degrees."""
    assert np.allclose(back(forth(UNIT)), UNIT, atol=1e-3)
    hue = forth(RANDOM)
    assert hue.dtype == np.uint8
    assert 170 < hue[..., 0].max() <= 180


@pytest.mark.parametrize("img", [RANDOM, photo()], ids=["random", "photograph"])
@pytest.mark.parametrize(("convert", "order"), [(rgb2ycbcr, 1), (bgr2ycbcr, -1)])
def test_ycbcr_is_the_formula(img: Any, convert: Any, order: int) -> None:
    """For uint8, YCbCr is within 1 of the rounded formula, and mostly equal; for float32 it is the formula."""
    exact = img[..., ::order] / 255 @ YCBCR.T + BLACK
    converted = convert(img)
    assert converted.dtype == np.uint8
    assert np.abs(converted - np.rint(exact)).max() <= 1
    assert (converted == np.rint(exact)).mean() > 0.95
    assert np.array_equal(convert(img, y_only=True), converted[..., 0])
    unit = (img / 255).astype(np.float32)
    assert np.allclose(convert(unit), exact / 255, atol=1e-5)
    assert convert(unit).dtype == np.float32
    assert np.allclose(convert(unit, y_only=True), exact[..., 0] / 255, atol=1e-5)


def test_ycbcr_of_black_and_white() -> None:
    """Black is (16, 128, 128) and white is (235, 128, 128)."""
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert rgb2ycbcr(ends).tolist() == [[[16, 128, 128], [235, 128, 128]]]


@pytest.mark.parametrize("img", [RANDOM, photo()], ids=["random", "photograph"])
@pytest.mark.parametrize(("convert", "order"), [(ycbcr2rgb, 1), (ycbcr2bgr, -1)])
def test_ycbcr_back_is_the_formula(img: Any, convert: Any, order: int) -> None:
    """Colors outside RGB are limited to its range, where MMCV wraps around."""
    y, cb, cr = (img[..., i].astype(np.float64) for i in range(3))
    red = 255 * (0.00456621 * y + 0.00625893 * cr) - 222.921
    green = 255 * (0.00456621 * y - 0.00153632 * cb - 0.00318811 * cr) + 135.576
    blue = 255 * (0.00456621 * y + 0.00791071 * cb) - 276.836
    exact = np.stack([red, green, blue][::order], axis=-1)
    assert exact.max() > 255
    assert np.abs(convert(img) - np.rint(exact).clip(0, 255)).max() <= 1
    assert np.allclose(convert((img / 255).astype(np.float32)), exact / 255, atol=1e-5)


def test_ycbcr_limits_values() -> None:
    """Y = Cb = Cr = 255 has red 481, which is 255, not 225."""
    assert ycbcr2rgb(np.full((1, 1, 3), 255, np.uint8)).tolist() == [[[255, 125, 255]]]


@pytest.mark.parametrize(("forth", "back"), [(rgb2ycbcr, ycbcr2rgb), (bgr2ycbcr, ycbcr2bgr)])
def test_ycbcr_and_back(forth: Any, back: Any) -> None:
    """A photograph that is converted and converted back differs by at most 3 of 255."""
    img = photo()
    assert np.abs(back(forth(img)).astype(int) - img).max() <= 3
    assert np.abs(back(forth((img / 255).astype(np.float32))) - img / 255).max() < 1e-5
    assert np.array_equal(forth(img[::-1, ::2]), forth(img[::-1, ::2].copy()))


def test_ycbcr_types() -> None:
    """Other dtypes than uint8 and float32 are type errors, in MMCV's private functions too."""
    wide = RANDOM.astype(np.uint64)
    for convert in (rgb2ycbcr, bgr2ycbcr, ycbcr2rgb, ycbcr2bgr, colorspace._convert_input_type_range):
        with pytest.raises(TypeError, match=r"array of uint8 or float32, not of uint64"):
            convert(wide)
    with pytest.raises(TypeError, match=r"dst_type must be uint8 or float32, not uint64"):
        colorspace._convert_output_type_range(UNIT * 255, np.uint64)


def test_ranges_of_types() -> None:
    """uint8 is read as float32 in [0, 1], and values in [0, 255] become either type, rounded and limited."""
    read = colorspace._convert_input_type_range(RANDOM)
    assert read.dtype == np.float32
    assert np.allclose(read, RANDOM / 255)
    assert np.array_equal(colorspace._convert_input_type_range(UNIT), UNIT)
    values = np.array([[-3, 0.5, 1.5, 2.6, 255.4, 300]])
    assert colorspace._convert_output_type_range(values, np.uint8).tolist() == [[0, 0, 2, 3, 255, 255]]
    written = colorspace._convert_output_type_range(values, np.float32)
    assert written.dtype == np.float32
    assert np.allclose(written, values / 255)
