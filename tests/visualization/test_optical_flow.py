from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain.errors import ArgumentTypeError
from cfgtrain.video import flowwrite
from cfgtrain.visualization import flow2rgb, flowshow, make_color_wheel, optical_flow

REFERENCE = np.array([[[0, 0], [0.5, 0.5], [1, 1], [2, 1], [3, np.inf]]], np.float32)
REFERENCE_RGB = [
    [1, 1, 1],
    [1, 0.826074731, 0.683772236],
    [1, 0.652149462, 0.367544472],
    [1, 0.265650552, 5.96046448e-08],
    [0, 0, 0],
]


def plain_flow2rgb(flow: np.ndarray, wheel: np.ndarray, unknown_thr: float = 1e6) -> np.ndarray:
    """Return the colors of flow by the formula, in float64."""
    dx, dy = flow.astype(np.float64).transpose(2, 0, 1)
    unknown = np.isnan(dx) | np.isnan(dy) | (np.abs(dx) > unknown_thr) | (np.abs(dy) > unknown_thr)
    dx, dy = np.where(unknown, 0, dx), np.where(unknown, 0, dy)
    length = np.hypot(dx, dy)
    length /= length.max() if length.max() > np.finfo(np.float32).eps else 1
    place = (np.arctan2(-dy, -dx) / np.pi + 1) / 2 * (len(wheel) - 1)
    left = np.floor(place).astype(int)
    part = (place - left)[..., None]
    color = wheel[left] * (1 - part) + wheel[(left + 1) % len(wheel)] * part
    rgb = 1 - length[..., None] * (1 - color)
    rgb[unknown] = 0
    return rgb


def test_color_wheel() -> None:
    """The wheel has six ramps, by default 55 colors."""
    half = make_color_wheel([2] * 6)
    assert half.dtype == np.float32
    assert half.tolist() == [
        [1, 0, 0], [1, 0.5, 0], [1, 1, 0], [0.5, 1, 0], [0, 1, 0], [0, 1, 0.5],
        [0, 1, 1], [0, 0.5, 1], [0, 0, 1], [0.5, 0, 1], [1, 0, 1], [1, 0, 0.5],
    ]  # fmt: skip
    wheel = make_color_wheel()
    assert wheel.shape == (55, 3)
    ends = np.cumsum([0, 15, 6, 4, 11, 13, 6])
    corners = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]])
    for i, (begin, end) in enumerate(pairwise(ends)):
        part = np.arange(end - begin)[:, None] / (end - begin)
        assert np.allclose(wheel[begin:end], corners[i] * (1 - part) + corners[i + 1] * part, atol=1e-7)


@pytest.mark.parametrize(
    ("bins", "error"),
    [([1] * 5, AssertionError), ([1, 1, 1, 1, 1, 0], ValueError), ([1.5] * 6, TypeError), (6, TypeError)],
)
def test_wrong_bins(bins: Any, error: type[Exception]) -> None:
    """The counts of the wheel are six positive integers."""
    with pytest.raises(error, match="bins"):
        make_color_wheel(bins)


def test_reference_colors() -> None:
    """Zero is white, unknown flow is black, and the longest flow has the colors of the wheel."""
    rgb = flow2rgb(REFERENCE)
    assert rgb.dtype == np.float32
    assert np.abs(rgb[0] - np.array(REFERENCE_RGB)).max() < 1.5e-6


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 9),
    st.sampled_from(["float16", "float32", "float64", "int8", "int16", "int64", "uint8"]),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_formula(height: int, width: int, dtype: str, seed: int, special: bool) -> None:
    """The colors follow the formula for any shape and dtype, with NaN, infinite and large values too."""
    rng = np.random.default_rng(seed)
    flow = (rng.standard_normal((height, width, 2)) * 20).round(2)
    if dtype.startswith("float") and special:
        chosen = rng.random(flow.shape) < 0.1
        flow[chosen] = rng.choice([np.nan, np.inf, -np.inf, 60000, 0], chosen.sum())
    flow = np.abs(flow).astype(dtype) if dtype == "uint8" else flow.astype(dtype)
    expected = plain_flow2rgb(flow, make_color_wheel(), 1000)
    rgb = flow2rgb(flow, unknown_thr=1000)
    assert np.abs(rgb - expected).max() < 1e-5
    assert 0 <= rgb.min() <= rgb.max() <= 1


