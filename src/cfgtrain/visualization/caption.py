"""Put lines of text above an image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from cfgtrain.image.array import Array
from cfgtrain.image.colorspace import gray2bgr
from cfgtrain.image.io import imread
from cfgtrain.visualization.text import draw_text, text_width

__all__ = ["with_caption"]

_MIN_SIDE = 200  # pixels; a smaller image is enlarged
_TEXT_SCALE = 1 / 800  # of the font, per pixel of the width
_LINE = 36  # height of a line at scale 1, in pixels


def with_caption(img: Array | str, lines: Sequence[str]) -> Array:
    """Return an image with lines of text in a white strip above it.

    The pixels of the image are not covered. An image with a side of less than 200 pixels is enlarged by a whole
    number, and the strip is made wider than the image if a line needs it.

    Args:
        img: (H, W) or (H, W, 3) uint8 image in the order BGR, or its path.
        lines: The lines; the first one is black, the others are gray.

    Returns:
        An (H, W, 3) uint8 image.
    """
    img = imread(img)
    img = gray2bgr(img) if img.ndim == 2 or img.shape[2] == 1 else img[..., :3]
    factor = max(1, -(-_MIN_SIDE // min(img.shape[:2])))
    if factor > 1:
        img = cv2.resize(img, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    height, width = img.shape[:2]
    scale = max(width * _TEXT_SCALE, 0.5)
    line, margin = round(_LINE * scale), round(_LINE * scale / 3)
    needed = max((text_width(text, scale) for text in lines), default=0) + 2 * margin
    strip = line * len(lines) + margin
    canvas = np.full((strip + height, max(width, needed), 3), 255, np.uint8)
    canvas[strip:, :width] = img
    for i, text in enumerate(lines):
        color = (0, 0, 0) if i == 0 else (96, 96, 96)
        draw_text(canvas, text, (margin, line * (i + 1) - margin // 2), scale, color)
    return canvas
