"""Score a model on a data set."""

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
    """Return the scores of a model on the data set of a loader.

    Args:
        model: Predicts when called with ``return_loss=False``.
        data_loader: Over the data set, in order.
        logger: Handed to the data set.
        progress: Called with the number of samples done in each batch.
        eval_kwargs: For the data set's ``evaluate``, such as ``metric``.
    """
    set_epoch(data_loader, 0)
    results = single_gpu_test(model, data_loader, progress)
    return dict(data_loader.dataset.evaluate(results, logger=logger, **eval_kwargs))
