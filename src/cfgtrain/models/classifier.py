"""A model for image classification."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import MODELS

__all__ = ["ImageClassifier"]


@MODELS.register_module()
class ImageClassifier(BaseModule):
    """An image classifier: a backbone that computes class scores, and a loss.

    A runner calls ``train_step`` and ``val_step``. Evaluation calls ``forward_with_loss``.

    Args:
        backbone: Config of a network that maps (B, C, H, W) images to (B, num_classes) scores.
        loss: Config of a loss that maps (scores, labels) to a scalar; by default cross entropy.
        dropout: Probability, 0 to 1, of setting an input pixel to 0 during training.
        init_cfg: Config of the weight initialization; see ``cnn.initialize``.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        loss: dict[str, Any] | None = None,
        dropout: float = 0.0,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        self.loss = MODELS.build(loss or {"type": "torch.nn.CrossEntropyLoss"})
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
        """Compute the loss, or the class probabilities.

        Args:
            img: (B, C, H, W) float images.
            gt_label: (B,) int64 class indices; required for the loss.
            return_loss: Whether to return the loss instead of probabilities.

        Returns:
            With ``return_loss``, a dict of the scalars ``loss`` and ``accuracy`` (0 to 1). Otherwise
            (B, num_classes) probabilities.

        Raises:
            ArgumentError: ``gt_label`` is missing although ``return_loss`` is True.
        """
        scores = self.backbone(self.dropout(img))  # (B, num_classes)
        if not return_loss:
            return scores.softmax(dim=1)
        if gt_label is None:
            raise ArgumentError(
                "The loss requires gt_label: add 'gt_label' to the keys that the pipeline collects."
            )
        return self._losses(scores, gt_label)

    def forward_with_loss(
        self, img: Tensor, gt_label: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the class probabilities and the loss in one pass; an evaluation then logs the loss, too.

        Args:
            img: (B, C, H, W) float images.
            gt_label: (B,) int64 class indices, or None if they are unknown.

        Returns:
            (B, num_classes) probabilities, and a dict as of ``forward``, empty without labels.
        """
        scores = self.backbone(self.dropout(img))  # (B, num_classes)
        losses = {} if gt_label is None else self._losses(scores, gt_label)
        return scores.softmax(dim=1), losses

    def _losses(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": self.loss(scores, labels), "accuracy": _accuracy(scores, labels)}

    def train_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Compute the loss of a training batch. The optimizer hook runs the backward pass and the step.

        Args:
            data: The batch, the arguments of ``forward``.
            optimizer: Unused; part of MMCV's interface.
            kwargs: Unused.

        Returns:
            A dict of ``loss`` (a scalar tensor with gradient), ``log_vars`` (detached tensors by name) and
            ``num_samples`` (the batch size).
        """
        losses = self(**data)
        log_vars = {name: value.detach() for name, value in losses.items()}
        return {"loss": losses["loss"], "log_vars": log_vars, "num_samples": len(data["img"])}

    def val_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Compute the loss of a validation batch, for a ``('val', n)`` flow; see ``train_step``."""
        return self.train_step(data, optimizer, **kwargs)


def _accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.eq(scores.argmax(dim=1), labels).float().mean()
