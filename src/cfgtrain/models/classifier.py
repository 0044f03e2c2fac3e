"""A model for image classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.cnn.builder import build_network
from cfgtrain.cnn.module import BaseModule
from cfgtrain.data.transforms.batch import BatchTransform, build_batch_transform
from cfgtrain.errors import ArgumentError
from cfgtrain.introspection.signatures import parameters_of
from cfgtrain.models.losses import activation_of, build_loss, check_labels, compute_loss
from cfgtrain.registries import MODELS
from cfgtrain.registry.registry import resolve_cfg

__all__ = ["ImageClassifier"]

# Attributes with the number of channels of the features, in the networks of cfgtrain, timm and others.
_CHANNELS = ("feat_dim", "num_features", "out_channels", "embed_dims")


@MODELS.register_module()
class ImageClassifier(BaseModule):
    """An image classifier: a backbone, optionally with a neck and a head, and a loss.

    A runner calls ``train_step`` and ``val_step``. Evaluation calls ``forward_with_loss``.

    The loss is cross entropy, with ``label_smoothing`` if it has this argument, ``FocalLoss``,
    ``BCEWithLogitsLoss`` for classes that do not exclude each other (multi-label), or a custom one. Labels are
    (B,) class indices or (B, num_classes) class probabilities. Predictions are the probabilities of a softmax, or
    of a sigmoid for the two losses of independent classes, ``BCEWithLogitsLoss`` and ``FocalLoss(use_sigmoid=True)``.

    Args:
        backbone: Config of a network. Without a head it maps (B, C, H, W) images to (B, num_classes) scores; with a
            head, to features. Of a tuple of features, the last is used.
        loss: Config of a loss that maps (scores, labels) to a scalar, or its name; by default that of the head if it
            has one, else cross entropy.
        dropout: Probability, 0 to 1, of setting an input pixel to 0 during training.
        init_cfg: Config of the weight initialization; see ``cnn.initialize``.
        neck: Config of a network between the backbone and the head, such as ``dict(type='GlobalAveragePooling')``.
        head: Config of a network that maps features to (B, num_classes) scores, such as
            ``dict(type='LinearClsHead', num_classes=10)``. Its attribute ``loss`` is the loss. A missing
            ``in_channels`` is set to the number of channels of the backbone, if that is known.
        augments: Configs of transforms of batches, such as ``[dict(type='Mixup', alpha=0.2)]``, for training. Of
            several, one is drawn for each batch.

    Raises:
        ArgumentError: Both the head and the classifier have a loss, or the number of classes is not known
            although ``augments`` need it.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        loss: dict[str, Any] | str | None = None,
        dropout: float = 0.0,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        neck: dict[str, Any] | None = None,
        head: dict[str, Any] | None = None,
        augments: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = build_network(backbone)
        self.neck = None if neck is None else build_network(neck)
        self.head = None if head is None else _build_head(head, self.backbone, self.neck)
        own_loss = getattr(self.head, "loss", None)
        if own_loss is None:
            self.loss = build_loss(loss or "torch.nn.CrossEntropyLoss")
        elif loss is not None:
            raise ArgumentError(
                f"{type(self.head).__name__} has a loss already.",
                hint="Set loss in the head, not in the classifier.",
                argument="loss",
            )
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.augment = build_batch_transform(augments) if augments else None
        if self.augment is not None and self.num_classes is None:
            last = self.backbone if self.head is None else self.head
            raise ArgumentError(
                f"augments need the number of classes, but {type(last).__name__} has no attribute num_classes.",
                hint="Use head=dict(type='LinearClsHead', num_classes=...).",
                argument="augments",
            )

    @property
    def num_classes(self) -> int | None:
        """The number of classes, if the head, or the backbone without a head, has it as an attribute."""
        number = getattr(self.backbone if self.head is None else self.head, "num_classes", None)
        return number if isinstance(number, int) and number > 0 else None

    def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
        """Compute the loss, or the class probabilities.

        Args:
            img: (B, C, H, W) float images.
            gt_label: (B,) int64 class indices, or (B, num_classes) class probabilities; required for the loss.
            return_loss: Whether to return the loss instead of probabilities.

        Returns:
            With ``return_loss``, a dict of the scalar ``loss`` and, for class indices that no augmentation has mixed,
            ``accuracy`` (0 to 1). Otherwise (B, num_classes) probabilities.

        Raises:
            ArgumentError: ``gt_label`` is missing although ``return_loss`` is True, does not fit the scores, or has a
                label that is not one of the classes. (On a GPU, PyTorch ends the process instead, with
                "device-side assert triggered".)
        """
        if not return_loss:
            return self._probabilities(self._scores(img))
        if gt_label is None:
            raise ArgumentError(
                "The loss requires gt_label: add 'gt_label' to the keys that the pipeline collects."
            )
        if self.augment is not None and self.training:
            img, gt_label = self._augmented(self.augment, img, gt_label)
        return self._losses(self._scores(img), gt_label)

    def forward_with_loss(
        self, img: Tensor, gt_label: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the class probabilities and the loss in one pass; an evaluation then logs the loss, too.

        Args:
            img: (B, C, H, W) float images.
            gt_label: Labels as of ``forward``, or None if they are unknown.

        Returns:
            (B, num_classes) probabilities, and a dict as of ``forward``, empty without labels.
        """
        scores = self._scores(img)
        losses = {} if gt_label is None else self._losses(scores, gt_label)
        return self._probabilities(scores), losses

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

    @property
    def _criterion(self) -> Any:
        own: Any = getattr(self.head, "loss", None)
        return self.loss if own is None else own

    def _scores(self, img: Tensor) -> Tensor:
        """Return the (B, num_classes) scores of images."""
        x = self.backbone(self.dropout(img))
        if isinstance(x, tuple | list):
            x = x[-1]
        if self.neck is not None:
            x = self.neck(x)
        if self.head is not None:
            x = self.head(x)
        if x.ndim != 2:
            last = next(each for each in (self.head, self.neck, self.backbone) if each is not None)
            raise ArgumentError(
                f"{type(last).__name__} must return scores of shape (B, num_classes), not {tuple(x.shape)}.",
                hint=_no_scores_hint(last) if self.head is None else "",
            )
        scores: Tensor = x
        return scores

    def _probabilities(self, scores: Tensor) -> Tensor:
        return scores.sigmoid() if activation_of(self._criterion) == "sigmoid" else scores.softmax(dim=1)

    def _losses(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        targets = labels
        if isinstance(self._criterion, nn.BCEWithLogitsLoss) and _are_indices(labels) and scores.shape[1] > 1:
            check_labels(labels, scores.shape[1])
            targets = functional.one_hot(labels.long(), scores.shape[1])
        losses = {"loss": compute_loss(self._criterion, scores, targets)}
        if _are_indices(labels) and scores.shape[1] > 1:
            losses["accuracy"] = _accuracy(scores, labels)
        return losses

    def _augmented(self, augment: BatchTransform, img: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        num_classes = self.num_classes or 0  # known, or the constructor has raised
        try:
            return augment(img, labels, num_classes)
        except (IndexError, RuntimeError):
            if _are_indices(labels):
                check_labels(labels, num_classes)
            raise


def _build_head(cfg: Any, backbone: Any, neck: Any) -> Any:
    """Build a head; ``in_channels`` is set to the number of channels of the neck or backbone if it is missing."""
    if isinstance(cfg, Mapping) and "in_channels" not in cfg:
        parameters = parameters_of(resolve_cfg(cfg, MODELS)[0])
        channels = _channels_of(neck) or _channels_of(backbone)
        if parameters is not None and "in_channels" in parameters.names and channels is not None:
            return MODELS.build(cfg, default_args={"in_channels": channels})
    return build_network(cfg)


def _channels_of(module: Any) -> int | None:
    """Return the number of channels of the features of a network, or None if it is not known."""
    for name in _CHANNELS:
        value = getattr(module, name, None)
        value = value[-1] if isinstance(value, list | tuple) and value else value
        if isinstance(value, int) and value > 0:
            return value
    return None


def _are_indices(labels: Tensor) -> bool:
    return labels.ndim == 1 and not labels.is_floating_point()


def _accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.eq(scores.argmax(dim=1), labels).float().mean()


def _no_scores_hint(last: nn.Module) -> str:
    number = getattr(last, "num_classes", None)
    if isinstance(number, int) and number < 1:
        return f"With num_classes={number} it ends before its last layers: set num_classes to the number of classes."
    return "Add neck=dict(type='GlobalAveragePooling') and head=dict(type='LinearClsHead', num_classes=...)."
