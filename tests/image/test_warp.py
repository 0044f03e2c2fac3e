from __future__ import annotations

import math
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.photos import photograph

from cfgtrain.errors import ArgumentError
from cfgtrain.image.resize import Interpolation
from cfgtrain.image.warp import imrotate, imshear, imtranslate

DTYPES = [np.uint8, np.uint16, np.int16, np.float32, np.float64]
CHANNELS: list[tuple[int, ...]] = [(), (1,), (2,), (3,), (4,), (5,), (9,), (600,)]
INTERPOLATIONS = get_args(Interpolation)
SMALL = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)
WIDE = np.arange(1, 9, dtype=np.uint8).reshape(2, 4)
# What extrapolates in NumPy like each border mode.
PADS = {"replicate": "edge", "reflect": "symmetric", "wrap": "wrap", "reflect_101": "reflect"}


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def moved(img: Any, dx: Any, dy: Any, value: Any) -> Any:
    """Return an image whose pixel (y, x) is that of `img` at (y - dy(x), x - dx(y)), or `value`."""
    result = np.empty_like(img, order="C")
    height, width = img.shape[:2]
    for y in range(height):
        for x in range(width):
            from_y, from_x = y - dy(x), x - dx(y)
            inside = 0 <= from_y < height and 0 <= from_x < width
            result[y, x] = img[from_y, from_x] if inside else value
    return result


def values_for(img: Any) -> Any:
    return tuple(10 + each % 100 for each in range(img.shape[2])) if img.ndim == 3 else 10


