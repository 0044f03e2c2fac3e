"""Run a model over a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from cfgtrain.random_state import isolated_random_state

__all__ = ["single_gpu_test"]


def single_gpu_test(
    model: nn.Module, data_loader: Iterable[Any], progress: Callable[[int], None] | None = None
) -> list[Any]:
    """Predict for every sample (MMCV name; it runs on any one device).

    The model is called as ``model(return_loss=False, **batch)``, without gradients and in
    eval mode; its mode and the state of the random generators are put back afterwards, so
    that evaluating in the middle of a training does not change it.

    Args:
        model: Returns one prediction per sample, as a tensor (B, ...) or a list.
        data_loader: Yields batches as dicts.
        progress: Called with the number of samples done in each batch.

    Returns:
        One prediction per sample, in the order of the loader; tensors as NumPy arrays.
    """
    results: list[Any] = []
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with isolated_random_state(), torch.no_grad():
            for batch in data_loader:
                predicted = model(return_loss=False, **batch)
                done = predicted.cpu().numpy() if isinstance(predicted, torch.Tensor) else predicted
                results.extend(done)
                if progress is not None:
                    progress(len(done))
    finally:
        for module, training in modes:
            module.training = training
    return results
