"""Run a model over a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.random_state import isolated_random_state

__all__ = ["multi_gpu_test", "single_gpu_test"]


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


def multi_gpu_test(
    model: nn.Module,
    data_loader: Iterable[Any],
    tmpdir: str | None = None,
    gpu_collect: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Any] | None:
    """Predict with all processes, each for its share of the samples (MMCV name).

    The samples have to be dealt out to the processes in turn, as the samplers of cfgtrain and
    torch's ``DistributedSampler`` do. Shares may differ in length; samples that a sampler
    added to make them equal are cut off.

    Args:
        model: As for ``single_gpu_test``.
        data_loader: Over the share of this process; has a ``dataset`` with a length.
        tmpdir: Taken as MMCV takes it; results go through memory.
        gpu_collect: Likewise.
        progress: Called with the number of samples done in each batch of this process.

    Returns:
        In the first process one prediction per sample, in the order of the data set; else None.
    """
    own = single_gpu_test(model, data_loader, progress)
    rank, world_size = get_dist_info()
    if world_size == 1:
        return own
    parts: list[list[Any]] | None = [[] for _ in range(world_size)] if rank == 0 else None
    dist.gather_object(own, parts, dst=0)
    if parts is None:
        return None
    longest = max(map(len, parts))
    in_turn = [part[i] for i in range(longest) for part in parts if i < len(part)]
    return in_turn[: len(data_loader.dataset)]  # type: ignore[attr-defined]  # see Args