@pytest.mark.parametrize(
    ("img", "angle", "options", "expected"),
    [
        (SMALL, 90, {}, [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
        (SMALL, -90, {}, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
        (WIDE, 90, {}, [[0, 6, 2, 0], [0, 7, 3, 0]]),
        (WIDE, 90, {"center": (0, 0)}, [[1, 0, 0, 0], [2, 0, 0, 0]]),
        (WIDE, 90, {"border_value": 255}, [[255, 6, 2, 255], [255, 7, 3, 255]]),
        (WIDE, 90, {"auto_bound": True}, [[5, 1], [6, 2], [7, 3], [8, 4]]),
        (WIDE, 90, {"border_mode": "replicate"}, [[6, 6, 2, 2], [7, 7, 3, 3]]),
        (WIDE, 90, {"border_mode": "transparent", "border_value": 9}, [[9, 6, 2, 9], [9, 7, 3, 9]]),
        (WIDE, 90, {"center": [0, 0]}, [[1, 0, 0, 0], [2, 0, 0, 0]]),
        (WIDE, np.float32(90), {"center": np.zeros(2)}, [[1, 0, 0, 0], [2, 0, 0, 0]]),
    ],
)
def test_rotate_small(img: Any, angle: float, options: Any, expected: list[list[int]]) -> None:
    """Positive angles are clockwise, about the centre of the image or a given one."""
    for dtype in DTYPES:
        assert imrotate(img.astype(dtype), angle, **options).tolist() == expected
        assert imrotate(img.astype(dtype)[..., None], angle, **options)[..., 0].tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_rotate_by_quarters(interpolation: Any, channels: tuple[int, ...], dtype: Any) -> None:
    """Rotations by multiples of 90 degrees are exact for every dtype, number of channels and interpolation."""
    img = noise(7, 12, *channels, dtype=dtype)
    before = img.copy()
    for turns in (-5, -1, 0, 1, 2, 3, 4):
        rotated = imrotate(img, 90 * turns, auto_bound=True, interpolation=interpolation)
        assert np.array_equal(rotated, np.rot90(img, -turns))
        assert rotated.dtype == dtype
        assert rotated.flags.c_contiguous
        assert not np.shares_memory(rotated, img)
    assert np.array_equal(img, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", PADS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_border_modes(interpolation: Any, mode: Any, dtype: Any) -> None:
    """Each border mode extrapolates as np.pad does: a half turn about a point maps pixels onto pixels."""
    for channels in [(), (3,), (5,)]:
        img = noise(6, 8, *channels, dtype=dtype)
        extended = np.pad(img, [(20, 20), (20, 20), (0, 0)][: img.ndim], PADS[mode])  # type: ignore[call-overload]
        rotated = imrotate(img, 180, center=(1, 9), border_mode=mode, interpolation=interpolation)
        expected = extended[20 + 18 - np.arange(6)][:, 20 + 2 - np.arange(8)]
        assert np.array_equal(rotated, expected)


@pytest.mark.parametrize("mode", ["constant", "transparent"])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_border_value(dtype: Any, channels: tuple[int, ...], mode: Any) -> None:
    """A number fills every channel, and a sequence gives each channel its value."""
    img = noise(4, 5, *channels, dtype=dtype)
    for value in (7, np.uint8(7), np.float64(7), values_for(img), np.array(values_for(img))):
        rotated = imrotate(img, 90, center=(40, 40), border_value=value, border_mode=mode)
        assert (rotated == value).all()
        assert rotated.shape == img.shape


def test_transparent_is_constant() -> None:
    """Transparent draws on a background of the border value, at the edges too, instead of uninitialized memory."""
    img = noise(8, 9, 3)
    for interpolation in INTERPOLATIONS:
        transparent, constant = (
            imrotate(img, 30, border_value=(1, 2, 3), interpolation=interpolation, border_mode=mode)  # type: ignore[arg-type]
            for mode in ("transparent", "constant")
        )
        assert np.array_equal(transparent, constant)
        if interpolation == "bilinear":
            assert transparent[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("angle", [10, -37.5, 45, 123])
@pytest.mark.parametrize("scale", [1, 0.7, 1.6])
def test_rotate_samples(angle: float, scale: float) -> None:
    """A linear ramp, which bilinear interpolation reproduces, has the value of the source point at every pixel."""
    y, x = np.mgrid[:40, :60].astype(np.float64)
    img = 3 * x - 2 * y + 100
    rotated = imrotate(img, angle, center=(25, 22), scale=scale, border_value=-1000)
    cos, sin = math.cos(math.radians(angle)) / scale, math.sin(math.radians(angle)) / scale
    source_x = 25 + cos * (x - 25) + sin * (y - 22)
    source_y = 22 - sin * (x - 25) + cos * (y - 22)
    inside = (source_x > 0.1) & (source_x < 58.9) & (source_y > 0.1) & (source_y < 38.9)
    assert inside.sum() > 300
    # OpenCV 4 rounds positions to 1/32 pixel
    assert np.abs(rotated - (3 * source_x - 2 * source_y + 100))[inside].max() < 5 / 32
    outside = (source_x < -1.1) | (source_x > 60.1) | (source_y < -1.1) | (source_y > 40.1)
    assert (rotated[outside] == -1000).all()


@pytest.mark.parametrize("angle", [7, -30, 200])
def test_rotate_like_pillow(angle: float) -> None:
    """A rotated photograph is that of Pillow, which computes with another library."""
    img = cv2.imread(str(photograph("astronaut.png")))[::2, :300]
    height, width = img.shape[:2]
    other = Image.fromarray(img).rotate(-angle, Image.Resampling.BILINEAR, center=(width / 2, height / 2))
    difference = np.abs(imrotate(img, angle).astype(float) - np.array(other))
    assert np.percentile(difference, 98) <= 4
    assert difference.mean() < 1


@pytest.mark.parametrize(
    ("angle", "scale", "size"), [(45, 1, (71, 71)), (30, 0.5, (37, 37)), (0, 2, (80, 120)), (90, 1, (60, 40))]
)
def test_auto_bound(angle: float, scale: float, size: tuple[int, int]) -> None:
    """The whole rotated image is in the result, and its centre stays the centre."""
    img = np.zeros((40, 60), np.float32)
    img[12:28, 22:38] = 1
    rotated = imrotate(img, angle, scale=scale, auto_bound=True)
    if scale != 0.5:
        assert rotated.shape == size
    y, x = np.mgrid[: rotated.shape[0], : rotated.shape[1]]
    assert rotated.sum() == pytest.approx(256 * scale**2, rel=0.05)
    # the growth is halved before the size is rounded, so the centre can be off by up to half a pixel
    assert abs((rotated * x).sum() / rotated.sum() - (rotated.shape[1] - 1) / 2) < 0.6
    assert abs((rotated * y).sum() / rotated.sum() - (rotated.shape[0] - 1) / 2) < 0.6


def test_auto_bound_keeps_a_pixel() -> None:
    """A result that would have no pixels has one."""
    assert imrotate(SMALL, 0, scale=0.01, auto_bound=True).shape == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"angle": 1, "center": (0, 0), "auto_bound": True},
            ValueError,
            "center cannot be combined with auto_bound",
        ),
        ({"angle": "90"}, TypeError, "angle must be a number"),
        ({"angle": float("inf")}, ValueError, "angle must be finite"),
        ({"angle": 1, "center": 3}, AssertionError, r"center must be 2 numbers \(x, y\)"),
        ({"angle": 1, "center": (0, float("inf"))}, ValueError, r"center\[1\] must be finite"),
        ({"angle": 1, "scale": 0}, ValueError, "scale must be positive and finite"),
        (
            {"angle": 1, "border_value": (1, 2)},
            AssertionError,
            "border_value must be a number, or one number for each",
        ),
        ({"angle": 1, "border_value": 256}, ValueError, "border_value must be from 0 to 255"),
        ({"angle": 1, "border_value": None}, TypeError, "border_value must be a number"),
        ({"angle": 1, "interpolation": "bilinaer"}, ValueError, "Did you mean 'bilinear'"),
        ({"angle": 1, "border_mode": "replicat"}, ValueError, "Did you mean 'replicate'"),
        ({"angle": 1, "border_mode": "isolated"}, ValueError, "not 'isolated'"),
    ],
)
def test_wrong_rotations(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """Each wrong argument raises an error that says what would be right."""
    with pytest.raises(error, match=message):
        imrotate(noise(4, 4, 3), **arguments)


@pytest.mark.parametrize("function", [imrotate, imshear, imtranslate])
@pytest.mark.parametrize("dtype", [bool, np.float16, np.int32, np.int64, complex])
def test_unsupported_dtypes(function: Any, dtype: Any) -> None:
    """A dtype that OpenCV cannot transform raises an error with its name."""
    with pytest.raises(TypeError, match=f"not of {np.dtype(dtype).name}"):
        function(np.zeros((4, 4), dtype), 1)


def test_opencv_error() -> None:
    """What OpenCV refuses, which depends on its version, is one error with the reason."""
    wide = np.zeros((2, 40000), np.uint8)
    wide[1, 39990] = 7
    try:
        assert np.argwhere(imtranslate(wide, 5) == 7).tolist() == [[1, 39995]]
    except ArgumentError as error:
        assert "OpenCV cannot transform an image of shape (2, 40000)" in str(error)
        assert "SHRT_MAX" in str(error)


@pytest.mark.parametrize(
    ("img", "magnitude", "direction", "value", "expected"),
    [
        (SMALL, 0, "horizontal", 0, SMALL),
        (SMALL, 1, "horizontal", 0, [[1, 2, 3], [0, 4, 5], [0, 0, 7]]),
        (SMALL, -1, "vertical", 0, [[1, 5, 9], [4, 8, 0], [7, 0, 0]]),
        (SMALL, 1, "vertical", 100, [[1, 100, 100], [4, 2, 100], [7, 5, 3]]),
        (SMALL, 1, "vertical", (100,), [[1, 100, 100], [4, 2, 100], [7, 5, 3]]),
    ],
)
def test_shear_small(img: Any, magnitude: int, direction: Any, value: Any, expected: Any) -> None:
    """Rows move to the right and columns down, by the magnitude for each."""
    assert imshear(img, magnitude, direction, value).tolist() == np.array(expected).tolist()
    colour = np.stack([img] * 3, axis=2)
    sheared = imshear(colour, magnitude, direction, value if isinstance(value, int) else value * 3)
    assert np.array_equal(sheared, np.stack([np.array(expected)] * 3, axis=2))


@pytest.mark.parametrize(
    ("offset", "direction", "value", "expected"),
    [
        (1, "horizontal", 128, [[128, 1, 2], [128, 4, 5], [128, 7, 8]]),
        (-1, "vertical", 0, [[4, 5, 6], [7, 8, 9], [0, 0, 0]]),
        (-2, "horizontal", 0, [[3, 0, 0], [6, 0, 0], [9, 0, 0]]),
        (2, "vertical", (5,), [[5, 5, 5], [5, 5, 5], [1, 2, 3]]),
        (np.int64(2), "vertical", [5], [[5, 5, 5], [5, 5, 5], [1, 2, 3]]),
        (99, "vertical", 3, [[3, 3, 3], [3, 3, 3], [3, 3, 3]]),
    ],
)
def test_translate_small(offset: Any, direction: Any, value: Any, expected: list[list[int]]) -> None:
    """A positive offset moves the image to the right or down."""
    assert imtranslate(SMALL, offset, direction, value).tolist() == expected


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_whole_pixels(interpolation: Any, dtype: Any, channels: tuple[int, ...]) -> None:
    """Moves by whole pixels are exact, with the value of each channel at the border, also of the fourth and later."""
    img = noise(6, 9, *channels, dtype=dtype)
    before = img.copy()
    value = values_for(img)
    still = lambda _: 0  # noqa: E731
    for amount in (-2, 1, 3):
        by_row, by_amount = (lambda at, n=amount: n * at), (lambda _, n=amount: n)
        for result, expected in [
            (
                imtranslate(img, amount, "horizontal", value, interpolation),
                moved(img, by_amount, still, value),
            ),
            (imtranslate(img, amount, "vertical", value, interpolation), moved(img, still, by_amount, value)),
            (imshear(img, amount, "horizontal", value, interpolation), moved(img, by_row, still, value)),
            (imshear(img, amount, "vertical", value, interpolation), moved(img, still, by_row, value)),
        ]:
            assert np.array_equal(result, expected)
            assert result.dtype == dtype
            assert result.flags.c_contiguous
    assert np.array_equal(img, before)


def test_half_a_pixel() -> None:
    """An offset of half a pixel averages neighbours."""
    img = np.array([[0, 10, 20, 30]], np.float32)
    assert imtranslate(img, 0.5, border_value=50).tolist() == [[25, 5, 15, 25]]


@given(st.integers(1, 7), st.integers(1, 7), st.integers(-8, 8), st.sampled_from(["horizontal", "vertical"]))
def test_views(height: int, width: int, offset: int, direction: Any) -> None:
    """Views of any strides are transformed like copies."""
    view = noise(width * 2, height * 3, 3).transpose(1, 0, 2)[::-3, ::2, ::-1]
    copy = np.ascontiguousarray(view)
    for function in (imtranslate, imshear):
        assert np.array_equal(function(view, offset, direction), function(copy, offset, direction))
    assert np.array_equal(imrotate(view, 90 * offset), imrotate(copy, 90 * offset))


@pytest.mark.parametrize("function", [imshear, imtranslate])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1, "diagonal"), AssertionError, "direction must be 'horizontal' or 'vertical', not 'diagonal'"),
        ((1, "horizontal", (1,)), AssertionError, "one number for each of the 3 channels"),
        ((1, "horizontal", [1]), ValueError, "one number for each of the 3 channels"),
        ((1, "horizontal", "1"), ValueError, "border_value must be a number"),
        ((1, "horizontal", 300), ValueError, "border_value must be from 0 to 255"),
        (("1",), TypeError, "must be a number"),
        ((float("nan"),), ValueError, "must be a number, not nan"),
        ((float("inf"),), ValueError, "must be finite"),
        ((1, "horizontal", 0, "linear"), ValueError, "interpolation must be"),
    ],
)
def test_wrong_arguments(function: Any, arguments: Any, error: type[Exception], message: str) -> None:
    """Each wrong argument raises an error that says what would be right."""
    with pytest.raises(error, match=message):
        function(noise(4, 4, 3), *arguments)


def test_result_too_large() -> None:
    """A result that does not fit into the integers of OpenCV is an error without words of OpenCV."""
    with pytest.raises(ArgumentError, match="The memory is not sufficient for an image of"):
        imrotate(np.zeros((3, 4), np.uint8), 30, scale=1e12, auto_bound=True)
