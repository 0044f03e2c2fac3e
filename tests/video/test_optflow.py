from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cfgtrain
from cfgtrain.video import (
    dequantize_flow,
    flow_from_bytes,
    flow_warp,
    flowread,
    flowwrite,
    quantize_flow,
    sparse_flow_from_bytes,
)

RNG = np.random.default_rng(0)
FLOW = RNG.standard_normal((6, 8, 2)).astype(np.float32)


def flo(flow: np.ndarray) -> bytes:
    """Return the content of a .flo file by the description of the format."""
    height, width = flow.shape[:2]
    sizes = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return b"PIEH" + sizes + flow.astype("<f4").tobytes()


def plain_warp(img: np.ndarray, flow: np.ndarray, fill: Any, mode: str) -> np.ndarray:
    """Return a warped image by the formula, in float64."""
    height, width = img.shape[:2]
    x = np.arange(width) + flow[..., 0].astype(np.float64)
    y = np.arange(height)[:, None] + flow[..., 1].astype(np.float64)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    if mode == "nearest":
        warped = img[np.rint(y).astype(int), np.rint(x).astype(int)].astype(np.float64)
    else:
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        shape = x.shape + (1,) * (img.ndim - 2)
        fx, fy = (x - left).reshape(shape), (y - top).reshape(shape)
        upper = img[top, left] * (1 - fx) + img[top, right] * fx
        lower = img[bottom, left] * (1 - fx) + img[bottom, right] * fx
        warped = upper * (1 - fy) + lower * fy
    warped[~inside] = fill
    return warped


def test_flo_files(tmp_path: Path) -> None:
    """A .flo file is written as the format says, in a new folder too, and read again; other dtypes become float32."""
    path = tmp_path / "new" / "a.flo"
    flowwrite(FLOW[::-1].astype(np.float64), path)
    assert path.read_bytes() == flo(FLOW[::-1])
    assert list(path.parent.iterdir()) == [path]
    for file in (path, str(path)):
        flow = flowread(file)
        assert flow.dtype == np.float32
        assert np.array_equal(flow, FLOW[::-1])
    flow[0] = 0  # the array is writable


def test_flow_from_bytes() -> None:
    """The content of a .flo file is decoded; bytes after the flow are ignored."""
    assert np.array_equal(flow_from_bytes(flo(FLOW)), FLOW)
    assert np.array_equal(flow_from_bytes(flo(FLOW) + b"more"), FLOW)


def test_an_array_is_returned() -> None:
    """An array is returned as it is."""
    assert flowread(FLOW) is FLOW


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PIEH",
        b"JUNK" + flo(FLOW)[4:],
        flo(FLOW)[:-1],
        flo(FLOW)[:11],
        b"PIEH" + bytes(8),
        b"PIEH" + b"\xff" * 8,
    ],
)
def test_not_a_flo_file(tmp_path: Path, content: bytes) -> None:
    """A file that is not a complete .flo file is an OSError that names it."""
    with pytest.raises(OSError, match=r"\.flo file") as info:
        flow_from_bytes(content)
    assert isinstance(info.value, cfgtrain.CfgTrainError)
    (tmp_path / "a.flo").write_bytes(content)
    with pytest.raises(OSError, match=r"a\.flo: "):
        flowread(tmp_path / "a.flo")


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        (1, TypeError),
        (None, TypeError),
        ([[[0, 0]]], TypeError),
        (np.zeros((100, 100, 1)), ValueError),
        (np.zeros((100, 100)), ValueError),
        (np.zeros((0, 100, 2)), ValueError),
        ("missing.flo", FileNotFoundError),
    ],
)
def test_wrong_flow(flow: Any, error: type[Exception]) -> None:
    """What is neither flow nor a path to it is an error of the kind that MMCV raises."""
    with pytest.raises(error):
        flowread(flow)


