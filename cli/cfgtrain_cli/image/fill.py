"""The colour that ``--fill`` gives to new pixels."""

from __future__ import annotations

import re

from PIL import ImageColor

from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array
from cfgtrain.image.transparency import has_alpha, opaque_value
from cfgtrain.suggestions import suggest

Colour = tuple[int, int, int, int]  # RGBA, 0 to 255

_LUMINANCE = (0.299, 0.587, 0.114)  # of R, G and B, as OpenCV converts colours to gray


def parse_fill(text: str) -> Colour:
    """Return a colour: a name, ``#rrggbb``, ``R,G,B``, or one number for a gray; with alpha, ``R,G,B,A``.

    Raises:
        ArgumentError: The text is not a colour.
    """
    word = text.strip().lower()
    if word == "transparent":
        return 0, 0, 0, 0
    if re.fullmatch(r"\d{1,3}(,\d{1,3}){0,3}", word):
        numbers = [int(number) for number in word.split(",")]
        colour = numbers * 3 if len(numbers) == 1 else numbers
        if len(colour) in (3, 4) and max(colour) <= 255:
            return colour[0], colour[1], colour[2], colour[3] if len(colour) == 4 else 255
    try:
        red, green, blue, *alpha = ImageColor.getrgb(word)
    except ValueError:
        names = [*ImageColor.colormap, "transparent"]
        raise ArgumentError(
            "The fill must be a color such as white, '#ff8000', 255,128,0 or 128 (numbers from 0 to 255), "
            f"not {text!r}.{suggest(word, names)}"
        ) from None
    return red, green, blue, alpha[0] if alpha else 255


def channel_fill(fill: Colour | None, pixels: Array) -> tuple[float, ...]:
    """Return the values of a colour in the channels and the depth of an image.

    Args:
        fill: The colour; None for black, which is transparent in an image with alpha.
        pixels: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA.
    """
    red, green, blue, alpha = fill or (0, 0, 0, 0)
    values: tuple[float, ...] = (blue, green, red, alpha) if has_alpha(pixels) else (blue, green, red)
    if pixels.ndim == 2:
        values = (sum(part * weight for part, weight in zip((red, green, blue), _LUMINANCE, strict=True)),)
    scaled = [value * opaque_value(pixels) / 255 for value in values]
    return tuple(round(value) for value in scaled) if pixels.dtype.kind == "u" else tuple(scaled)
