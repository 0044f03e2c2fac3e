"""Score a model on a dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from cfgtrain.data.loader import empty_loader_error, set_epoch
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.evaluation.inference import single_gpu_test

__all__ = ["checked_scores", "evaluate"]


def evaluate(
    model: nn.Module,
    data_loader: Any,
    logger: logging.Logger,
    progress: Callable[[int], None] | None = None,
    **eval_kwargs: Any,
) -> dict[str, Any]:
    """Return the scores of a model on the dataset of a loader.

    Args:
        model: Predicts when called with ``return_loss=False``.
        data_loader: Loads the dataset in order.
        logger: Passed to the dataset's ``evaluate``.
        progress: Called after each batch with its number of samples.
        eval_kwargs: More arguments of ``evaluate``, such as ``metric``.

    Raises:
        ArgumentError: The loader yields no samples.
    """
    set_epoch(data_loader, 0)
    results = single_gpu_test(model, data_loader, progress)
    if not results:
        raise empty_loader_error(data_loader)
    return checked_scores(data_loader.dataset.evaluate(results, logger=logger, **eval_kwargs))


def checked_scores(scores: Any) -> dict[str, Any]:
    """Return what ``evaluate`` of a dataset returned, as plain values by name.

    A scalar, or an array or tensor with one element, is a number. Names that are not of the type
    str are converted to it. Any other value is kept, to be logged.

    Raises:
        ArgumentTypeError: It is not a dict.
        ArgumentError: Two scores have the same name.
    """
    if not isinstance(scores, Mapping):
        raise ArgumentTypeError(f"evaluate() of a dataset returned no dict of scores, but {scores!r}.")
    checked: dict[str, Any] = {}
    for name, value in scores.items():
        if str(name) in checked:
            raise ArgumentError(f"evaluate() of a dataset returned two scores with the name {str(name)!r}.")
        single = value.tolist() if hasattr(value, "tolist") else value
        while isinstance(single, list) and len(single) == 1 and hasattr(value, "tolist"):
            single = single[0]
        checked[str(name)] = single
    return checked
