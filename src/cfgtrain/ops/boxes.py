"""Overlaps of boxes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from cfgtrain.arguments import check_choice

__all__ = ["bbox_overlaps"]


def bbox_overlaps(
    bboxes1: Tensor,
    bboxes2: Tensor,
    mode: Literal["iou", "iof"] = "iou",
    aligned: bool = False,
    offset: int = 0,
) -> Tensor:
    """Return how much boxes overlap.

    Args:
        bboxes1: (M, 4), (x1, y1, x2, y2) in pixels.
        bboxes2: (N, 4); M is N if ``aligned``.
        mode: ``"iou"`` divides the intersection by the union, ``"iof"`` by the area of the first box.
        aligned: Whether to compare each box with the one of the same index only.
        offset: 1 if a box includes the pixels (x2, y2), otherwise 0.

    Returns:
        (M, N), or (M,) if ``aligned``, 0 to 1; not a number for two boxes without area.

    Raises:
        ArgumentError: ``mode`` or ``offset`` is not one of the possible values.
    """
    check_choice("mode", mode, ("iou", "iof"))
    check_choice("offset", offset, (0, 1))
    first = bboxes1 if aligned else bboxes1[:, None]
    corner = torch.maximum(first[..., :2], bboxes2[..., :2])
    sides = (torch.minimum(first[..., 2:], bboxes2[..., 2:]) - corner + offset).clamp(min=0)
    shared = sides.prod(-1)
    area = (first[..., 2:] - first[..., :2] + offset).prod(-1)
    if mode == "iof":
        return shared / area
    return shared / (area + (bboxes2[..., 2:] - bboxes2[..., :2] + offset).prod(-1) - shared)
