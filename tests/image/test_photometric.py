from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import photograph
from PIL import Image, ImageEnhance

from cfgtrain.errors import ArgumentError
from cfgtrain.image.photometric import adjust_color, adjust_hue, adjust_lighting, adjust_sharpness, clahe

COLOR = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
EIGVAL = np.array([0.2175, 0.0188, 0.0045])
EIGVEC = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def photo(name: str = "coffee.png") -> np.ndarray[Any, Any]:
    with Image.open(photograph(name)) as file:
        return np.array(file.convert("RGB"))[..., ::-1]


def difference(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a).astype(float) - np.asarray(b).astype(float)).max())


def enhanced(kind: Any, img: Any, factor: float) -> Any:
    return np.array(kind(Image.fromarray(img[..., ::-1])).enhance(factor))[..., ::-1]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "color": lambda img: adjust_color(img, 0.4),
    "weighted color": lambda img: adjust_color(img, 0.4, 0.5, -3),
    "hue": lambda img: adjust_hue(img, -0.3),
    "sharpness": lambda img: adjust_sharpness(img, 2.5),
}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_image(data: st.DataObject) -> None:
    """Shape, dtype, alpha and strides: the result is a contiguous copy in the range, and the input is kept."""
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
    channels = data.draw(st.sampled_from([(), (1,), (3,), (4,), (2,), (7,)]))
    if channels in ((2,), (7,)):
        name = "sharpness"  # the others need colors
    shape = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), *channels)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    top = 65535 if dtype == np.uint16 else 255
    base = rng.integers(0, top + 1, shape).astype(dtype)
    img = data.draw(st.sampled_from([base, base[::-1], base.swapaxes(0, 1), base[:, ::-1][::2]]))
    before = img.copy()
    result = FUNCTIONS[name](img)
    assert result.shape == img.shape
    assert result.dtype == dtype
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, img)
    assert np.array_equal(img, before)
    assert np.array_equal(result, FUNCTIONS[name](before))
    assert result.min() >= -0.01
    assert result.max() <= top + 0.01
    if channels == (4,) and name != "sharpness":
        assert np.array_equal(result[..., 3], img[..., 3])
        assert np.array_equal(result[..., :3], FUNCTIONS[name](img[..., :3]))


@pytest.mark.parametrize("img", [COLOR, photo()], ids=["random", "photograph"])
@pytest.mark.parametrize("alpha", [0, 0.3, 1, 1.8])
def test_color_of_pillow(img: Any, alpha: float) -> None:
    """Both backends are within 2 of each other, and Pillow's is exactly ImageEnhance.Color."""
    result = adjust_color(img, alpha, backend="pillow")
    assert result.flags.c_contiguous
    assert np.array_equal(result, enhanced(ImageEnhance.Color, img, alpha))
    assert difference(adjust_color(img, alpha), result) <= 2


def test_color_formula() -> None:
    """Image and gray image are weighted; floats are limited to [0, 255], and a gray image is its own gray image."""
    gray = COLOR.astype(float) @ [0.114, 0.587, 0.299]
    exact = 1.5 * COLOR.astype(float) - 0.25 * gray[..., None] + 7
    assert difference(adjust_color(COLOR, 1.5, -0.25, 7), exact.clip(0, 255)) <= 0.7
    real = adjust_color(COLOR.astype(np.float32), 1.5, -0.25, 7)
    assert np.allclose(real, exact.clip(0, 255), atol=1e-2)
    assert exact.max() > 255
    assert np.array_equal(adjust_color(COLOR[..., 0], 0.3), COLOR[..., 0])


def test_color_warns_of_ignored_arguments() -> None:
    """Pillow has neither beta nor gamma."""
    with pytest.warns(UserWarning, match="only uses alpha"):
        adjust_color(COLOR, 1, 2, backend="pillow")


