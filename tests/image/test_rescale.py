from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from cfgtrain.errors import ArgumentError
from cfgtrain.image.rescale import imrescale, imresize_to_multiple, rescale_size
from cfgtrain.image.resize import imresize


def ramp(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("scale", "size", "factor"),
    [
        (1.5, (600, 450), 1.5),
        (0.934, (374, 280), 0.934),
        (2, (800, 600), 2.0),
        ((1000, 600), (800, 600), 2.0),
        ((600, 1000), (800, 600), 2.0),
        ((180, 200), (200, 150), 0.5),
        ((float("inf"), 150), (200, 150), 0.5),
        (0.001, (0, 0), 0.001),
        (np.float32(0.5), (200, 150), 0.5),
        (np.int64(2), (800, 600), 2.0),
        (Fraction(1, 2), (200, 150), 0.5),
        ([1000, 600], (800, 600), 2.0),
        (np.array([180, 200]), (200, 150), 0.5),
    ],
)
def test_rescale_size(scale: Any, size: tuple[int, int], factor: float) -> None:
    """The scale is a factor, or maximum lengths of the long and short edge in either order; halves round up."""
    assert rescale_size((400, 300), scale) == size
    assert rescale_size((400, 300), scale, return_scale=True) == (size, factor)


@pytest.mark.parametrize("scale", [0, -1.0, float("inf"), float("nan"), (0, 5)])
def test_scale_must_be_positive(scale: Any) -> None:
    """A scale that is not positive and finite raises an error."""
    with pytest.raises(ValueError, match="positive and finite"):
        rescale_size((400, 300), scale)


@pytest.mark.parametrize("scale", [[100], (1, 2, 3), [1, 2, 3], "2", "22", None])
def test_scale_types(scale: Any) -> None:
    """A scale that is neither a number nor a pair raises an error."""
    with pytest.raises(TypeError, match="a pair of maximum lengths"):
        rescale_size((400, 300), scale)


def test_imrescale() -> None:
    """The aspect ratio is kept, and each edge has at least one pixel."""
    assert imrescale(ramp(300, 400, 3), (1000, 600)).shape == (600, 800, 3)
    rescaled, factor = imrescale(ramp(300, 400), 0.5, return_scale=True)
    assert (rescaled.shape, factor) == ((150, 200), 0.5)
    assert imrescale(ramp(2, 400), 0.1).shape == (1, 40)
    assert imrescale(ramp(300, 400, 5), [1000, 600]).shape == (600, 800, 5)
    assert imrescale(ramp(300, 400, 1), np.float32(0.5)).shape == (150, 200, 1)
    with pytest.raises(TypeError, match="img must be an array"):
        imrescale([[1]], 2)  # type: ignore[call-overload]


@pytest.mark.parametrize("old_size", [400, (400,), (0, 300), ("400", 300), None])
def test_old_size(old_size: Any) -> None:
    """A size that is not a pair of positive numbers raises an error."""
    with pytest.raises(ArgumentError, match="old_size"):
        rescale_size(old_size, 2)


def test_a_bool_is_not_a_scale() -> None:
    """True is not the factor 1."""
    with pytest.raises(TypeError, match="scale must be a number, not True"):
        rescale_size((400, 300), True)


@pytest.mark.parametrize(
    ("divisor", "options", "size"),
    [
        (16, {"size": (511, 513)}, (528, 512)),
        ((16, 32), {"size": (511, 513)}, (544, 512)),
        ([16, 32], {"size": [511, 513]}, (544, 512)),
        (16, {"size": (1000, 600), "keep_ratio": True}, (608, 800)),
        ((18, 16), {"size": (1000, 600), "keep_ratio": True}, (608, 810)),
        (16, {"scale_factor": 2}, (608, 800)),
        (16, {"scale_factor": (2, 3)}, (912, 800)),
        ((18, 16), {"scale_factor": [2, 3]}, (912, 810)),
        (16, {"size": 100}, (112, 112)),
        (np.int64(100), {"scale_factor": np.float32(0.5)}, (200, 200)),
        (7, {"scale_factor": 0.0001}, (7, 7)),
        (7, {"size": 1, "keep_ratio": True}, (7, 7)),
    ],
)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (5,)])
def test_multiple(
    divisor: Any, options: dict[str, Any], size: tuple[int, int], channels: tuple[int, ...]
) -> None:
    """Each edge is rounded up to a multiple of its divisor (w, h); the scales are relative to the image."""
    img = ramp(300, 400, *channels)
    resized, w_scale, h_scale = imresize_to_multiple(img, divisor, **options, return_scale=True)
    assert resized.shape == (*size, *channels)
    assert (w_scale, h_scale) == (size[1] / 400, size[0] / 300)
    assert np.array_equal(resized, imresize(img, size[::-1]))


def test_multiple_passes_on() -> None:
    """The interpolation, out and backend are those of imresize, and the positions of the arguments those of MMCV."""
    img, out = ramp(30, 40, 3), np.zeros((16, 32, 3), np.uint8)
    resized = imresize_to_multiple(img, 16, (20, 10), None, False, False, "nearest", out, "pillow")
    assert resized is out
    assert np.array_equal(out, imresize(img, (32, 16), interpolation="nearest", backend="pillow"))


@pytest.mark.parametrize("scale", [np.array(2), np.array(2.5), {1: 2, 3: 4}, [1, 2, 3], [], "12", None])
def test_not_a_scale(scale: Any) -> None:
    """An array without axes, or anything but a number or a pair, is refused."""
    with pytest.raises(TypeError, match="scale must be"):
        rescale_size((4, 3), scale)


@pytest.mark.parametrize(
    ("divisor", "options", "message"),
    [
        (16, {}, "Exactly one of size and scale_factor"),
        (16, {"size": (5, 5), "scale_factor": 2}, "Exactly one of size and scale_factor"),
        (0, {"size": 5}, "divisor must be at least 1"),
        (1.5, {"size": 5}, "divisor must be an integer"),
        ((1, 2, 3), {"size": 5}, r"divisor must be 2 integers \(w, h\)"),
        (16, {"size": 5.5}, "size must be an integer"),
        (16, {"size": (5, 0)}, r"size\[1\] must be at least 1"),
        (16, {"scale_factor": 0}, "scale_factor must be positive and finite"),
        (16, {"scale_factor": (1, -1)}, "scale_factor must be positive and finite"),
        (16, {"scale_factor": "2"}, "scale_factor must be one number or two"),
    ],
)
def test_wrong_multiple(divisor: Any, options: dict[str, Any], message: str) -> None:
    """Each wrong argument raises an error that says what would be right."""
    with pytest.raises(ValueError, match=message):
        imresize_to_multiple(ramp(30, 40), divisor, **options)