@pytest.mark.parametrize("axis", [0, 1])
def test_quantized_files(tmp_path: Path, axis: int) -> None:
    """Flow that is written as an image is read again, up to half a level."""
    flow = np.clip(FLOW, -0.2, 0.2)
    flowwrite(flow, tmp_path / "a.png", quantize=True, concat_axis=axis, max_val=0.2, norm=False)
    shape = (12, 8) if axis == 0 else (6, 16)
    img = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert img.shape == shape
    read = flowread(tmp_path / "a.png", quantize=True, concat_axis=axis, max_val=0.2, denorm=False)
    assert read.dtype == np.float32
    assert np.abs(read - flow).max() <= 0.2 / 255 + 1e-6


def test_wrong_quantized_files(tmp_path: Path) -> None:
    """A color image is an OSError, an odd length or an unknown axis an AssertionError."""
    cv2.imwrite(str(tmp_path / "color.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(OSError, match=r"color\.png is not quantized flow: it has 3 channels"):
        flowread(tmp_path / "color.png", quantize=True)
    cv2.imwrite(str(tmp_path / "odd.png"), np.zeros((5, 4), np.uint8))
    with pytest.raises(AssertionError, match=r"odd\.png cannot be divided"):
        flowread(tmp_path / "odd.png", quantize=True)
    for axis in (2, -1):
        with pytest.raises(AssertionError, match="concat_axis"):
            flowread(tmp_path / "odd.png", quantize=True, concat_axis=axis)
        with pytest.raises(AssertionError, match="concat_axis"):
            flowwrite(FLOW, tmp_path / "new.png", quantize=True, concat_axis=axis)
    with pytest.raises(TypeError, match="filename"):
        flowwrite(FLOW, 3)  # type: ignore[arg-type]
    assert not (tmp_path / "new.png").exists()


@pytest.mark.parametrize("norm", [True, False])
def test_quantization(norm: bool) -> None:
    """255 levels between -max_val and max_val; zero is exact, and greater flow is clipped."""
    flow = FLOW.astype(np.float64)
    flow[0, :3] = [[0, 0], [100, -100], [0, 0]]
    sizes = np.array([8, 6]) if norm else np.array([1, 1])
    levels = np.floor((np.clip(flow / sizes, -0.3, 0.3) + 0.3) / 0.6 * 255).clip(0, 254)
    dx, dy = quantize_flow(flow, max_val=0.3, norm=norm)
    assert dx.dtype == dy.dtype == np.uint8
    assert (np.abs(np.stack([dx, dy], axis=2) - levels) <= 1).all()  # at the edge of a level
    assert dx[0].tolist()[:2] == [127, 254]
    assert dy[0].tolist()[:2] == [127, 0]
    restored = dequantize_flow(dx, dy, max_val=0.3, denorm=norm)
    assert restored.dtype == np.float64
    assert restored.shape == flow.shape
    assert np.array_equal(restored[0, [0, 2]], np.zeros((2, 2)))
    clipped = np.clip(flow, -0.3 * sizes, 0.3 * sizes)
    assert (np.abs(restored - clipped) <= 0.3 / 255 * sizes + 1e-9).all()


def test_wrong_quantization() -> None:
    """The levels are two arrays of the same shape (H, W), and flow is (H, W, 2)."""
    level = np.zeros((3, 4), np.uint8)
    for dx, dy in [(level, level[:2]), (level[..., None], level[..., None]), (level, [[0]])]:
        with pytest.raises(AssertionError):
            dequantize_flow(dx, dy)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        quantize_flow(np.zeros((3, 4, 3)))


def test_sparse_flow() -> None:
    """A KITTI file has dx, dy and validity as R, G and B: (value - 2^15) / 64."""
    values = RNG.integers(0, 2**16, (5, 7, 2)).astype(np.uint16)
    valid = RNG.integers(0, 2, (5, 7)).astype(np.uint16)
    _, content = cv2.imencode(".png", np.dstack([valid, values[..., 1], values[..., 0]]))
    flow, known = sparse_flow_from_bytes(content.tobytes())
    assert flow.dtype == known.dtype == np.float32
    assert np.array_equal(flow, (values.astype(np.float64) - 2**15) / 64)
    assert np.array_equal(known, valid)


@pytest.mark.parametrize("img", [None, np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4), np.uint16)])
def test_wrong_sparse_flow(img: np.ndarray | None) -> None:
    """What is not an image with three channels of 16 bits is an OSError."""
    for content in [b"", b"text"] if img is None else [cv2.imencode(".png", img)[1].tobytes()]:
        with pytest.raises(OSError, match="image"):
            sparse_flow_from_bytes(content)


