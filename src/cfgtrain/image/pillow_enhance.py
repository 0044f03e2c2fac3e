"""The image functions that can run on Pillow: their backend, and the conversion of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageEnhance

from cfgtrain.arguments import check_choice, check_number
from cfgtrain.image.array import Array, check_image
from cfgtrain.image.backends import current_backend

__all__: list[str] = []  # what the package exports

_BACKENDS = ("cv2", "pillow")


def photometric_backend(backend: str | None) -> str:
    """Return the backend for a photometric function: the default one is used if it is ``cv2`` or ``pillow``.

    Raises:
        ArgumentError: The backend is another one.
    """
    if backend is None:
        current = current_backend()
        return current if current in _BACKENDS else "cv2"
    check_choice("backend", backend, _BACKENDS)
    return backend


def enhance(img: Array, kind: Literal["Brightness", "Color", "Contrast"], factor: float) -> Array:
    """Change an image with a class of ``PIL.ImageEnhance``.

    Args:
        img: (H, W), (H, W, 1), BGR (H, W, 3) or BGRA (H, W, 4) array of uint8.
        kind: Name of the class.
        factor: 0 to 1 for less, above 1 for more; 1 leaves the image as it is.

    Raises:
        ArgumentError: Pillow does not support the image.
    """
    factor = check_number("factor", factor, finite=True)
    return with_pillow(img, lambda picture: getattr(ImageEnhance, kind)(picture).enhance(factor))


def with_pillow(img: Array, function: Callable[[Any], Any]) -> Array:
    """Apply a function of Pillow images, in the mode L, RGB or RGBA, to an array.

    Args:
        img: (H, W), (H, W, 1), BGR (H, W, 3) or BGRA (H, W, 4) array of uint8.
        function: Takes an image, and returns one with the same size and mode.

    Returns:
        Contiguous array with the shape of ``img``.

    Raises:
        ArgumentError: Pillow does not support the image.
    """
    check_image(img, ("uint8",), channels=(1, 3, 4))
    if img.ndim == 2 or img.shape[2] == 1:
        return np.array(function(Image.fromarray(np.ascontiguousarray(img.reshape(img.shape[:2]))))).reshape(
            img.shape
        )
    order = [2, 1, 0, 3][: img.shape[2]]
    return np.ascontiguousarray(np.asarray(function(Image.fromarray(img[..., order])))[..., order])
