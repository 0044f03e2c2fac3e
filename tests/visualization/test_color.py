from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.visualization import Color, color_val


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        (Color.blue, (255, 0, 0)),
        ("green", (0, 255, 0)),
        ((1, 2, 3), (1, 2, 3)),
        ((np.uint8(1), np.int64(2), 3), (1, 2, 3)),
        (100, (100, 100, 100)),
        (np.int64(7), (7, 7, 7)),
        (np.zeros(3, dtype=int), (0, 0, 0)),
        (np.array([255, 0, 9], np.uint8), (255, 0, 9)),
        (np.array([255.0, 0.0, 9.0]), (255, 0, 9)),
    ],
)
def test_colors(color: Any, expected: tuple[int, int, int]) -> None:
    """Every kind of color becomes a tuple of Python ints, which the drawing functions of OpenCV need."""
    assert color_val(color) == expected
    assert [type(value) for value in color_val(color)] == [int, int, int]


def test_names() -> None:
    """The members of Color are (blue, green, red)."""
    assert {color.name: color.value for color in Color} == {
        "red": (0, 0, 255),
        "green": (0, 255, 0),
        "blue": (255, 0, 0),
        "cyan": (255, 255, 0),
        "yellow": (0, 255, 255),
        "magenta": (255, 0, 255),
        "white": (255, 255, 255),
        "black": (0, 0, 0),
    }


@pytest.mark.parametrize("color", [[255, 255, 255], 1.0, None, True, ("a", 0, 0)])
def test_wrong_types(color: Any) -> None:
    """A color of another type is a TypeError; a list is not a color, since it stands for several."""
    with pytest.raises(TypeError, match="color"):
        color_val(color)


@pytest.mark.parametrize("color", [(0, 0, 500), (0, 0), 256, -1, np.zeros(4, int), np.array([0, -1, 0])])
def test_values_out_of_range(color: Any) -> None:
    """A number out of range, or another count of numbers, is an AssertionError as in MMCV."""
    with pytest.raises(AssertionError, match="color"):
        color_val(color)


def test_unknown_name() -> None:
    """An unknown name is a KeyError with a suggestion."""
    with pytest.raises(KeyError, match="Did you mean 'green'"):
        color_val("gren")
