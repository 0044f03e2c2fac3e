"""The focal loss on logits, in MMCV's convention: the class index C stands for the background."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError

__all__ = ["SigmoidFocalLoss", "sigmoid_focal_loss"]

Reduction = Literal["none", "mean", "sum"]


def sigmoid_focal_loss(
    input: Tensor,  # noqa: A002  # MMCV's name
    target: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the focal loss of independent classes (Lin et al., "Focal Loss for Dense Object Detection", 2017).

    Args:
        input: (N, C) float, the logits.
        target: (N,) int, class indices from 0 to C; C is the background, which is none of the classes.
        gamma: How much the loss of samples that are predicted well is lowered.
        alpha: Weight of the class of the target; the other classes have 1 - alpha.
        weight: (C,), the weight of samples of each class, or (C + 1,) with that of the background. None is 1.
        reduction: ``"mean"`` divides the sum by N, not by N * C.

    Returns:
        The loss, (N, C) for ``"none"``, otherwise ().

    Raises:
        ArgumentError: The shapes do not match, ``reduction`` is unknown, or with ``weight`` a target is out of range.
    """
    check_choice("reduction", reduction, ("none", "mean", "sum"))
    if input.ndim != 2 or target.shape != input.shape[:1]:
        raise ArgumentError(
            f"input must be (N, C) and target (N,), but they are {tuple(input.shape)} and {tuple(target.shape)}.",
            argument="input",
        )
    classes = input.shape[1]
    is_class = target[:, None] == torch.arange(classes, device=target.device)
    probability = input.sigmoid()
    of_class = alpha * (1 - probability) ** gamma * -logsigmoid(input)
    of_others = (1 - alpha) * probability**gamma * -logsigmoid(-input)
    loss = torch.where(is_class, of_class, of_others)
    if weight is not None:
        if weight.shape not in ((classes,), (classes + 1,)):
            raise ArgumentError(
                f"weight must be ({classes},) or ({classes + 1},), not {tuple(weight.shape)}.",
                argument="weight",
            )
        if ((target < 0) | (target > classes)).any():
            wrong = next(index for index in target.tolist() if not 0 <= index <= classes)
            raise ArgumentError(
                f"With {classes} classes, target must be from 0 to {classes}, not {wrong}.",
                argument="target",
            )
        padded = weight if len(weight) > classes else torch.cat([weight, weight.new_ones(1)])
        loss = loss * padded[target][:, None]
    if reduction == "none":
        return loss
    return loss.sum() / max(len(input), 1) if reduction == "mean" else loss.sum()


class SigmoidFocalLoss(nn.Module):
    """The function ``sigmoid_focal_loss`` as a module.

    Args:
        gamma: How much the loss of samples that are predicted well is lowered.
        alpha: Weight of the class of the target; the other classes have 1 - alpha.
        weight: (C,), the weight of samples of each class; None is 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
    """

    weight: Tensor | None

    def __init__(
        self, gamma: float, alpha: float, weight: Tensor | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.gamma, self.alpha, self.reduction = gamma, alpha, reduction
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # MMCV's name
        """Return the loss of logits (N, C) and class indices (N,); C is the background."""
        return sigmoid_focal_loss(input, target, self.gamma, self.alpha, self.weight, self.reduction)