def test_long_flow_of_float16() -> None:
    """float16 flow is not squared in float16, where it would overflow."""
    flow = np.array([[[60000, 60000], [30000, 0]]], np.float16)
    assert np.allclose(flow2rgb(flow), plain_flow2rgb(flow, make_color_wheel()), atol=1e-5)


def test_memory_layout_and_input() -> None:
    """Any memory layout is accepted, and the input is not changed."""
    flow = np.random.default_rng(0).standard_normal((2, 40, 9)).astype(np.float32)
    flow[0, 3, 3] = np.nan
    before = flow.copy()
    view = flow.transpose(1, 2, 0)[::-1]
    assert np.array_equal(flow2rgb(view), flow2rgb(np.ascontiguousarray(view)))
    assert np.array_equal(flow, before, equal_nan=True)


def test_unknown_everywhere() -> None:
    """Flow that is unknown everywhere is black, and flow that is zero everywhere is white."""
    assert not flow2rgb(np.full((3, 4, 2), np.nan)).any()
    assert (flow2rgb(np.zeros((3, 4, 2), int)) == 1).all()
    for huge in (np.full((1, 1, 2), 1e30, np.float32), np.full((1, 1, 2), 1e300)):
        assert not flow2rgb(huge, unknown_thr=np.inf).any()


@pytest.mark.parametrize("wheel", ["red", {}, [["a", "b", "c"]], 1j])
def test_wheel_without_numbers(wheel: Any) -> None:
    """A wheel that is not an array of numbers is refused."""
    with pytest.raises(ArgumentTypeError, match="color_wheel must be an array of numbers"):
        flow2rgb(np.zeros((3, 4, 2)), wheel)


def test_custom_wheel() -> None:
    """A wheel can be given, as a list too."""
    wheel = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    flow = np.random.default_rng(0).standard_normal((5, 6, 2))
    assert np.allclose(flow2rgb(flow, wheel), plain_flow2rgb(flow, np.array(wheel)), atol=1e-5)


@pytest.mark.parametrize(
    ("flow", "arguments", "error"),
    [
        (np.zeros((3, 4)), {}, AssertionError),
        (np.zeros((3, 4, 3)), {}, AssertionError),
        ([[[0, 0]]], {}, TypeError),
        (np.zeros((3, 4, 2), bool), {}, TypeError),
        (np.zeros((3, 4, 2)), {"color_wheel": np.zeros((3, 4))}, AssertionError),
        (np.zeros((3, 4, 2)), {"color_wheel": np.zeros(3)}, AssertionError),
        (np.zeros((3, 4, 2)), {"unknown_thr": -1}, ValueError),
    ],
)
def test_wrong_arguments(flow: Any, arguments: dict[str, Any], error: type[Exception]) -> None:
    """Another shape or type is an error of the kind that MMCV raises."""
    with pytest.raises(error):
        flow2rgb(flow, **arguments)


def test_flowshow(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Flow is shown in the channel order of OpenCV; it can be given by its path."""
    shown: list[tuple[Any, ...]] = []
    monkeypatch.setattr(optical_flow, "imshow", lambda *args: shown.append(args))
    flow = np.random.default_rng(0).standard_normal((5, 6, 2)).astype(np.float32)
    flowwrite(flow, tmp_path / "a.flo")
    flowshow(flow, "w", 3)
    flowshow(tmp_path / "a.flo")
    for (img, *rest), expected in zip(shown, [["w", 3], ["", 0]], strict=True):
        assert np.array_equal(img[..., ::-1], flow2rgb(flow))
        assert rest == expected
