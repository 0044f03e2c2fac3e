"""A model that trains any network with inputs and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from cfgtrain.arguments import check_choice
from cfgtrain.cnn.builder import build_network
from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.metric import TARGET_KEYS
from cfgtrain.models.losses import PREDICTIONS, activation_of, build_loss, compute_loss, predict
from cfgtrain.registries import MODELS

__all__ = ["SupervisedModel"]

_INPUT_KEYS = ("inputs", "input", "img", "x")

Key = str | int


@MODELS.register_module()
class SupervisedModel(BaseModule):
    """Trains any network: the loss compares its outputs with the targets of a batch.

    A batch is a dict, or a tuple or list such as a ``torch.utils.data.TensorDataset`` gives. The loss is called as
    ``loss(outputs, targets)``; see ``cfgtrain.models.losses.compute_loss`` for the shapes that are adapted.

    Args:
        net: Config of the network: any module by its name or import path, a function that returns one, or a list of
            configs for a sequence of modules. Configs inside the config of a class that does not build them itself,
            such as ``torch.nn.Sequential``, are built first.
        loss: Config of the loss, or its name: that of a registered loss or of a class of torch.nn, such as
            ``"MSELoss"``.
        inputs: Key of the input in a batch that is a dict, or index in a tuple; several in a list are given to the
            network as positional arguments. By default ``inputs``, ``input``, ``img``, ``x``, or the only key that
            is not the target; in a tuple all items but the target.
        targets: Key or index of the targets. By default the first of ``gt_label``, ``targets``, ``target``,
            ``labels`` and ``label``; in a tuple the last item.
        predictions: What turns outputs into predictions: ``"softmax"``, ``"sigmoid"``, ``"exp"``, or ``"outputs"``
            for nothing. ``"auto"``: softmax for cross entropy, sigmoid for ``BCEWithLogitsLoss``, exp for ``NLLLoss``,
            otherwise nothing.
        class_dim: Dimension of the classes in the outputs, for cross entropy and softmax. By default the last one of
            three dimensions (B, T, C), otherwise 1.
        init_cfg: Config of the weight initialization; see ``cnn.initialize``.

    Raises:
        ArgumentError: There is no such loss, or an argument is not one of its values.
    """

    def __init__(
        self,
        net: dict[str, Any] | list[Any] | nn.Module,
        loss: str | dict[str, Any] | nn.Module,
        inputs: str | int | list[str] | list[int] | None = None,
        targets: str | int | None = None,
        predictions: Literal["auto", "softmax", "sigmoid", "exp", "outputs"] = "auto",
        class_dim: int | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice("predictions", predictions, PREDICTIONS)
        self.net = build_network(net)
        self.loss = build_loss(loss)
        self.inputs = inputs
        self.targets = targets
        self.class_dim = class_dim
        self.activation = activation_of(self.loss) if predictions == "auto" else predictions

    def forward(self, *items: Any, return_loss: bool = True, **batch: Any) -> Any:
        """Compute the loss, or the predictions.

        Args:
            items: The items of a batch that is a tuple. A single item is the input.
            return_loss: Whether to return the loss instead of predictions.
            batch: The items of a batch that is a dict.

        Returns:
            With ``return_loss``, a dict with the scalar ``loss``; otherwise the predictions.

        Raises:
            ArgumentError: The batch has no such inputs or targets, or they do not fit the loss.
        """
        inputs, targets = self._split(items or batch, need_targets=return_loss)
        outputs = self.net(*inputs)
        if return_loss:
            return self._losses(outputs, targets)
        return predict(outputs, self.activation, self.class_dim)

    def forward_with_loss(self, *items: Any, **batch: Any) -> tuple[Any, dict[str, Tensor]]:
        """Compute the predictions and the loss in one pass.

        Returns:
            The predictions, and a dict with the scalar ``loss``, empty if the batch has no targets.
        """
        inputs, targets = self._split(items or batch, need_targets=False)
        outputs = self.net(*inputs)
        losses = {} if targets is None else self._losses(outputs, targets)
        return predict(outputs, self.activation, self.class_dim), losses

    def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Compute the loss of a training batch. The optimizer hook runs the backward pass and the step.

        Args:
            data: The batch: a dict, or a tuple or list.
            optimizer: Unused; part of MMCV's interface.
            kwargs: Unused.

        Returns:
            A dict with ``loss``, a scalar tensor with gradient.
        """
        losses: dict[str, Any] = self(**data) if isinstance(data, Mapping) else self(*_items(data))
        return losses

    def val_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Compute the loss of a validation batch, for a ``('val', n)`` flow; see ``train_step``."""
        return self.train_step(data, optimizer, **kwargs)

    def _losses(self, outputs: Any, targets: Any) -> dict[str, Tensor]:
        return {"loss": compute_loss(self.loss, outputs, targets, self.class_dim)}

    def _split(self, batch: Mapping[str, Any] | Sequence[Any], need_targets: bool) -> tuple[list[Any], Any]:
        """Return the inputs and the targets, which are None if there are none.

        Raises:
            ArgumentError: The inputs, or the targets although they are needed, are not in the batch.
        """
        keys: list[Key] = list(batch) if isinstance(batch, Mapping) else list(range(len(batch)))
        target = self._target_key(batch, keys)
        if target is None and need_targets:
            raise _missing("targets", self.targets, keys, " or ".join(map(repr, TARGET_KEYS)))
        inputs = [_get(batch, key) for key in self._input_keys(batch, keys, target)]
        return inputs, None if target is None else _get(batch, target)

    def _target_key(self, batch: Any, keys: list[Key]) -> Key | None:
        if self.targets is not None:
            return self.targets if self.targets in keys else None
        if isinstance(batch, Mapping):
            return next((key for key in TARGET_KEYS if key in keys), None)
        return keys[-1] if len(keys) > 1 else None

    def _input_keys(self, batch: Any, keys: list[Key], target: Key | None) -> list[Key]:
        if not isinstance(batch, Mapping) and len(keys) == 1:
            return keys
        if self.inputs is not None:
            wanted: list[Key] = [*self.inputs] if isinstance(self.inputs, list | tuple) else [self.inputs]
            absent = [key for key in wanted if key not in keys]
            if absent:
                raise _missing("inputs", absent[0], keys)
            return wanted
        others: list[Key] = [key for key in keys if key != target]
        if not isinstance(batch, Mapping):
            return others
        default = next((key for key in _INPUT_KEYS if key in others), None)
        if default is not None:
            return [default]
        if len(others) == 1:
            return others
        raise _missing("inputs", None, keys, " or ".join(map(repr, _INPUT_KEYS)))


def _items(data: Any) -> Sequence[Any]:
    return data if isinstance(data, list | tuple) else (data,)


def _get(batch: Any, key: Key) -> Any:
    return batch[key]


def _missing(what: str, key: Key | None, keys: list[Key], default: str = "") -> ArgumentError:
    wanted = repr(key) if key is not None else default
    return ArgumentError(
        f"SupervisedModel needs the {what} {wanted} of a batch, and a batch has {', '.join(map(repr, keys)) or 'nothing'}.",
        near=(str(key), [str(each) for each in keys]) if key is not None else None,
        hint="" if key is not None else f"Name their key with {what}=.",
    )
