"""Bounding boxes: clip and scale them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgtrain.arguments import check_numbers, check_positive, count_items
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.array import Array

__all__ = ["bbox_clip", "bbox_scaling"]

Boxes = Array | Sequence[float] | Sequence[Sequence[float]]


def bbox_clip(bboxes: Boxes, img_shape: Sequence[int] | Array) -> Array:
    """Clip boxes to the area of an image.

    Args:
        bboxes: (..., 4 * n) array or lists of numbers: boxes (x1, y1, x2, y2), pixels, 0-based. Each row may hold
            several boxes.
        img_shape: Shape (h, w) of the image, or (h, w, c).

    Returns:
        The boxes with x from 0 to w - 1 and y from 0 to h - 1, a copy with the same shape and dtype.

    Raises:
        ArgumentError: The last axis of ``bboxes`` is not a multiple of 4, or ``img_shape`` is not a shape.
    """
    boxes = _boxes(bboxes)
    if boxes.shape[-1] % 4:
        raise ArgumentError(
            f"bboxes must have 4 numbers (x1, y1, x2, y2) for each box, not shape {boxes.shape}.",
            argument="bboxes",
        )
    return _clipped(boxes, "img_shape", img_shape)


def bbox_scaling(bboxes: Boxes, scale: float, clip_shape: Sequence[int] | Array | None = None) -> Array:
    """Scale boxes about their centres.

    Args:
        bboxes: (..., 4) array or lists of numbers: boxes (x1, y1, x2, y2), pixels, 0-based. Both corners belong to
            the box, so its width is x2 - x1 + 1.
        scale: Factor of the width and height of each box.
        clip_shape: Shape (h, w) of the image to which the boxes are clipped. By default they are not clipped.

    Returns:
        The boxes, a copy: for a scale of 1 of the same dtype, otherwise of the same dtype if it is a
        floating-point one, and float64 if not.

    Raises:
        ArgumentError: The last axis of ``bboxes`` is not 4, ``scale`` is not positive and finite, or
            ``clip_shape`` is not a shape.
    """
    boxes = _boxes(bboxes)
    if boxes.shape[-1] != 4:
        raise ArgumentError(
            f"bboxes must be boxes (x1, y1, x2, y2), with a last axis of 4, not of shape {boxes.shape}.",
            argument="bboxes",
        )
    factor = check_positive("scale", scale)
    if factor == 1:
        scaled = boxes.copy()
    else:
        exact = boxes if boxes.dtype.kind == "f" else boxes.astype(np.float64)
        growth = (exact[..., 2:] - exact[..., :2] + 1) * ((factor - 1) * 0.5)
        scaled = np.concatenate([exact[..., :2] - growth, exact[..., 2:] + growth], axis=-1)
    return scaled if clip_shape is None else _clipped(scaled, "clip_shape", clip_shape)


def _clipped(boxes: Array, name: str, value: Any) -> Array:
    """Return boxes clipped to the area of an image, whose shape is given by an argument."""
    shape = value[:2] if isinstance(value, Sequence | np.ndarray) and (count_items(value) or 0) > 2 else value
    height, width = check_numbers(name, shape, 2, "(h, w)", integers=True, minimum=1)
    limits = np.tile([width - 1, height - 1], boxes.shape[-1] // 2)
    return np.clip(boxes, 0, limits).astype(boxes.dtype)


def _boxes(bboxes: Boxes) -> Array:
    try:
        boxes = np.asarray(bboxes)
    except ValueError:  # rows of different lengths
        boxes = np.array(None)
    if boxes.dtype.kind not in "iuf" or boxes.ndim == 0:
        raise ArgumentTypeError(
            f"bboxes must be an array of numbers or lists of numbers, not {bboxes!r}.", argument="bboxes"
        )
    return boxes.reshape(0, 4) if isinstance(bboxes, list | tuple) and not bboxes else boxes
