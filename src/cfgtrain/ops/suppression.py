"""Non-maximum suppression: of boxes that overlap, keep the one with the highest score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from cfgtrain.arguments import check_choice, check_number, check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.ops.boxes import bbox_overlaps
from cfgtrain.utils.deprecation import deprecated_api_warning

__all__ = ["batched_nms", "nms", "soft_nms"]

Array = TypeVar("Array", Tensor, np.ndarray[Any, Any])
Method = Literal["naive", "linear", "gaussian"]


@deprecated_api_warning({"iou_thr": "iou_threshold"})
def nms(
    boxes: Array,
    scores: Array,
    iou_threshold: float,
    offset: int = 0,
    score_threshold: float = 0,
    max_num: int = -1,
) -> tuple[Array, Array]:
    """Keep the boxes that do not overlap with a kept box of a higher score. Of equal scores the first is kept.

    Args:
        boxes: (N, 4) float, (x1, y1, x2, y2) in pixels.
        scores: (N,) float.
        iou_threshold: A box is removed if its IoU with a kept one is above this, 0 to 1.
        offset: 1 if a box includes the pixels (x2, y2), otherwise 0.
        score_threshold: If above 0, boxes whose score is not above it are removed.
        max_num: If above 0, at most as many boxes are kept.

    Returns:
        The kept boxes with their scores, (K, 5), highest score first, and their indices, (K,) int64; arrays of NumPy
        if ``boxes`` and ``scores`` are.

    Raises:
        ArgumentError: The shapes do not match, or a number is out of range.
        ArgumentTypeError: ``boxes`` and ``scores`` are not both tensors or both arrays.
    """
    check_number("iou_threshold", iou_threshold, 0, 1)

    def select(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        kept = _keep(boxes, scores, None, iou_threshold, offset, score_threshold, max_num)
        return torch.cat([boxes[kept], scores[kept, None]], 1), kept

    return _with_tensors(select, boxes, scores)


@deprecated_api_warning({"iou_thr": "iou_threshold"})
def soft_nms(
    boxes: Array,
    scores: Array,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: Method = "linear",
    offset: int = 0,
) -> tuple[Array, Array]:
    """Lower the scores of boxes that overlap with a box of a higher score (Bodla et al., "Soft-NMS", 2017).

    Args:
        boxes: (N, 4) float, (x1, y1, x2, y2) in pixels.
        scores: (N,) float.
        iou_threshold: With ``"linear"`` and ``"naive"``, scores are lowered for IoUs above this.
        sigma: Width of the Gaussian.
        min_score: Boxes whose score gets below this are removed.
        method: A score is multiplied by 1 - IoU (``"linear"``) or exp(-IoU^2 / sigma) (``"gaussian"``), or set to 0
            (``"naive"``).
        offset: 1 if a box includes the pixels (x2, y2), otherwise 0.

    Returns:
        The boxes with their new scores, (K, 5), highest score first, and their indices, (K,) int64; arrays of NumPy
        if ``boxes`` and ``scores`` are.

    Raises:
        ArgumentError: The shapes do not match, or ``method`` is unknown.
        ArgumentTypeError: ``boxes`` and ``scores`` are not both tensors or both arrays.
    """
    check_choice("method", method, ("naive", "linear", "gaussian"))

    def soften(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        new, kept = _soften(boxes, scores, None, iou_threshold, sigma, min_score, method, offset)
        return torch.cat([boxes[kept], new[:, None]], 1), kept

    return _with_tensors(soften, boxes, scores)


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    idxs: Tensor,
    nms_cfg: Mapping[str, Any] | None,
    class_agnostic: bool = False,
) -> tuple[Tensor, Tensor]:
    """Perform non-maximum suppression in each class, or another group of boxes, separately.

    MMCV moves the classes apart, which rounds the coordinates. Here classes are compared, so results are exact.

    Args:
        boxes: (N, 4) float, (x1, y1, x2, y2) in pixels.
        scores: (N,) float.
        idxs: (N,) int, the class of each box.
        nms_cfg: ``type``, ``"nms"`` (the default) or ``"soft_nms"``, and its arguments; also ``class_agnostic``,
            ``max_num``, and ``split_thr``, which has no effect. None keeps all boxes.
        class_agnostic: Whether boxes of different classes remove each other.

    Returns:
        The kept boxes with their scores, (K, 5), highest score first, and their indices, (K,) int64.

    Raises:
        ArgumentError: ``type`` is unknown, or an argument is missing or not valid.
        ArgumentTypeError: ``boxes``, ``scores`` or ``idxs`` is not a tensor.
    """
    for name, value in (("boxes", boxes), ("scores", scores), ("idxs", idxs)):
        check_type(name, value, Tensor, "a tensor")
    if nms_cfg is None:
        ordered, kept = scores.sort(descending=True, stable=True)
        return torch.cat([boxes[kept], ordered[:, None]], 1), kept
    args = dict(nms_cfg)
    args.pop("split_thr", None)
    kind, max_num = args.pop("type", "nms"), args.pop("max_num", -1)
    groups = None if args.pop("class_agnostic", class_agnostic) else idxs
    if "iou_thr" in args:  # the older name
        args["iou_threshold"] = args.pop("iou_thr")
    known = _ARGUMENTS.get(kind)
    if known is None:
        raise ArgumentError(f"The type must be 'nms' or 'soft_nms', not {kind!r}.", argument="nms_cfg")
    wrong = next((name for name in args if name not in known), None)
    if wrong is not None:
        raise ArgumentError(
            f"{kind} has no argument {wrong!r}.", near=(wrong, list(known)), argument="nms_cfg"
        )
    settings = {**known, **args}
    if settings["iou_threshold"] is None:
        raise ArgumentError("nms_cfg needs iou_threshold, such as 0.5.", argument="nms_cfg")
    if kind == "nms":
        kept = _keep(boxes, scores, groups, max_num=max_num, **settings)
        return torch.cat([boxes[kept], scores[kept, None]], 1), kept
    new, kept = _soften(boxes, scores, groups, **settings)
    if max_num > 0:
        new, kept = new[:max_num], kept[:max_num]
    return torch.cat([boxes[kept], new[:, None]], 1), kept


_ARGUMENTS: dict[str, dict[str, Any]] = {
    "nms": {"iou_threshold": None, "offset": 0, "score_threshold": 0},
    "soft_nms": {"iou_threshold": 0.3, "sigma": 0.5, "min_score": 1e-3, "method": "linear", "offset": 0},
}


def _with_tensors(
    function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], boxes: Any, scores: Any
) -> tuple[Any, Any]:
    """Return the results of a function of tensors: tensors, or arrays of NumPy if both inputs are arrays."""
    if isinstance(boxes, Tensor) and isinstance(scores, Tensor):
        return function(boxes, scores)
    if isinstance(boxes, np.ndarray) and isinstance(scores, np.ndarray):
        # a copy, as torch refuses negative strides and warns about arrays that are read-only
        found = function(torch.from_numpy(boxes.copy()), torch.from_numpy(scores.copy()))
        return found[0].numpy(), found[1].numpy()
    raise ArgumentTypeError(
        f"boxes and scores must be two tensors or two arrays of NumPy, not {type(boxes).__name__} and "
        f"{type(scores).__name__}.",
        argument="boxes",
    )


def _check_shapes(boxes: Tensor, scores: Tensor) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise ArgumentError(
            f"boxes must be (N, 4) and scores (N,), but they are {tuple(boxes.shape)} and {tuple(scores.shape)}.",
            argument="boxes",
        )


def _keep(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor | None,
    iou_threshold: float,
    offset: int,
    score_threshold: float,
    max_num: int,
) -> Tensor:
    """Return the indices of the boxes to keep, highest score first."""
    _check_shapes(boxes, scores)
    order = scores.argsort(descending=True, stable=True)
    if score_threshold > 0:
        order = order[scores[order] > score_threshold]
    kept: list[Tensor] = []
    while order.numel() and not 0 < max_num <= len(kept):
        best, order = order[0], order[1:]
        kept.append(best)
        overlaps = bbox_overlaps(boxes[best][None], boxes[order], offset=offset)[0] > iou_threshold
        if groups is not None:
            overlaps &= groups[order] == groups[best]
        order = order[~overlaps]
    return torch.stack(kept) if kept else order[:0]


def _soften(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor | None,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: Method,
    offset: int,
) -> tuple[Tensor, Tensor]:
    """Return the new scores of the boxes to keep, highest first, and their indices."""
    _check_shapes(boxes, scores)
    left, values = torch.arange(len(boxes), device=boxes.device), scores.clone()
    kept: list[Tensor] = []
    new: list[Tensor] = []
    while left.numel():
        first = values.argmax()
        best = left[first]
        kept.append(best)
        new.append(values[first])
        rest = torch.arange(len(left), device=left.device) != first
        left, values = left[rest], values[rest]
        iou = bbox_overlaps(boxes[best][None], boxes[left], offset=offset)[0]
        if method == "gaussian":
            factor = torch.exp(-(iou**2) / sigma)
        else:
            lowered = 1 - iou if method == "linear" else torch.zeros_like(iou)
            factor = torch.where(iou > iou_threshold, lowered, torch.ones_like(iou))
        if groups is not None:
            factor = torch.where(groups[left] == groups[best], factor, torch.ones_like(factor))
        values = values * factor
        is_kept = values >= min_score
        left, values = left[is_kept], values[is_kept]
    if not kept:
        return values, left
    return torch.stack(new), torch.stack(kept)
