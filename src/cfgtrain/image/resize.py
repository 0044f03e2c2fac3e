"""Resize images."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np

from cfgtrain.errors import ArgumentError, suggest

Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]

_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


def imresize(
    img: np.ndarray[Any, Any], size: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> np.ndarray[Any, Any]:
    """Resize an image to a given size.

    Args:
        img: (H, W) or (H, W, C), uint8, uint16 or float32.
        size: Target (w, h) in pixels.
        interpolation: One of nearest, bilinear, bicubic, area, lanczos.

    Returns:
        (h, w) or (h, w, C), same dtype; a channel axis of length one is kept.

    Raises:
        ArgumentError: An unknown interpolation, or a size that is not positive.
    """
    if interpolation not in _INTERPOLATIONS:
        hint = suggest(interpolation, _INTERPOLATIONS)
        raise ArgumentError(
            f"There is no interpolation {interpolation!r}: {', '.join(_INTERPOLATIONS)}.{hint}"
        )
    width, height = int(size[0]), int(size[1])
    if width < 1 or height < 1:
        raise ArgumentError(f"A size is a positive (w, h) in pixels, not {size!r}.")
    resized = cv2.resize(img, (width, height), interpolation=_INTERPOLATIONS[interpolation])
    return (
        resized[..., None] if img.ndim == 3 and resized.ndim == 2 else resized
    )  # cv2 drops a single channel
