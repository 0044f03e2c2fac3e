"""Images with an alpha channel: resampling, a white background, premultiplied colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cfgtrain.image.array import Array


def has_alpha(pixels: Array) -> bool:
    """Return whether an image has the channels BGRA."""
    return pixels.ndim == 3 and pixels.shape[2] == 4


def opaque_value(pixels: Array) -> float:
    """Return the alpha value of an opaque pixel, which is 1 for floating-point pixels."""
    return float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0


def resample(pixels: Array, function: Callable[[Array], Array]) -> Array:
    """Apply a function that mixes pixels. Colours are weighted by alpha, so that transparent pixels do not bleed.

    Args:
        pixels: (H, W), (H, W, 3) or (H, W, 4) BGRA.
        function: Called with the image, or with a float32 image with colours multiplied by alpha.
    """
    if not has_alpha(pixels):
        return function(pixels)
    weighted = pixels.astype(np.float32)
    weighted[..., :3] *= weighted[..., 3:] / opaque_value(pixels)
    return unweighted(function(weighted), pixels)


def unweighted(weighted: Array, like: Array) -> Array:
    """Return colours that are multiplied by alpha divided by it, in the dtype of another image."""
    top = opaque_value(like)
    colours: Array = np.zeros(weighted.shape, np.float32)
    np.divide(weighted * np.float32(top), weighted[..., 3:], out=colours, where=weighted[..., 3:] > 0)
    colours[..., 3] = weighted[..., 3]
    if like.dtype.kind == "u":
        colours = colours.clip(0, top).round()
    result: Array = colours.astype(like.dtype)
    return result


def on_white(pixels: Array) -> Array:
    """Return an image BGR: an image BGRA laid on white."""
    top = opaque_value(pixels)
    alpha = pixels[..., 3:].astype(np.float32) / top
    laid = pixels[..., :3] * alpha + top * (1 - alpha)
    result: Array = (laid.round() if pixels.dtype.kind == "u" else laid).astype(pixels.dtype)
    return result
