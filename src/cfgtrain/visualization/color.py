"""Colors by name."""

from __future__ import annotations

from enum import Enum

import numpy as np

from cfgtrain.arguments import check_integer, check_numbers
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array

__all__ = ["Color", "color_val"]


class Color(Enum):
    """Colors as (blue, green, red), each from 0 to 255."""

    red = (0, 0, 255)
    green = (0, 255, 0)
    blue = (255, 0, 0)
    cyan = (255, 255, 0)
    yellow = (0, 255, 255)
    magenta = (255, 0, 255)
    white = (255, 255, 255)
    black = (0, 0, 0)


ColorLike = Color | str | tuple[int, int, int] | int | Array


class UnknownColorError(ArgumentError, KeyError):
    """No color has this name."""


def color_val(color: ColorLike) -> tuple[int, int, int]:
    """Return a color as a tuple.

    Args:
        color: A ``Color`` or its name, a tuple or array (blue, green, red), or an integer for a shade of gray;
            the numbers are from 0 to 255. A list is not accepted, since a list stands for several colors in
            ``imshow_bboxes``.

    Returns:
        (blue, green, red), each a Python int from 0 to 255, as the drawing functions of OpenCV need it.

    Raises:
        UnknownColorError: No color has this name. It is also a ``KeyError``.
        ArgumentTypeError: ``color`` has another type.
        ArgumentError: A number is out of range, or there are not three.
    """
    if isinstance(color, str):
        if color not in Color.__members__:
            names = list(Color.__members__)
            raise UnknownColorError(
                f"Unknown color {color!r}. Known colors: {', '.join(names)}.",
                near=(color, names),
                argument="color",
            )
        return Color[color].value
    if isinstance(color, Color):
        return color.value
    if isinstance(color, tuple):
        blue, green, red = check_numbers(
            "color", color, 3, "(blue, green, red)", integers=True, minimum=0, maximum=255
        )
    elif isinstance(color, np.ndarray):
        blue, green, red = check_numbers("color", color, 3, "(blue, green, red)", minimum=0, maximum=255)
    elif isinstance(color, int | np.integer):
        blue = green = red = check_integer("color", color, 0, 255)
    else:
        raise ArgumentTypeError(
            f"color must be a name, a tuple (blue, green, red) or an integer from 0 to 255, not {color!r}.",
            argument="color",
        )
    return round(blue), round(green), round(red)
