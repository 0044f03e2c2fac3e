"""Run a model on a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from cfgtrain.cnn.tools.modes import eval_mode
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.parallel.wrappers import has_forward_with_loss
from cfgtrain.random_state import isolated_random_state

__all__ = ["multi_gpu_test", "single_gpu_test"]


class LossSums:
    """The mean losses of an evaluation; tensors are not fetched from their device before ``means``."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Any, int]] = {}  # of loss times samples, and of samples

    def add(self, losses: Mapping[str, Any], samples: int) -> None:
        """Add the losses of a batch, each the mean over its samples; other values, such as an accuracy, are left out."""
        for name, value in losses.items():
            if "loss" in name:
                total, weight = self._sums.get(name, (0.0, 0))
                value = value.detach().double() if isinstance(value, torch.Tensor) else value
                self._sums[name] = total + value * samples, weight + samples

    def merge(self, sums: Iterable[Mapping[str, tuple[float, int]]]) -> None:
        """Replace the sums by those of several processes together, each from ``sums``."""
        self._sums = {}
        for each in sums:
            for name, (total, weight) in each.items():
                before, weight_before = self._sums.get(name, (0.0, 0))
                self._sums[name] = before + total, weight_before + weight

    def sums(self) -> dict[str, tuple[float, int]]:
        """Return the sums as plain numbers."""
        return {name: (float(total), weight) for name, (total, weight) in self._sums.items()}

    def means(self) -> dict[str, float]:
        """Return the mean of each loss over all samples."""
        return {name: total / weight for name, (total, weight) in self.sums().items() if weight}


def single_gpu_test(
    model: nn.Module,
    data_loader: Iterable[Any],
    progress: Callable[[int], None] | None = None,
    losses: LossSums | None = None,
) -> list[Any]:
    """Predict every sample in one process (MMCV name; it runs on any device).

    The model is called as ``model(return_loss=False, **batch)``, without gradients and in
    eval mode. Its mode and the state of the random generators are restored afterwards, so
    that an evaluation does not change the training around it.

    Args:
        model: Returns one prediction per sample, as a tensor (B, ...) or a list.
        data_loader: Yields batches as dicts.
        progress: Called after each batch with its number of samples.
        losses: Collects the losses, if the model has ``forward_with_loss(**batch) -> (predictions, losses)``,
            which is then called instead.

    Returns:
        One prediction per sample, in the order of the loader; tensors are NumPy arrays.
    """
    results: list[Any] = []
    with_loss = losses is not None and has_forward_with_loss(model)
    with eval_mode(model), isolated_random_state(), torch.no_grad():
        for batch in data_loader:
            if with_loss:
                predicted, of_batch = model.forward_with_loss(**batch)  # type: ignore[operator]  # a method
            else:
                predicted, of_batch = model(return_loss=False, **batch), {}
            done = predicted.cpu().numpy() if isinstance(predicted, torch.Tensor) else predicted
            results.extend(done)
            if losses is not None:
                losses.add(of_batch, len(done))
            if progress is not None:
                progress(len(done))
    return results


def multi_gpu_test(
    model: nn.Module,
    data_loader: Iterable[Any],
    tmpdir: str | None = None,
    gpu_collect: bool = False,
    progress: Callable[[int], None] | None = None,
    losses: LossSums | None = None,
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
        losses: As for ``single_gpu_test``; in the main process those of all samples.

    Returns:
        In the main process one prediction per sample, in the order of the dataset; otherwise None.
    """
    share = single_gpu_test(model, data_loader, progress, losses)
    rank, world_size = get_dist_info()
    if world_size == 1:
        return share
    shares: list[list[Any]] | None = [[] for _ in range(world_size)] if rank == 0 else None
    dist.gather_object(share, shares, dst=0)
    if losses is not None:
        sums: list[Any] | None = [{} for _ in range(world_size)] if rank == 0 else None
        dist.gather_object(losses.sums(), sums, dst=0)
        losses.merge(sums or ())
    if shares is None:
        return None
    longest = max(map(len, shares))
    in_turn = [share[i] for i in range(longest) for share in shares if i < len(share)]
    return in_turn[: len(data_loader.dataset)]  # type: ignore[attr-defined]  # see Args
