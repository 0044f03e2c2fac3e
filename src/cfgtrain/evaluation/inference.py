"""Run a model on a dataset."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sized
from contextlib import closing
from typing import Any, NamedTuple

import torch
from torch import nn

from cfgtrain.amp import cast_tensor_type, inference_autocast
from cfgtrain.cnn.tools.modes import eval_mode
from cfgtrain.data.batches import call_arguments
from cfgtrain.errors import ArgumentError
from cfgtrain.evaluation.collect import collect_results_cpu, collect_results_gpu, gather
from cfgtrain.metrics.metric_set import MetricSet
from cfgtrain.parallel.data import unpack_containers
from cfgtrain.parallel.dist import data_rank_and_size, get_dist_info, is_main_process
from cfgtrain.parallel.fsdp import free_gathered, is_sharded_model
from cfgtrain.parallel.objects import gather_objects
from cfgtrain.parallel.wrappers import has_forward_with_loss, unwrap_model, without_communication
from cfgtrain.random_state import isolated_random_state

__all__ = ["Predicted", "multi_gpu_test", "predict_batches", "single_gpu_test"]


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


class Predicted(NamedTuple):
    """A batch with its predictions.

    Attributes:
        predictions: One per sample: a tensor (B, ...), on the device of the model, or a list.
        batch: The batch that the loader yielded.
        losses: The losses of the batch by name, if they were asked for.
    """

    predictions: Any
    batch: Any
    losses: Mapping[str, Any]


def predict_batches(
    model: nn.Module, data_loader: Iterable[Any], with_losses: bool = False
) -> Generator[Predicted, None, None]:
    """Predict batch by batch, without gradients and in eval mode.

    A model with a precision of ``set_inference_dtype`` computes in it, and its predictions are cast to float32.
    The mode of the model and the state of the random generators are restored when the generator is exhausted or
    closed, so use it within ``contextlib.closing``.

    Args:
        model: It is called with ``return_loss=False`` and returns one prediction per sample, as a tensor (B, ...) or
            a list.
        data_loader: Yields batches: dicts are passed as keyword arguments, tuples and lists as positional ones.
        with_losses: Whether to call ``forward_with_loss(...) -> (predictions, losses)`` of the model instead, if it
            has that method.
    """
    with_losses = with_losses and has_forward_with_loss(model)
    with eval_mode(model), isolated_random_state(), torch.no_grad():
        for batch in data_loader:
            predictions, losses = _call(model, batch, with_losses)
            yield Predicted(predictions, batch, losses)
    free_gathered(model)


def _call(model: nn.Module, batch: Any, with_losses: bool) -> Any:
    """Return the predictions of a batch, and its losses if they are wanted."""
    args, kwargs = call_arguments(batch)
    model, inner = without_communication(model), unwrap_model(model)
    with inference_autocast(inner):
        if with_losses:
            predictions, losses = model.forward_with_loss(*args, **kwargs)  # type: ignore[operator]  # a method
        else:
            predictions, losses = model(*args, **kwargs, return_loss=False), {}
    half = vars(inner).get("inference_dtype")
    if half is not None:  # metrics and NumPy need float32
        predictions = cast_tensor_type(predictions, half, torch.float32)
    return predictions, losses


def single_gpu_test(
    model: nn.Module,
    data_loader: Iterable[Any],
    progress: Callable[[int], None] | None = None,
    losses: LossSums | None = None,
    metrics: MetricSet | None = None,
    keep: bool = True,
) -> list[Any]:
    """Predict every sample in one process (MMCV name; it runs on any device).

    The model is called as ``model(return_loss=False, **batch)``, without gradients and in
    eval mode. Its mode and the state of the random generators are restored afterwards, so
    that an evaluation does not change the training around it.

    Args:
        model: Returns one prediction per sample, as a tensor (B, ...) or a list.
        data_loader: Yields batches: dicts are passed as keyword arguments, tuples and lists as positional ones.
        progress: Called after each batch with its number of samples.
        losses: Collects the losses, if the model has ``forward_with_loss(**batch) -> (predictions, losses)``,
            which is then called instead.
        metrics: They are updated with each batch. If the dataset of the loader has a method ``restore(predictions,
            batch)``, which converts both to their original units, they get what it returns.
        keep: Whether to return the predictions. Without them, the memory does not grow with the dataset.

    Returns:
        One prediction per sample, in the order of the loader; tensors are NumPy arrays. Nothing without ``keep``.
    """
    return _predict(model, data_loader, progress, losses, metrics, keep)


def _predict(
    model: nn.Module,
    data_loader: Iterable[Any],
    progress: Callable[[int], None] | None,
    losses: LossSums | None,
    metrics: MetricSet | None,
    keep: bool,
    limit: int | None = None,
    smallest: int | None = None,
) -> list[Any]:
    """Do what ``single_gpu_test`` does; losses and metrics count only the first ``limit`` samples.

    ``smallest`` is the lowest limit of the processes if they must call the model equally often, because its weights
    are divided among them; otherwise None.
    """
    results: list[Any] = []
    seen = 0
    restore = getattr(getattr(data_loader, "dataset", None), "restore", None)
    with closing(predict_batches(model, data_loader, losses is not None)) as predicted:
        for predictions, batch, of_batch in predicted:
            size, whole = len(predictions), batch
            count = size if limit is None else min(size, max(limit - seen, 0))
            seen += size
            if count < size:
                predictions, batch = predictions[:count], first_samples(batch, count, size)
                if (
                    of_batch and count and smallest is None
                ):  # they are means, and without the other samples they are different
                    of_batch = _call(model, batch, with_losses=True)[1]
            if of_batch and smallest is not None and seen > smallest:  # in a process, samples are left out
                again = _call(model, batch if count else whole, with_losses=True)[1]
                of_batch = again if count < size else of_batch
            if keep:
                results.extend(
                    predictions.cpu().numpy() if isinstance(predictions, torch.Tensor) else predictions
                )
            if losses is not None and count:
                losses.add(of_batch, count)
            if metrics is not None and count:
                if restore is not None:
                    predictions, batch = restore(predictions, batch)
                metrics.update(predictions, batch)
            if progress is not None:
                progress(size)
    return results


def first_samples(batch: Any, count: int, size: int) -> Any:
    """Return a batch of ``size`` samples without those after the first ``count``; what is not per sample is kept."""

    def cut(value: Any) -> Any:
        has_samples = isinstance(value, list | tuple) or len(getattr(value, "shape", ())) > 0
        return value[:count] if has_samples and len(value) == size else value

    batch = unpack_containers(batch)
    if isinstance(batch, Mapping):
        return {key: cut(value) for key, value in batch.items()}
    return tuple(map(cut, batch))


def multi_gpu_test(
    model: nn.Module,
    data_loader: Iterable[Any],
    tmpdir: str | None = None,
    gpu_collect: bool = False,
    progress: Callable[[int], None] | None = None,
    losses: LossSums | None = None,
    metrics: MetricSet | None = None,
    keep: bool = True,
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
        metrics: Likewise.
        keep: As for ``single_gpu_test``.

    Returns:
        In the main process one prediction per sample, in the order of the dataset; otherwise None.
    """
    if get_dist_info()[1] == 1:
        return single_gpu_test(model, data_loader, progress, losses, metrics, keep)
    rank, count = data_rank_and_size()
    total = len(data_loader.dataset)  # type: ignore[attr-defined]  # see Args
    smallest = None
    if is_sharded_model(model):
        smallest = total // count
        counts = gather_objects(len(data_loader) if isinstance(data_loader, Sized) else None)
        if len(set(counts)) > 1:
            raise ArgumentError(
                f"The processes would evaluate {' and '.join(map(str, counts))} batches, and a model whose weights are "
                "divided among them needs equally many in each.",
                hint="Build the loader with round_up=True.",
            )
    limit = len(range(rank, total, count))
    share = _predict(model, data_loader, progress, losses, metrics, keep, limit, smallest)
    sums = gather(None if losses is None else losses.sums())
    if losses is not None:
        losses.merge(sums or ())
    found = gather(metrics)
    if metrics is not None:
        metrics.merge((found or ())[1:])
    if not keep:
        return [] if is_main_process() else None
    return collect_results_gpu(share, total) if gpu_collect else collect_results_cpu(share, total)
