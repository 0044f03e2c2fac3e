from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.errors import ArgumentError
from cfgtrain.image.flip import imflip, imflip_, turn_upright

SMALL = np.array([[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("horizontal", [[2, 1], [4, 3]]), ("vertical", [[3, 4], [1, 2]]), ("diagonal", [[4, 3], [2, 1]])],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.int64, np.float16, bool])
@pytest.mark.parametrize("channels", [None, 1, 3, 5, 600])
def test_directions(direction: Any, expected: list[list[int]], dtype: Any, channels: int | None) -> None:
    """Each direction is flipped correctly for any dtype and number of channels, and the result is a copy."""
    img = SMALL.astype(dtype) if channels is None else np.repeat(SMALL[..., None], channels, 2).astype(dtype)
    flipped = imflip(img, direction)
    wanted = np.array(expected).astype(dtype)
    assert np.array_equal(flipped if channels is None else flipped[..., -1], wanted)
    assert flipped.shape == img.shape
    assert flipped.dtype == img.dtype
    assert not np.shares_memory(flipped, img)


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
def test_flip_in_place(direction: Any) -> None:
    """imflip_ changes its input and returns it."""
    img = np.random.default_rng(0).random((5, 4, 3))
    expected = imflip(img, direction)
    assert imflip_(img, direction) is img
    assert np.array_equal(img, expected)


def test_unknown_direction() -> None:
    """An unknown direction raises an error with a suggestion."""
    with pytest.raises(AssertionError, match=r"'horizontl'.*Did you mean 'horizontal'"):
        imflip(SMALL, "horizontl")  # type: ignore[arg-type]


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.int64, bool, np.float16]
)
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,), (5,), (200,), (600,)])
def test_in_place_for_every_kind(channels: tuple[int, ...], dtype: Any, direction: Any) -> None:
    """imflip_ changes the memory of its input for every size, dtype and number of channels, also through a view."""
    axes = {"horizontal": 1, "vertical": 0, "diagonal": (0, 1)}[direction]
    for height, width in [(1, 1), (1, 5), (5, 1), (6, 7), (7, 6), (33, 65)]:
        base = np.random.default_rng(0).integers(0, 256, (height, width, *channels)).astype(dtype)
        expected = np.flip(base, axes).copy()
        assert np.array_equal(imflip(base, direction), expected)
        assert imflip_(base, direction) is base
        assert np.array_equal(base, expected)
        wide = np.repeat(base, 2, axis=1)
        view = wide[::-1, ::2]
        expected = np.flip(view, axes).copy()
        imflip_(view, direction)
        assert np.array_equal(wide[::-1, ::2], expected)
        assert np.array_equal(wide[::-1, 1::2], base[::-1])


def test_flip_is_contiguous() -> None:
    """The result is contiguous, also for a view, and the input is not changed."""
    base = np.random.default_rng(0).random((5, 4, 3))
    before = base.copy()
    for img in (base, base.transpose(1, 0, 2), base[::-1, ::2], base[..., ::-1]):
        flipped = imflip(img)
        assert flipped.flags.c_contiguous
        assert np.array_equal(flipped, img[:, ::-1])
    assert np.array_equal(base, before)


@pytest.mark.parametrize("flip", [imflip, imflip_])
@pytest.mark.parametrize(
    "img", [[[1, 2], [3, 4]], None, "img", np.zeros(3), np.zeros((2, 2, 2, 2)), np.zeros((0, 3))]
)
def test_not_an_image(flip: Any, img: Any) -> None:
    """What is not an image array raises an error of ours."""
    with pytest.raises(ArgumentError, match="img"):
        flip(img)


def test_read_only() -> None:
    """A read-only image can be flipped, but not in place."""
    img = np.broadcast_to(np.arange(3, dtype=np.uint8), (2, 3))
    assert imflip(img).tolist() == [[2, 1, 0]] * 2
    with pytest.raises(ValueError, match="read-only"):
        imflip_(img)


# The image [[a, b], [c, d], [e, f]] as stored with each orientation.
STORED = {
    1: [["a", "b"], ["c", "d"], ["e", "f"]],
    2: [["b", "a"], ["d", "c"], ["f", "e"]],
    3: [["f", "e"], ["d", "c"], ["b", "a"]],
    4: [["e", "f"], ["c", "d"], ["a", "b"]],
    5: [["a", "c", "e"], ["b", "d", "f"]],
    6: [["b", "d", "f"], ["a", "c", "e"]],
    7: [["f", "d", "b"], ["e", "c", "a"]],
    8: [["e", "c", "a"], ["f", "d", "b"]],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [None, 3, 4])
def test_upright(orientation: int, dtype: Any, channels: int | None) -> None:
    """All eight EXIF orientations result in the same image."""
    code = np.vectorize(ord)
    stored = code(np.array(STORED[orientation])).astype(dtype)
    stored = stored if channels is None else np.repeat(stored[..., None], channels, axis=2)
    upright = turn_upright(stored, orientation)
    letters = upright if channels is None else upright[..., 0]
    assert np.array_equal(letters, code(np.array(STORED[1])).astype(dtype))
