"""Transforms of batches: they mix the images of a batch, and their labels.

A model performs them in training, see ``augments`` of ``ImageClassifier``. Their random numbers come from torch's
global generator, whose state is part of a checkpoint. So a resumed run mixes the same images.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.distributions import Beta
from torch.nn import functional

from cfgtrain.arguments import check_number, check_positive, check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import BATCH_TRANSFORMS

__all__ = ["CutMix", "Mixup", "build_batch_transform"]

BatchTransform = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


class _Mixing(ABC):
    """Base of the transforms that combine each image of a batch with another one of the batch.

    Args:
        alpha: Parameter of the Beta(alpha, alpha) distribution of the weight of the first image.
        prob: Probability that a batch is changed.
    """

    def __init__(self, alpha: float = 1.0, prob: float = 1.0) -> None:
        self.alpha = float(check_positive("alpha", alpha))
        self.prob = check_number("prob", prob, 0, 1)

    def __call__(
        self, img: torch.Tensor, gt_label: torch.Tensor, num_classes: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mixed images, and the probabilities of the classes as their labels.

        Args:
            img: (B, ...) float images; not changed.
            gt_label: (B,) class indices, or (B, num_classes) probabilities.
            num_classes: Number of classes.

        Returns:
            Images of the same shape and dtype, and labels (B, num_classes) in float32 or in the dtype of
            probabilities that were given.
        """
        soft = soft_labels(gt_label, num_classes)
        if self.prob < 1 and torch.rand(()).item() >= self.prob:
            return img, soft
        # Drawn on the CPU, so that all devices give the same numbers.
        weight = float(Beta(self.alpha, self.alpha).sample())
        partners = torch.randperm(len(img)).to(img.device)
        img, weight = self._mix(img, img[partners], weight)
        return img, soft * weight + soft[partners.to(soft.device)] * (1 - weight)

    @abstractmethod
    def _mix(self, img: torch.Tensor, other: torch.Tensor, weight: float) -> tuple[torch.Tensor, float]:
        """Return the mixed images, and the weight of the first ones for the labels."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha}, prob={self.prob})"


@BATCH_TRANSFORMS.register_module()
class Mixup(_Mixing):
    """Replaces each image by a weighted mean with another one; see https://arxiv.org/abs/1710.09412.

    Args:
        alpha: Parameter of the Beta(alpha, alpha) distribution, from which the weight is drawn once per batch.
        prob: Probability that a batch is changed.
    """

    def _mix(self, img: torch.Tensor, other: torch.Tensor, weight: float) -> tuple[torch.Tensor, float]:
        return img * weight + other * (1 - weight), weight


@BATCH_TRANSFORMS.register_module()
class CutMix(_Mixing):
    """Replaces a rectangle of each image by that of another one; see https://arxiv.org/abs/1905.04899.

    The rectangle is the same for the whole batch. Its center is drawn uniformly, and the part outside the image is cut
    off; the labels have the weights of the areas that result.

    Args:
        alpha: Parameter of the Beta(alpha, alpha) distribution, from which the area that is kept is drawn.
        prob: Probability that a batch is changed.
    """

    def _mix(self, img: torch.Tensor, other: torch.Tensor, weight: float) -> tuple[torch.Tensor, float]:
        height, width = img.shape[-2:]
        side = math.sqrt(1 - weight)
        y, x = torch.rand(2, dtype=torch.float64).tolist()
        top, bottom = _cut(y * height, side * height, height)
        left, right = _cut(x * width, side * width, width)
        mixed = img.clone()
        mixed[..., top:bottom, left:right] = other[..., top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def build_batch_transform(transforms: Sequence[Any]) -> BatchTransform:
    """Build a transform of batches from configs.

    Args:
        transforms: One or more transforms, each a config such as ``dict(type='Mixup', alpha=0.2)`` or a callable.
            Of several, one is drawn for each batch.

    Returns:
        A function ``(img, gt_label, num_classes) -> (img, labels)``, where the labels are (B, num_classes).

    Raises:
        ArgumentTypeError: ``transforms`` is not a list, or an item is neither a config nor a callable.
        ArgumentError: The list is empty.
    """
    check_type("transforms", transforms, list | tuple, "a list of batch transforms")
    if not transforms:
        raise ArgumentError("transforms must have at least one batch transform.", argument="transforms")
    built: list[BatchTransform] = []
    for each in transforms:
        if not isinstance(each, Mapping) and not callable(each):
            raise ArgumentTypeError(
                f"A batch transform must be a config or a callable, not {each!r}.", argument="transforms"
            )
        built.append(BATCH_TRANSFORMS.build(each) if isinstance(each, Mapping) else each)

    def transform(
        img: torch.Tensor, gt_label: torch.Tensor, num_classes: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = int(torch.randint(len(built), ())) if len(built) > 1 else 0
        return built[drawn](img, gt_label, num_classes)

    return transform


def soft_labels(gt_label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return labels as probabilities of the classes, (B, num_classes); those that are already are kept.

    Raises:
        ArgumentError: The labels are neither (B,) integers nor (B, num_classes) floats.
    """
    if gt_label.ndim == 1 and not gt_label.is_floating_point():
        return functional.one_hot(gt_label.long(), num_classes).float()
    if gt_label.ndim == 2 and gt_label.shape[1] == num_classes:
        return gt_label if gt_label.is_floating_point() else gt_label.float()
    raise ArgumentError(
        f"gt_label must be class indices (B,) or probabilities (B, {num_classes}), not {gt_label.dtype} of shape "
        f"{tuple(gt_label.shape)}.",
        argument="gt_label",
    )


def _cut(center: float, length: float, limit: int) -> tuple[int, int]:
    """Return the first and last pixel (excluded) of an edge of the rectangle, within the image."""
    low, high = round(center - length / 2), round(center + length / 2)
    return min(max(low, 0), limit), min(max(high, 0), limit)
