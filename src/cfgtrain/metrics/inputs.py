"""Predictions and targets as tensors, with checks of what metrics can score."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cfgtrain.errors import ArgumentError

__all__ = ["as_tensor", "class_scores", "is_multi_label", "multi_label_scores", "regression_pairs"]

THRESHOLD = 0.5  # least probability of a class that is predicted, if a sample may have several


def as_tensor(values: Any) -> Tensor:
    """Return the predictions or targets of a batch as one tensor without gradients; a list has one item per sample."""
    if isinstance(values, Tensor):
        return values.detach()
    if isinstance(values, list | tuple):
        items = [torch.as_tensor(each).detach() for each in values]
        return torch.stack(items) if items else torch.empty(0)
    return torch.as_tensor(values)


def class_scores(
    name: str, predictions: Any, targets: Any, ignore_index: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the scores (N, num_classes) and the labels (N,) int64 of a batch, on the device of the predictions.

    Args:
        name: Who needs them, for messages.
        predictions: Scores of shape (B, num_classes), (B, ..., num_classes) or (B, num_classes, ...).
        targets: Class indices of shape (B,), (B, ...) or (B, 1).
        ignore_index: Samples with this label are left out.

    Raises:
        ArgumentError: The shapes do not match, or a target is not the index of a class.
    """
    scores, labels = as_tensor(predictions), as_tensor(targets)
    if labels.ndim == scores.ndim > 1 and labels.shape[-1] == 1 != scores.shape[-1]:
        labels = labels[..., 0]
    if scores.ndim > 1 and scores.shape[:-1] == labels.shape:
        scores = scores.flatten(0, -2)
    elif scores.ndim > 2 and (scores.shape[0], *scores.shape[2:]) == labels.shape:
        scores = scores.movedim(1, -1).flatten(0, -2)
    else:
        hint = (
            "Targets with one value per class belong to a multi-label metric, such as MultiLabelMAP."
            if scores.shape == labels.shape
            else ""
        )
        raise ArgumentError(
            f"{name} needs one score per class, (B, num_classes), and one class index per sample, (B,): the predictions "
            f"of a batch have shape {tuple(scores.shape)}, and its targets {tuple(labels.shape)}.",
            hint=hint,
        )
    labels = labels.flatten().to(scores.device)
    if ignore_index is not None:
        used = labels != ignore_index
        scores, labels = scores[used], labels[used]
    _check_labels(name, labels, scores.shape[1])
    return scores, labels.long()


def _check_labels(name: str, labels: Tensor, num_classes: int) -> None:
    if labels.is_floating_point() and bool((labels != labels.round()).any()):
        bad = labels[labels != labels.round()][0].item()
        raise ArgumentError(f"{name} needs targets that are class indices, and one of a batch is {bad}.")
    wrong = (labels < 0) | (labels >= num_classes)
    if bool(wrong.any()):
        raise ArgumentError(
            f"{name} got the target {labels[wrong][0].item():.0f}, and the predictions have the classes 0 to "
            f"{num_classes - 1}."
        )


def is_multi_label(predictions: Any, targets: Any) -> bool:
    """Return whether the targets have one value per class, as the predictions have."""
    shape = as_tensor(targets).shape
    return len(shape) == 2 and shape == as_tensor(predictions).shape


def multi_label_scores(name: str, predictions: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Return the scores (B, num_classes) and the targets (B, num_classes) bool of a batch, on the CPU.

    Raises:
        ArgumentError: The shapes do not match, or a target is not 0 or 1.
    """
    if not is_multi_label(predictions, targets):
        raise ArgumentError(
            f"{name} needs a score and a target, 0 or 1, for each class, (B, num_classes): the predictions of a batch "
            f"have shape {tuple(as_tensor(predictions).shape)}, and its targets {tuple(as_tensor(targets).shape)}."
        )
    scores, labels = as_tensor(predictions).cpu(), as_tensor(targets).cpu()
    wrong = (labels != 0) & (labels != 1)
    if bool(wrong.any()):
        raise ArgumentError(
            f"{name} needs targets that are 0 or 1, and one of a batch is {labels[wrong][0].item()}."
        )
    return scores, labels.bool()


def regression_pairs(name: str, predictions: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Return predictions and targets, both (B, num_values) float64, on the CPU.

    Raises:
        ArgumentError: The shapes do not match, or a target is infinite or NaN.
    """
    predicted, wanted = as_tensor(predictions).cpu().double(), as_tensor(targets).cpu().double()
    if [size for size in predicted.shape if size != 1] != [size for size in wanted.shape if size != 1]:
        raise ArgumentError(
            f"{name} needs one prediction per target: the predictions of a batch have shape {tuple(predicted.shape)}, "
            f"and its targets {tuple(wanted.shape)}."
        )
    if not bool(wanted.isfinite().all()):
        bad = wanted[~wanted.isfinite()].flatten()[0].item()
        raise ArgumentError(f"{name} needs targets that are finite, and one of a batch is {bad}.")
    count = wanted.shape[0] if wanted.ndim else 1
    return predicted.reshape(count, -1), wanted.reshape(count, -1)