def test_warp_of_one_pixel() -> None:
    """The result at (x, y) is the image at (x + dx, y + dy), in both modes."""
    img = np.zeros((5, 5, 3))
    img[2, 2, 0] = 1
    expected = np.zeros((5, 5, 3))
    expected[1, 1, 0] = 1
    for mode in ("nearest", "bilinear"):
        assert np.array_equal(flow_warp(img, np.ones((5, 5, 2)), interpolate_mode=mode), expected)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4, 5, 600])
def test_zero_flow(mode: Any, dtype: str, channels: int | None) -> None:
    """Zero flow changes nothing, in the last row and column either, whatever the channels and the dtype."""
    shape = (7, 9) if channels is None else (7, 9, channels)
    img = RNG.integers(0, 200, shape).astype(dtype)[:, ::-1]
    warped = flow_warp(img, np.zeros((7, 9, 2), np.float32), 5, mode)
    assert warped.dtype == img.dtype
    assert np.array_equal(warped, img)
    assert warped.flags.c_contiguous
    assert not np.shares_memory(warped, img)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 9),
    st.sampled_from([None, 1, 3, 6]),
    st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
    st.sampled_from(["float16", "float32", "float64", "int8", "int64"]),
    st.integers(0, 2**32 - 1),
)
def test_nearest(
    height: int, width: int, channels: int | None, dtype: str, flow_dtype: str, seed: int
) -> None:
    """The nearest pixel follows the formula exactly; half positions are rounded to even, and NaN is outside."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels is None else (height, width, channels)
    img = rng.integers(0, 32000 if dtype != "uint8" else 256, shape).astype(dtype)
    flow = (rng.standard_normal((height, width, 2)) * 3 * 4).round() / 4
    if flow_dtype.startswith("float"):
        chosen = rng.random(flow.shape) < 0.05
        flow[chosen] = rng.choice([np.nan, np.inf, -np.inf, 60000], chosen.sum())
    flow = flow.astype(flow_dtype)
    assert np.array_equal(flow_warp(img, flow, 9), plain_warp(img, flow, 9, "nearest"))


def test_nearest_of_float64() -> None:
    """Positions of float64 flow are computed in float64."""
    img, flow = RNG.standard_normal((300, 400, 3)), RNG.standard_normal((300, 400, 2)) * 2 + 0.2
    assert np.array_equal(flow_warp(img, flow), plain_warp(img, flow, 0, "nearest"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 3, 6])
def test_bilinear(dtype: str, channels: int | None) -> None:
    """Bilinear interpolation follows the formula, exactly up to rounding where positions are multiples of 1/32."""
    shape = (50, 60) if channels is None else (50, 60, channels)
    img = RNG.integers(0, 256, shape).astype(dtype)
    flow = (RNG.standard_normal((50, 60, 2)) * 6 * 32).round() / 32
    expected = plain_warp(img, flow, 7, "bilinear")
    tolerance = 1e-4 if dtype.startswith("float") else 0.51
    assert np.abs(flow_warp(img, flow, 7, "bilinear") - expected).max() <= tolerance
    # OpenCV 4 rounds other positions to multiples of 1/32, which changes x and y by at most 1/64 pixel
    flow = (RNG.standard_normal((50, 60, 2)) * 6).astype(np.float32)
    expected = plain_warp(img, flow, 7, "bilinear")
    assert np.abs(flow_warp(img, flow, 7, "bilinear") - expected).max() <= 255 * 2 / 64 + tolerance


def test_integers_are_rounded() -> None:
    """The mean of 0 and 3 is 2, and not 1 as in MMCV; other fractions are rounded to the nearest integer."""
    for dtype in (np.uint8, np.uint16):
        img = np.array([[0, 3], [0, 3]], dtype)
        flow = np.zeros((2, 2, 2))
        flow[:, 0, 0] = 0.5625
        assert flow_warp(img, flow, 0, "bilinear").tolist() == [[2, 3], [2, 3]]


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("filling", "expected"), [(9, [9, 9, 9]), ([1, 2, 3], [1, 2, 3]), (np.array([1.0, 2, 3]), [1, 2, 3])]
)
def test_filling(mode: Any, filling: Any, expected: list[int]) -> None:
    """Positions outside the image get the filling value, even those less than half a pixel outside."""
    img = np.full((4, 4, 3), 100, np.uint8)
    flow = np.zeros((4, 4, 2))
    flow[0, 0], flow[3, 3], flow[1, 1], flow[1, 2] = (-0.01, 0), (0, 0.01), (np.nan, 0), (0, np.inf)
    warped = flow_warp(img, flow, filling, mode)
    outside = np.zeros((4, 4), bool)
    outside[[0, 3, 1, 1], [0, 3, 1, 2]] = True
    assert (warped[outside] == expected).all()
    assert (warped[~outside] == 100).all()


def test_no_warning_and_inputs_unchanged() -> None:
    """A call emits no warning and changes neither argument."""
    img, flow = RNG.integers(0, 256, (20, 20, 3), np.uint8), RNG.standard_normal((20, 20, 2))
    before = img.copy(), flow.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = flow_warp(img.transpose(1, 0, 2), flow[::-1])
    assert np.array_equal(first, flow_warp(img.transpose(1, 0, 2).copy(), flow[::-1].copy()))
    assert np.array_equal(img, before[0])
    assert np.array_equal(flow, before[1])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"interpolate_mode": "xxx"}, NotImplementedError),
        ({"interpolate_mode": ["nearest"]}, NotImplementedError),
        ({"flow": np.zeros((5, 6))}, AssertionError),
        ({"flow": np.zeros((6, 5, 2))}, AssertionError),
        ({"flow": np.zeros((5, 6, 3))}, AssertionError),
        ({"flow": np.zeros((5, 6, 2), complex)}, TypeError),
        ({"img": np.zeros(5)}, AssertionError),
        ({"img": [[1]]}, TypeError),
        ({"img": np.zeros((5, 6), np.int64)}, TypeError),
        ({"filling_value": 300}, ValueError),
        ({"filling_value": [1, 2, 3]}, ValueError),
        ({"filling_value": "black"}, TypeError),
        ({"img": np.zeros((5, 6)), "filling_value": float("inf")}, ValueError),
        ({"img": np.zeros((32767, 1), np.uint8), "flow": np.zeros((32767, 1, 2))}, ValueError),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    """A wrong argument is an error of the kind that MMCV raises, with a message of ours."""
    with pytest.raises(error) as info:
        flow_warp(**{"img": np.zeros((5, 6), np.uint8), "flow": np.zeros((5, 6, 2)), **arguments})
    assert isinstance(info.value, cfgtrain.CfgTrainError)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_largest_image(mode: Any) -> None:
    """An image with an edge of 32,766 pixels can be warped."""
    img = RNG.integers(0, 256, (2, 32766), np.uint8)
    flow = np.zeros((2, 32766, 2), np.float32)
    flow[..., 0] = -1
    assert np.array_equal(flow_warp(img, flow, 0, mode)[:, 1:], img[:, :-1])


def test_content_is_bytes() -> None:
    """Content that is not bytes, and a maximum that is not a number, are refused."""
    for function in (flow_from_bytes, sparse_flow_from_bytes):
        for content in (None, "PIEH", [1, 2], 5):
            with pytest.raises(TypeError, match="content must be bytes"):
                function(content)  # type: ignore[operator]
    for value in (None, "1"):
        with pytest.raises(TypeError, match="max_val must be a number"):
            quantize_flow(FLOW, value)  # type: ignore[arg-type]
    for value in (0, -1, float("inf")):
        with pytest.raises(ValueError, match="max_val must be positive and finite"):
            dequantize_flow(FLOW[..., 0], FLOW[..., 1], value)
