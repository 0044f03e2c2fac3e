"""Score a model on a dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from torch import nn

from cfgtrain.data.loader import set_epoch
from cfgtrain.evaluation.inference import single_gpu_test

__all__ = ["evaluate"]


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
    """
    set_epoch(data_loader, 0)
    results = single_gpu_test(model, data_loader, progress)
    return dict(data_loader.dataset.evaluate(results, logger=logger, **eval_kwargs))
