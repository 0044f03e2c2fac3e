"""Losses: built from their names, and computed with the shapes that they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.arguments import check_choice, check_number
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import MODELS

__all__ = ["FocalLoss"]

# What turns the outputs of a network into predictions.
PREDICTIONS = ("auto", "softmax", "sigmoid", "exp", "outputs")

_CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss)
_ELEMENT_LOSSES = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.PoissonNLLLoss,
    nn.SoftMarginLoss,
    nn.MultiLabelSoftMarginLoss,
)
_ACTIVATIONS = (
    (nn.CrossEntropyLoss, "softmax"),
    (nn.NLLLoss, "exp"),
    (nn.BCEWithLogitsLoss, "sigmoid"),
    (nn.MultiLabelSoftMarginLoss, "sigmoid"),
)

for _loss in (
    nn.CrossEntropyLoss,
    nn.BCEWithLogitsLoss,
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
):
    if _loss.__name__ not in MODELS.module_dict:  # a project may have registered its own under this name
        MODELS.register_module(module=_loss)


class FocalLoss(nn.Module):
    """Focal loss (Lin et al., "Focal loss for dense object detection", 2017): samples that are easy weigh less.

    The cross entropy of each sample is multiplied by ``(1 - p) ** gamma``, where p is the predicted probability of
    its target.

    Args:
        gamma: How much less the easy samples weigh, at least 0; with 0 the loss is the cross entropy.
        alpha: Weight, 0 to 1, of the positive classes with ``use_sigmoid``, where the negative ones have ``1 - alpha``;
            otherwise a factor of the loss. None weighs all the same.
        use_sigmoid: Whether the classes are independent (multi-label), so that the probabilities are those of a
            sigmoid, not of a softmax.
        reduction: ``"mean"`` over the samples (with ``use_sigmoid`` over samples and classes), ``"sum"``, or
            ``"none"``, which cannot be trained.

    Attributes:
        activation: What turns scores into predictions, ``"sigmoid"`` or ``"softmax"``.

    Raises:
        ArgumentError: An argument is out of range.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | None = None,
        use_sigmoid: bool = False,
        reduction: Literal["mean", "sum", "none"] = "mean",
    ) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, 0, finite=True)
        self.alpha = None if alpha is None else check_number("alpha", alpha, 0, 1)
        check_choice("reduction", reduction, ("mean", "sum", "none"))
        self.use_sigmoid = use_sigmoid
        self.reduction = reduction
        self.activation = "sigmoid" if use_sigmoid else "softmax"

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            scores: (B, C, ...) scores before softmax or sigmoid.
            targets: Int64 class indices (B, ...), or class probabilities (B, C, ...), with ``use_sigmoid`` also as
                integers 0 and 1.

        Returns:
            A scalar; without reduction (B, ...), or (B, C, ...) with ``use_sigmoid``.
        """
        if targets.ndim < scores.ndim:
            targets = functional.one_hot(targets, scores.shape[1]).movedim(-1, 1)  # (B, C, ...)
        targets = targets.to(scores.dtype)
        if self.use_sigmoid:
            plain = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
            p = scores.sigmoid()
            wrong = p + targets - 2 * p * targets  # 1 - (probability of the target)
            losses = plain * wrong**self.gamma
            if self.alpha is not None:
                losses = losses * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        else:
            logs = scores.log_softmax(dim=1)
            losses = -(targets * (1 - logs.exp()) ** self.gamma * logs).sum(dim=1)  # (B, ...)
            if self.alpha is not None:
                losses = losses * self.alpha
        if self.reduction == "none":
            return losses
        return losses.mean() if self.reduction == "mean" else losses.sum()


if FocalLoss.__name__ not in MODELS.module_dict:
    MODELS.register_module(module=FocalLoss)


def build_loss(loss: Any) -> nn.Module:
    """Build a loss.

    Args:
        loss: Its config, the name of a registered loss or of a class of torch.nn (``"MSELoss"``), an import path, or
            a module, which is returned.

    Raises:
        ArgumentError: There is no loss with this name.
    """
    if isinstance(loss, nn.Module):
        return loss
    built = MODELS.build(loss_config(loss))
    if not callable(built):
        raise ArgumentTypeError(
            f"loss must build a module or a function, not {type(built).__name__}.", argument="loss"
        )
    return built  # type: ignore[no-any-return]  # a function is called like a module


def loss_config(loss: Any) -> Mapping[str, Any]:
    """Return the config of a loss that is given by its name; a config is returned as it is.

    Raises:
        ArgumentError: There is no loss with this name.
    """
    if not isinstance(loss, str):
        if not isinstance(loss, Mapping):
            raise ArgumentTypeError(
                f"loss must be a config, or the name of a loss such as 'MSELoss', not {loss!r}.",
                argument="loss",
            )
        return loss
    if "." in loss or loss in MODELS:
        return {"type": loss}
    names = [name for name in dir(nn) if name.endswith("Loss")]
    if loss not in names:
        raise ArgumentError(
            f"There is no loss {loss!r} in torch.nn or among the registered models.",
            near=(loss, [*names, "FocalLoss"]),
            argument="loss",
        )
    return {"type": f"torch.nn.{loss}"}


def activation_of(loss: Any) -> str:
    """Return what turns outputs into predictions, given the loss: one of ``PREDICTIONS`` except ``"auto"``.

    A custom loss can have an attribute ``activation``.
    """
    own = getattr(loss, "activation", None)
    if own in PREDICTIONS[1:]:
        return str(own)
    return next((name for kind, name in _ACTIVATIONS if isinstance(loss, kind)), "outputs")


def default_class_dim(outputs: Tensor) -> int:
    """Return the dimension of the classes: the last one of sequences (B, T, C), otherwise 1, as in PyTorch."""
    return 2 if outputs.ndim == 3 else min(1, outputs.ndim - 1)


def predict(outputs: Any, activation: str, class_dim: int | None = None) -> Any:
    """Return the predictions for the outputs of a network.

    Args:
        outputs: The outputs; anything but a tensor is returned as it is.
        activation: ``"softmax"``, ``"sigmoid"``, ``"exp"`` or ``"outputs"``.
        class_dim: Dimension of the classes; None for that of ``default_class_dim``.
    """
    if not isinstance(outputs, Tensor) or activation == "outputs":
        return outputs
    if activation == "softmax":
        return outputs.softmax(default_class_dim(outputs) if class_dim is None else class_dim)
    return outputs.sigmoid() if activation == "sigmoid" else outputs.exp()


def compute_loss(loss: Any, outputs: Any, targets: Any, class_dim: int | None = None) -> Tensor:
    """Call a loss with outputs and targets whose shapes and dtypes fit each other.

    - Losses of class indices (cross entropy, ``NLLLoss``, ``FocalLoss``): the classes are moved to dimension 1, integer
      targets become int64, and a last dimension of 1 of the targets is dropped.
    - Element-wise losses of torch.nn, such as ``MSELoss``: (B,) and (B, 1) fit each other, and integer or float64
      targets become float32. Other shapes must be equal, since PyTorch would broadcast them.
    - Any other loss gets both as they are.

    Args:
        loss: The loss.
        outputs: What the network returned.
        targets: What the batch contains.
        class_dim: Dimension of the classes; None for that of ``default_class_dim``.

    Raises:
        ArgumentError: The shapes do not fit, a label is not one of the classes, or the loss is not a scalar.
    """
    known = isinstance(loss, (*_CLASS_LOSSES, *_ELEMENT_LOSSES, FocalLoss))
    if known and not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        wrong, value = ("outputs", outputs) if not isinstance(outputs, Tensor) else ("targets", targets)
        raise ArgumentTypeError(
            f"{type(loss).__name__} needs the {wrong} as a tensor, not as {type(value).__name__}.",
            hint="Use a custom loss, or a net that returns a tensor."
            if wrong == "outputs"
            else "Labels of classes are ints, such as classes.index(text) in the dataset.",
        )
    if isinstance(loss, (*_CLASS_LOSSES, FocalLoss)):
        value = _class_loss(loss, outputs, targets, class_dim)
    elif isinstance(loss, _ELEMENT_LOSSES):
        value = loss(outputs, _same_shape(loss, outputs, targets))
    else:
        value = loss(outputs, targets)
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ArgumentError(
            f"The loss must be a tensor with one number, but {type(loss).__name__} returned {what}.",
            hint="Leave out reduction='none'." if getattr(loss, "reduction", None) == "none" else "",
        )
    return value


def _class_loss(loss: Any, outputs: Tensor, targets: Tensor, class_dim: int | None) -> Tensor:
    dim = default_class_dim(outputs) if class_dim is None else class_dim
    classes_first = outputs.movedim(dim, 1) if outputs.ndim > 2 else outputs  # (B, C, ...)
    shape = classes_first.shape
    independent = activation_of(loss) == "sigmoid"
    if shape[1] == 1 and not independent and targets.is_floating_point():
        raise ArgumentError(
            f"{type(loss).__name__} got one output per target, {_shape(outputs.shape)}, and targets that are "
            f"{str(targets.dtype).removeprefix('torch.')}: the loss of a single class is always 0.",
            hint="For numbers as targets use loss='MSELoss', for two classes 'BCEWithLogitsLoss'.",
        )
    if targets.shape == outputs.shape and (independent or targets.is_floating_point()):  # class probabilities
        return loss(classes_first, targets.movedim(dim, 1) if targets.ndim > 2 else targets)  # type: ignore[no-any-return]
    if targets.ndim == outputs.ndim and targets.shape[-1] == 1:
        targets = targets.squeeze(-1)
    wanted = (shape[0], *shape[2:])
    if targets.is_floating_point() or targets.is_complex():
        raise ArgumentError(
            f"{type(loss).__name__} needs targets that are integer class indices of shape {_shape(wanted)}, or class "
            f"probabilities of the shape of the outputs, {_shape(outputs.shape)}; the targets are "
            f"{str(targets.dtype).removeprefix('torch.')} of shape {_shape(targets.shape)}.",
            hint="For numbers instead of classes, use a loss such as 'MSELoss'.",
        )
    if tuple(targets.shape) != wanted:
        hint = ""
        if outputs.ndim > 2:
            hint = f"The classes are expected in dimension {dim} of the outputs; class_dim sets another one."
        raise ArgumentError(
            f"{type(loss).__name__} needs class indices of shape {_shape(wanted)} for outputs of shape "
            f"{_shape(outputs.shape)}, but the targets have shape {_shape(targets.shape)}.",
            hint=hint,
        )
    if targets.dtype != torch.int64:
        targets = targets.long()
    try:
        return loss(classes_first, targets)  # type: ignore[no-any-return]
    except (IndexError, RuntimeError):
        check_labels(targets, shape[1], getattr(loss, "ignore_index", None))
        raise


def check_labels(labels: Tensor, num_classes: int, ignore_index: int | None = None) -> None:
    """Raise if a label is not one of the classes.

    On a GPU, PyTorch ends the process with "device-side assert triggered" before this can be called.

    Args:
        labels: Class indices of any shape.
        num_classes: Number of classes.
        ignore_index: A label that is valid too.

    Raises:
        ArgumentError: A label is less than 0, or ``num_classes`` or greater.
    """
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if ignore_index is not None:
        wrong = wrong[wrong != ignore_index]
    if wrong.numel():
        raise ArgumentError(
            f"The label {int(wrong.flatten()[0])} is not one of the {num_classes} classes of the model, which are 0 to "
            f"{num_classes - 1}."
        )


def _same_shape(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.shape != outputs.shape:
        one, other = _without_last_one(outputs), _without_last_one(targets)
        if one != other:
            raise ArgumentError(
                f"{type(loss).__name__} compares each output with a target, but the outputs have shape "
                f"{_shape(outputs.shape)} and the targets {_shape(targets.shape)}.",
                hint="The targets look like labels of classes: use CrossEntropyLoss for them."
                if outputs.ndim == 2 and targets.ndim == 1 and not targets.is_floating_point()
                else "",
            )
        targets = targets.reshape(outputs.shape)
    if not targets.is_floating_point() or targets.dtype == torch.float64:
        targets = targets.to(torch.promote_types(outputs.dtype, torch.float32))
    return targets


def _without_last_one(tensor: Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def _shape(shape: Any) -> str:
    return str(tuple(shape))
