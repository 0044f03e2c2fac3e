"""Necks and heads: from the features of a backbone to the scores of classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cfgtrain.arguments import check_integer
from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentError
from cfgtrain.models.losses import build_loss
from cfgtrain.registries import MODELS

__all__ = ["GlobalAveragePooling", "LinearClsHead"]


@MODELS.register_module()
class GlobalAveragePooling(nn.Module):
    """A neck that averages each channel over all positions of a feature map."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C) means of (B, C, ...) features."""
        return x.flatten(2).mean(2) if x.ndim > 2 else x


@MODELS.register_module()
class LinearClsHead(BaseModule):
    """A linear layer that computes class scores.

    Args:
        num_classes: Number of classes.
        in_channels: Number of features. ``ImageClassifier`` sets it for the backbones that say how many they have.
        loss: Config of the loss, or its name; by default cross entropy. See ``ImageClassifier``.
        init_cfg: Config of the weight initialization; by default normal with a standard deviation of 0.01.

    Raises:
        ArgumentError: ``in_channels`` is missing, or an argument is less than 1.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int | None = None,
        loss: str | dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg or {"type": "Normal", "layer": "Linear", "std": 0.01})
        self.num_classes = check_integer("num_classes", num_classes, 1)
        if in_channels is None:
            raise ArgumentError(
                "LinearClsHead needs in_channels, the number of channels of the features, because the backbone does "
                "not say how many it has.",
                argument="in_channels",
            )
        self.in_channels = check_integer("in_channels", in_channels, 1)
        self.fc = nn.Linear(in_channels, num_classes)
        self.loss = build_loss(loss or "torch.nn.CrossEntropyLoss")

    def forward(self, x: Tensor) -> Tensor:
        """Compute the scores.

        Args:
            x: (B, in_channels) features.

        Returns:
            (B, num_classes) scores before softmax or sigmoid.

        Raises:
            ArgumentError: The features have another shape.
        """
        if x.ndim != 2:
            raise ArgumentError(
                f"LinearClsHead needs features of shape (B, {self.in_channels}), not {tuple(x.shape)}.",
                hint="Add neck=dict(type='GlobalAveragePooling') to the model.",
            )
        if x.shape[1] != self.in_channels:
            raise ArgumentError(
                f"LinearClsHead has in_channels={self.in_channels}, but the features have {x.shape[1]} channels.",
                hint=f"Set in_channels={x.shape[1]} in the head.",
            )
        scores: Tensor = self.fc(x)
        return scores
