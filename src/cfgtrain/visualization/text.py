"""Draw text on images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cfgtrain.image.array import Array

__all__ = ["draw_text"]

logger = logging.getLogger(__name__)

_OPENCV_FONT = cv2.FONT_HERSHEY_COMPLEX
# Fonts of Linux, macOS and Windows, which Pillow finds by their names. Its own font only has ASCII.
_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc",
    "Arial Unicode.ttf", "arial.ttf", "msyh.ttc",
)  # fmt: skip
_SIZE = 30  # at this size, a capital letter is as high as that of OpenCV's font at scale 1
_NOT_A_CHARACTER = "\uffff"  # drawn as the box that replaces missing characters


def draw_text(
    canvas: Array, text: str, position: tuple[int, int], scale: float, color: Sequence[float]
) -> None:
    """Draw one line of text on an image, in place.

    OpenCV 4 only draws ASCII, so any other text is drawn with a font of the system. If no font has its
    characters, they are written as escapes, with their hexadecimal numbers, and a warning is logged.

    Args:
        canvas: An array (H, W) or (H, W, C).
        text: The text.
        position: Left end of the base line (x, y) in pixels, 0-based. Text that would begin above the image is
            moved down.
        scale: Size of the font; with 1, a capital letter is about 22 pixels high.
        color: One value for each channel of ``canvas``.
    """
    mask, left, top = _mask(text.replace("\n", " "), scale)
    left, top = left + position[0], max(top + position[1], 0)
    region = canvas[top : top + mask.shape[0], max(left, 0) : max(left + mask.shape[1], 0)]
    alpha = mask[: region.shape[0], max(-left, 0) :][:, : region.shape[1]]
    if canvas.ndim == 3:
        alpha = alpha[..., None]
    blended = region + (np.asarray(color if canvas.ndim == 3 else color[0]) - region) * alpha
    region[...] = blended.round() if canvas.dtype.kind == "u" else blended


def text_width(text: str, scale: float) -> int:
    """Return how many pixels wide ``draw_text`` draws a text."""
    return int(_mask(text, scale)[0].shape[1])


def _mask(text: str, scale: float) -> tuple[Array, int, int]:
    """Return how much each pixel (h, w) belongs to a text, from 0 to 1, and the place (left, top) of the mask.

    The place is relative to the left end of the base line.
    """
    if not text.isascii():
        characters = "".join(sorted({each for each in text if not each.isascii()}))
        font = _font_with(characters, max(1, round(_SIZE * scale)))
        if font is not None:
            return _pillow_mask(font, text)
        text = text.encode("ascii", "backslashreplace").decode()
    # OpenCV 5 only draws text on images of uint8, so it never draws on the canvas itself
    (width, height), below = cv2.getTextSize(text, _OPENCV_FONT, scale, 1)
    base = (height, 2 * height)
    image = np.zeros((base[1] + below + height, width + 2 * height), np.uint8)
    cv2.putText(image, text, base, _OPENCV_FONT, scale, 255)
    left, top, width, height = cv2.boundingRect(image)
    return image[top : top + height, left : left + width] / 255, left - base[0], top - base[1]


@lru_cache(maxsize=1000)
def _font_with(characters: str, size: int) -> Any:
    """Return the first font that has these characters, or None."""
    for name in _FONTS:
        font = _font(name, size)
        if font is not None:
            box = _pillow_mask(font, _NOT_A_CHARACTER)[0]
            if not any(np.array_equal(_pillow_mask(font, each)[0], box) for each in characters):
                return font
    logger.warning("No installed font has the characters %s: they are drawn as escapes.", characters)
    return None


@cache
def _font(name: str, size: int) -> Any:
    try:
        return ImageFont.truetype(name, size)
    except OSError:  # not installed
        return None


def _pillow_mask(font: Any, text: str) -> tuple[Array, int, int]:
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
    image = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font, anchor="ls")
    return np.asarray(image, np.float64) / 255, left, top
