"""Convert tensors to images."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array, channel_numbers
from cfgtrain.image.normalize import PerChannel

__all__ = ["tensor2imgs"]

_METHODS = ("detach", "float", "cpu", "numpy")
_BLOCK_VALUES = 1 << 16  # float32 values that stay in the cache of a CPU core from step to step


def tensor2imgs(
    tensor: Any,
    mean: PerChannel | None = None,
    std: PerChannel | None = None,
    to_rgb: bool | None = None,
    *,
    clip: bool = True,
) -> list[Array]:
    """Convert a batch of normalized images to uint8 images.

    torch is not imported: the tensor is read by its own methods ``detach``, ``float``, ``cpu`` and ``numpy``.

    Args:
        tensor: (N, C, H, W) torch tensor with 1 or 3 channels, of any dtype and on any device.
        mean: Mean by which the images were normalized, one number or one for each channel; 0 by default.
        std: Standard deviation, likewise; 1 by default.
        to_rgb: Whether the channels of the tensor are RGB, so that they are swapped to BGR. By default, it is true
            for three channels.
        clip: Whether to limit values to [0, 255], and set NaN to 0. If false, integer parts wrap around modulo 256,
            as they do in MMCV.

    Returns:
        N contiguous uint8 images, (H, W, 3), or (H, W) for one channel: ``tensor * std + mean``, computed in float32
        and truncated to integers.

    Raises:
        ArgumentTypeError: ``tensor`` is not a tensor.
        ArgumentError: Its shape is another one, ``mean`` or ``std`` does not fit it, or one channel cannot be RGB.
    """
    if not all(callable(getattr(tensor, method, None)) for method in _METHODS):
        raise ArgumentTypeError(
            f"tensor must be a torch tensor (N, C, H, W), not {type(tensor).__name__}.", argument="tensor"
        )
    batch: Array = tensor.detach().float().cpu().numpy()
    if batch.ndim != 4 or batch.shape[1] not in (1, 3):
        raise ArgumentError(
            f"tensor must have the shape (N, C, H, W) with 1 or 3 channels, not {batch.shape}.",
            argument="tensor",
        )
    channels = batch.shape[1]
    if to_rgb and channels == 1:
        raise ArgumentError("to_rgb must be False for a tensor with one channel.", argument="to_rgb")
    means = channel_numbers("mean", 0 if mean is None else mean, channels)
    stds = channel_numbers("std", 1 if std is None else std, channels)
    swap = channels == 3 if to_rgb is None else to_rgb
    return [_image(planes, means, stds, swap, clip) for planes in batch]


def _image(planes: Array, means: tuple[float, ...], stds: tuple[float, ...], swap: bool, clip: bool) -> Array:
    channels, height, width = planes.shape
    img = np.empty((height, width) if channels == 1 else (height, width, channels), np.uint8)
    rows = min(height, max(1, _BLOCK_VALUES // max(width, 1)))
    values = np.empty((rows, width), np.float32)  # used again for each block
    pixels = np.empty((channels, rows, width), np.uint8)
    for top in range(0, height, rows):
        block = planes[:, top : top + rows]
        part, parts = values[: block.shape[1]], pixels[:, : block.shape[1]]
        for channel in range(channels):
            np.multiply(block[channel], np.float32(stds[channel]), out=part)
            np.add(part, np.float32(means[channel]), out=part)
            parts[channel] = _limited(part) if clip else part.astype(np.int64).astype(np.uint8)
        if channels == 1:
            img[top : top + rows] = parts[0]
        else:
            cv2.merge(list(parts[::-1] if swap else parts), img[top : top + rows])
    return img


def _limited(values: Array) -> Array:
    """Limit values to [0, 255] in place, with 0 for NaN."""
    cv2.patchNaNs(values, 0)
    cv2.threshold(values, 0, 0, cv2.THRESH_TOZERO, values)
    cv2.threshold(values, 255, 0, cv2.THRESH_TRUNC, values)
    return values
