"""Run a model on a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from cfgtrain.cnn.tools.modes import eval_mode
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.random_state import isolated_random_state

__all__ = ["multi_gpu_test", "single_gpu_test"]


def single_gpu_test(
    model: nn.Module, data_loader: Iterable[Any], progress: Callable[[int], None] | None = None
) -> list[Any]:
    """Predict every sample in one process (MMCV name; it runs on any device).

    The model is called as ``model(return_loss=False, **batch)``, without gradients and in
    eval mode. Its mode and the state of the random generators are restored afterwards, so
    that an evaluation does not change the training around it.

    Args:
        model: Returns one prediction per sample, as a tensor (B, ...) or a list.
        data_loader: Yields batches as dicts.
        progress: Called after each batch with its number of samples.

    Returns:
        One prediction per sample, in the order of the loader; tensors are NumPy arrays.
    """
    results: list[Any] = []
    with eval_mode(model), isolated_random_state(), torch.no_grad():
        for batch in data_loader:
            predicted = model(return_loss=False, **batch)
            done = predicted.cpu().numpy() if isinstance(predicted, torch.Tensor) else predicted
            results.extend(done)
            if progress is not None:
                progress(len(done))
    return results


def multi_gpu_test(
    model: nn.Module,
    data_loader: Iterable[Any],
    tmpdir: str | None = None,
    gpu_collect: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Any] | None:
    """Predict with all processes, each for its share of the samples (MMCV name).

    The samples must be distributed to the processes in turn, as the samplers of cfgtrain and
    torch's ``DistributedSampler`` do. Shares may differ in length; samples that a sampler
    added to make them equal are removed.

    Args:
        model: As for ``single_gpu_test``.
        data_loader: Loads the share of this process; its ``dataset`` has a length.
        tmpdir: Accepted for compatibility with MMCV; results are gathered in memory.
        gpu_collect: Likewise.
        progress: Called after each batch of this process with its number of samples.

    Returns:
        In the main process one prediction per sample, in the order of the dataset; otherwise None.
    """
    share = single_gpu_test(model, data_loader, progress)
    rank, world_size = get_dist_info()
    if world_size == 1:
        return share
    shares: list[list[Any]] | None = [[] for _ in range(world_size)] if rank == 0 else None
    dist.gather_object(share, shares, dst=0)
    if shares is None:
        return None
    longest = max(map(len, shares))
    in_turn = [share[i] for i in range(longest) for share in shares if i < len(share)]
    return in_turn[: len(data_loader.dataset)]  # type: ignore[attr-defined]  # see Args
