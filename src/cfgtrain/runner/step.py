"""What the ``train_step`` and ``val_step`` of a model return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat

from torch import Tensor

from cfgtrain.errors import ArgumentTypeError
from cfgtrain.suggestions import with_article

__all__ = ["count_samples", "missing_train_step", "step_outputs"]

_WANTED = (
    'Return {"loss": loss} with the loss as a tensor of one number; "log_vars" (a dict of numbers to log; by default '
    'the loss) and "num_samples" are optional.'
)


def step_outputs(returned: Any, method: str, model_name: str) -> dict[str, Any]:
    """Return what a step returned as a dict: a tensor of one number is the loss.

    Args:
        returned: What the step returned.
        method: ``"train_step"`` or ``"val_step"``, for messages.
        model_name: Class name of the model, for messages.

    Raises:
        ArgumentTypeError: The step returned anything else.
    """
    if isinstance(returned, dict):
        _check_log_vars(returned.get("log_vars", {}), method, model_name)
        return returned
    if isinstance(returned, Tensor) and returned.numel() == 1:
        return {"loss": returned}
    if isinstance(returned, Tensor):
        what = f"a tensor of shape {tuple(returned.shape)}"
    else:
        what = "None" if returned is None else with_article(type(returned).__name__)
        text = repr(returned)
        if returned is not None and len(text) <= 80 and "\n" not in text:
            what += f", {text}"
    raise ArgumentTypeError(f"{method} of {model_name} must return a dict, not {what}.", hint=_WANTED)


def _check_log_vars(log_vars: Any, method: str, model_name: str) -> None:
    if not isinstance(log_vars, Mapping):
        raise ArgumentTypeError(
            f"log_vars of {method} of {model_name} must be a dict of numbers, not {log_vars!r}."
        )
    for name, value in log_vars.items():
        is_number = value.numel() == 1 if isinstance(value, Tensor) else isinstance(value, SupportsFloat)
        if not is_number:
            what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise ArgumentTypeError(
                f"log_vars of {method} of {model_name} must be numbers, and {name!r} is {what}."
            )


def count_samples(batch: Any) -> int:
    """Return the number of samples of a batch: the length of its first tensor or sequence; 1 if it has none."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim else 1
    if isinstance(batch, Mapping):
        with_length = (each for each in batch.values() if _has_length(each))
        return count_samples(next(with_length, None))
    if isinstance(batch, list | tuple):
        if all(isinstance(each, Mapping) for each in batch):  # a list of samples
            return len(batch)
        return count_samples(batch[0]) if batch and _has_length(batch[0]) else len(batch)
    return 1


def _has_length(value: Any) -> bool:
    return value.ndim > 0 if isinstance(value, Tensor) else isinstance(value, list | tuple | Mapping)


def missing_train_step(name: str, type_name: str) -> tuple[str, str]:
    """Return the message and the hint of an error about a model that has no ``train_step``.

    Args:
        name: Class name of the model.
        type_name: Its ``type`` in a config.
    """
    return (
        f"{name} has no train_step(batch, optimizer) for a runner to call.",
        "SupervisedModel makes any network trainable:\n"
        f"    model = dict(type='SupervisedModel', net=dict(type={type_name!r}, ...),\n"
        "                 loss='CrossEntropyLoss')  # or another loss, such as 'MSELoss'",
    )
