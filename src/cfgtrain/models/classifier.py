"""Image classification: a network that can be trained by a runner."""

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
    """A backbone that ends in class scores, with its loss.

    What a runner calls are ``train_step`` and ``val_step``; evaluation calls the model with
    ``return_loss=False``.

    Args:
        backbone: Config of a network that maps (B, C, H, W) images to (B, num_classes) scores.
        loss: Config of a loss ``(scores, labels) -> scalar``.
        dropout: Probability of dropping an input pixel in training; 0 leaves the layer out.
        init_cfg: Initial weights; see ``cnn.initialize``.
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
        """Compute the losses, or the scores.

        Args:
            img: (B, C, H, W) float.
            gt_label: (B,) int64 class indices; needed for the loss.
            return_loss: Whether the losses are returned, else the scores.

        Returns:
            A dict of scalars ``loss`` and ``accuracy`` (0 to 1), or (B, num_classes) probabilities.
        """
        scores = self.backbone(self.dropout(img))  # (B, num_classes)
        if not return_loss:
            return scores.softmax(dim=1)
        if gt_label is None:
            raise ArgumentError("The loss needs gt_label: does the pipeline of this part collect it?")
        return {"loss": self.loss(scores, gt_label), "accuracy": _accuracy(scores, gt_label)}

    def train_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Run one batch forward; the optimizer hook does the rest.

        Returns:
            ``loss`` to go backward from, ``log_vars`` (tensors, fetched when they are logged)
            and ``num_samples``.
        """
        losses = self(**data)
        log_vars = {name: value.detach() for name, value in losses.items()}
        return {"loss": losses["loss"], "log_vars": log_vars, "num_samples": len(data["img"])}

    def val_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Do the same for a batch of a ``('val', n)`` flow."""
        return self.train_step(data, optimizer, **kwargs)


def _accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.eq(scores.argmax(dim=1), labels).float().mean()