@pytest.mark.parametrize("factor", [0, 0.4, 1, 1.8, 4])
@pytest.mark.parametrize("img", [COLOR, photo()], ids=["random", "photograph"])
def test_sharpness_of_pillow(img: Any, factor: float) -> None:
    """Pixels inside are within 1 of Pillow; all are the exact formula, truncated."""
    result = adjust_sharpness(img, factor)
    inside = np.s_[1:-1, 1:-1]
    assert difference(result[inside], enhanced(ImageEnhance.Sharpness, img, factor)[inside]) <= 1
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smoothed = cv2.filter2D(img, -1, kernel).astype(np.float64)
    exact = np.clip(img.astype(np.float64) * factor + smoothed * (1 - factor), 0, 255)
    assert np.array_equal(result, np.floor(exact + 1e-9))
    blended = cv2.addWeighted(img.astype(np.float32), factor, smoothed.astype(np.float32), 1 - factor, 0)
    # MMCV's float32 is below the integer where the exact result is one
    assert difference(result, np.clip(blended, 0, 255).astype(np.uint8)) <= 1


def test_sharpness_with_a_kernel() -> None:
    """A kernel of another size smooths the image; rows beyond the edge are reflected."""
    img = np.array([[10], [20], [60]], np.uint8)
    kernel = np.full((3, 1), 1 / 3)
    assert adjust_sharpness(img, 0, kernel).tolist() == [[17], [30], [33]]


@pytest.mark.parametrize("hue", np.linspace(-0.5, 0.5, 9))
def test_hue_of_pillow(hue: float) -> None:
    """Both backends are within 10 of each other on a photograph, but for few values, and Pillow's is exact."""
    img = photo()
    result = adjust_hue(img, hue)
    pillow = adjust_hue(img, hue, "pillow")
    h, s, v = Image.fromarray(img[..., ::-1]).convert("HSV").split()
    turned = (np.array(h).astype(int) + int(hue * 255)) % 256
    picture = Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), s, v)).convert("RGB")
    assert np.array_equal(pillow, np.array(picture)[..., ::-1])
    apart = np.abs(result.astype(int) - pillow)
    assert (apart > 10).mean() < 1e-3
    assert apart.max() <= 13  # Pillow keeps 8 bits of the hue


def test_hue_of_pillow_on_small_images() -> None:
    """Both backends are within 10 of each other on the colors of a small image."""
    img = np.stack([np.array([[0, 128, 255], [1, 127, 254], [2, 129, 253]], np.uint8)] * 3, axis=-1)
    for hue in np.linspace(-0.5, 0.5, 21):
        assert difference(adjust_hue(img, hue), adjust_hue(img, hue, "pillow")) <= 10


def test_hue_turns_colors() -> None:
    """A third of a turn makes green of red, a negative Python float turns back, and half a turn gives cyan."""
    red = np.full((1, 1, 3), (0, 0, 255), np.uint8)
    assert difference(adjust_hue(red, 1 / 3), [[[0, 255, 0]]]) <= 6
    assert difference(adjust_hue(red, -1 / 3), [[[255, 0, 0]]]) <= 6
    for dtype in (np.uint16, np.float32, np.float64):
        top = 65535 if dtype == np.uint16 else 255
        img = (red.astype(np.float64) / 255 * top).astype(dtype)
        assert difference(adjust_hue(img, 1 / 3), [[[0, top, 0]]]) <= top * 1e-4
        assert difference(adjust_hue(img, 0.5), [[[top, top, 0]]]) <= top * 1e-4
        assert np.allclose(adjust_hue(img, 0), img, atol=0.01)


@pytest.mark.parametrize("shape", [(37, 53), (37, 53, 1)])
@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_gray_has_no_hue(shape: tuple[int, ...], backend: Any) -> None:
    """A gray image is copied."""
    gray = COLOR[..., 0].reshape(shape)
    copy = adjust_hue(gray, 0.3, backend)
    assert np.array_equal(copy, gray)
    assert not np.shares_memory(copy, gray)


