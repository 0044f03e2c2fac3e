"""Draw text on images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cfgtrain.image.array import Array

__all__ = ["draw_text"]

logger = logging.getLogger(__name__)

_FONT = cv2.FONT_HERSHEY_COMPLEX
_PILLOW_SIZE = 30  # at this size, Pillow's font is as high as OpenCV's at scale 1
_NOT_A_CHARACTER = "\uffff"  # drawn as the box that replaces missing characters


def draw_text(
    canvas: Array, text: str, position: tuple[int, int], scale: float, color: Sequence[float]
) -> None:
    """Draw one line of text on an image, in place.

    OpenCV only draws ASCII, so any other text is drawn with the font of Pillow, which has the characters of
    most European languages. A warning is logged for characters that it does not have; they become boxes.

    Args:
        canvas: A contiguous array (H, W) or (H, W, C).
        text: The text.
        position: Lower left corner (x, y) of the text in pixels, 0-based. Text that would begin above the image
            is moved down.
        scale: Size of the font; with 1, a capital letter is about 22 pixels high.
        color: One value for each channel of ``canvas``.
    """
    x, y = position
    if text.isascii():
        (_, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
        cv2.putText(canvas, text, (x, max(y, height)), _FONT, scale, tuple(color))
        return
    mask, ascent = _mask(text, max(1, round(_PILLOW_SIZE * scale)))
    top, left = max(y - ascent, 0), x
    region = canvas[top : top + mask.shape[0], max(left, 0) : max(left + mask.shape[1], 0)]
    part = mask[: region.shape[0], max(-left, 0) :][:, : region.shape[1]]
    region[part] = color[0] if canvas.ndim == 2 else color


def _mask(text: str, size: int) -> tuple[Array, int]:
    """Return the pixels of a text (h, w) as an array of bool, and the height of its base line in it."""
    font = _font(size)
    missing = [each for each in dict.fromkeys(text) if not each.isascii() and _is_missing(font, each)]
    if missing:
        logger.warning("%r is drawn with boxes: the font does not have %s.", text, " ".join(missing))
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
    image = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font, anchor="ls")
    return np.array(image) > 127, -top


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _is_missing(font: Any, character: str) -> bool:
    return bytes(font.getmask(character)) == bytes(font.getmask(_NOT_A_CHARACTER))