@pytest.mark.parametrize("to_rgb", [True, False])
def test_lighting(to_rgb: bool) -> None:
    """One number per channel is added, from one draw of NumPy's global generator; the result is float32 RGB."""
    np.random.seed(3)
    result = adjust_lighting(COLOR, EIGVAL, EIGVEC, 10, to_rgb)
    np.random.seed(3)
    alpha = np.random.normal(0, 10, 3)
    colors = COLOR[..., ::-1] if to_rgb else COLOR
    assert np.allclose(result, colors + EIGVEC @ (alpha * EIGVAL), atol=1e-4)
    assert result.dtype == np.float32
    assert np.array_equal(
        adjust_lighting(COLOR, EIGVAL, EIGVEC, 0.5, rng=np.random.default_rng(1)),
        adjust_lighting(COLOR, EIGVAL, EIGVEC, 0.5, rng=np.random.default_rng(1)),
    )
    for img in (COLOR[:1, :1], COLOR[:4, :1], COLOR[:5, :1], COLOR[::-2], COLOR.astype(np.int64)):
        np.random.seed(3)
        added = adjust_lighting(img, EIGVAL, EIGVEC, 10, to_rgb)
        assert np.allclose(added, (img[..., ::-1] if to_rgb else img) + EIGVEC @ (alpha * EIGVAL), atol=1e-4)
        assert added.dtype == np.float32
    assert np.array_equal(adjust_lighting(COLOR, EIGVAL[:1], EIGVEC[:, :1], 0), COLOR[..., ::-1])


@pytest.mark.parametrize("grid", [(8, 8), (3, 5)])
def test_clahe(grid: tuple[int, int]) -> None:
    """The result is OpenCV's; a trailing axis is kept, and other dtypes are converted to uint8."""
    gray = photo()[..., 1]
    expected = cv2.createCLAHE(2.0, grid).apply(np.ascontiguousarray(gray))
    assert np.array_equal(clahe(gray, 2.0, grid), expected)
    assert np.array_equal(clahe(gray[..., None], 2, grid), expected[..., None])
    assert np.array_equal(clahe(gray.astype(np.float32) + np.float32(0.5), 2, grid), expected)
    wide = gray.astype(np.uint16) * 257
    assert np.array_equal(clahe(wide, 2.0, grid), cv2.createCLAHE(2.0, grid).apply(wide))


PILLOW_IMAGE = Image.new("RGB", (2, 2))


@pytest.mark.parametrize(
    ("call", "kinds", "message"),
    [
        (lambda: adjust_color(COLOR, backend="PIL"), ValueError, "backend must be"),  # type: ignore[arg-type]
        (lambda: adjust_color(COLOR[..., :2]), AssertionError, "must have 1 or 3 or 4 channels"),
        (
            lambda: adjust_color(COLOR.astype(float), backend="pillow"),
            AssertionError,
            "uint8, not of float64",
        ),
        (lambda: adjust_color(COLOR.astype(int)), AssertionError, "img must be an array of uint8 or uint16"),
        (lambda: adjust_sharpness(COLOR, 1, [[1]]), AssertionError, "kernel must be an array of numbers"),  # type: ignore[arg-type]
        (lambda: adjust_sharpness(COLOR, 1, np.ones(3)), AssertionError, r"kernel must be an array \(h, w\)"),
        (lambda: adjust_sharpness(COLOR, "a"), AssertionError, "factor must be a number"),  # type: ignore[arg-type]
        (lambda: adjust_sharpness(COLOR, np.inf), ValueError, "factor must be finite, not inf"),
        (lambda: adjust_color(COLOR, -np.inf), ValueError, "alpha must be finite, not -inf"),
        (lambda: adjust_color(COLOR, 1, np.inf), ValueError, "beta must be finite"),
        (lambda: adjust_color(COLOR, 1, 0, np.inf), ValueError, "gamma must be finite"),
        (lambda: adjust_color(COLOR, np.inf, backend="pillow"), ValueError, "alpha must be finite"),
        (lambda: adjust_lighting(COLOR, EIGVAL, EIGVEC, np.inf), ValueError, "alphastd must be finite"),
        (lambda: adjust_lighting(COLOR, EIGVAL, EIGVEC, rng=5), TypeError, "rng must be a numpy.random"),  # type: ignore[arg-type]
        (
            lambda: adjust_lighting(COLOR, EIGVAL, EIGVEC.astype(str)),
            TypeError,
            "eigvec must be an array of n",
        ),
        (lambda: adjust_lighting(COLOR.astype(complex), EIGVAL, EIGVEC), TypeError, "array of real numbers"),
        (lambda: clahe(COLOR[..., 0], np.inf), ValueError, "clip_limit must be finite"),
        (lambda: adjust_hue(PILLOW_IMAGE, 9, "PIL"), ValueError, "backend must be"),  # type: ignore[arg-type]
        (lambda: adjust_hue(PILLOW_IMAGE, 0.51), ValueError, "hue_factor must be from -0.5 to 0.5, not 0.51"),  # type: ignore[arg-type]
        (lambda: adjust_hue(PILLOW_IMAGE, -0.2), TypeError, "img must be an array"),  # type: ignore[arg-type]
        (lambda: adjust_hue(COLOR[0, 0], 0.2), AssertionError, r"not of shape \(3,\)"),
        (lambda: adjust_hue(COLOR.astype(float), 0.2, "pillow"), AssertionError, "uint8, not of float64"),
        (lambda: adjust_lighting(COLOR, [1, 2, 3], EIGVEC), AssertionError, "eigval must be an array"),  # type: ignore[arg-type]
        (lambda: adjust_lighting(COLOR, EIGVAL, EIGVEC.tolist()), AssertionError, "eigvec must be an array"),  # type: ignore[arg-type]
        (lambda: adjust_lighting(COLOR, EIGVAL, EIGVEC[:2]), AssertionError, r"shapes \(n,\) and \(3, n\)"),
        (lambda: adjust_lighting(COLOR, EIGVAL[:2], EIGVEC), AssertionError, r"not \(2,\) and \(3, 3\)"),
        (lambda: adjust_lighting(COLOR, EIGVAL, EIGVEC, None), AssertionError, "alphastd must be a number"),  # type: ignore[arg-type]
        (lambda: adjust_lighting(COLOR[..., 0], EIGVAL, EIGVEC), AssertionError, r"array \(H, W, C\)"),
        (lambda: clahe(COLOR), AssertionError, "img must have 1 channel, but its shape"),
        (lambda: clahe(COLOR[..., 0], None), AssertionError, "clip_limit must be a number"),  # type: ignore[arg-type]
        (lambda: clahe(COLOR[..., 0], 40, [8, 8]), AssertionError, "tile_grid_size must be a tuple"),  # type: ignore[arg-type]
        (lambda: clahe(COLOR[..., 0], 40, (8, 8, 8)), AssertionError, "tile_grid_size must be 2 integers"),  # type: ignore[arg-type]
        (
            lambda: clahe(COLOR[..., 0], 40, (8.0, 8)),
            AssertionError,
            r"tile_grid_size\[0\] must be an integer",
        ),  # type: ignore[arg-type]
        (lambda: clahe(COLOR[..., 0], 40, (0, 8)), AssertionError, r"tile_grid_size\[0\] must be at least 1"),
    ],
)
def test_invalid_arguments(call: Callable[[], Any], kinds: type[Exception], message: str) -> None:
    """Invalid arguments are ArgumentErrors of the kind that MMCV raises; the backend is checked before the image."""
    with pytest.raises(ArgumentError, match=message) as raised:
        call()
    assert isinstance(raised.value, kinds)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_sharpness_of_many_channels(dtype: Any) -> None:
    """An image may have more channels than OpenCV accepts; each is changed by itself."""
    img = np.random.default_rng(0).integers(0, 256, (6, 7, 600)).astype(dtype)
    expected = np.stack([adjust_sharpness(img[..., i], 1.7) for i in range(600)], axis=2)
    sharpened = adjust_sharpness(img, 1.7)
    assert np.allclose(sharpened, expected, atol=1e-3 if dtype == np.float32 else 0)
    assert sharpened.dtype == dtype
