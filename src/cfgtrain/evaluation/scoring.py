"""Score a model on a dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from cfgtrain.data.loader import empty_loader_error, set_epoch
from cfgtrain.data.seeded import SeededDataset
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.evaluation.inference import LossSums, multi_gpu_test, single_gpu_test
from cfgtrain.metrics.metric_set import MetricSet
from cfgtrain.parallel.objects import from_main_process

__all__ = ["check_scorable", "checked_scores", "dataset_scores", "evaluate", "uses_evaluate"]


def evaluate(
    model: nn.Module,
    data_loader: Any,
    logger: logging.Logger,
    progress: Callable[[int], None] | None = None,
    metrics: MetricSet | None = None,
    is_shared: bool = False,
    **eval_kwargs: Any,
) -> dict[str, Any]:
    """Return the scores of a model on the dataset of a loader.

    They are those of the metrics, then those of the dataset's ``evaluate`` if it is used; see ``uses_evaluate``. If
    there are none, they are the mean losses.

    Args:
        model: Predicts when called with ``return_loss=False``.
        data_loader: Loads the dataset in order.
        logger: Passed to the dataset's ``evaluate``.
        progress: Called after each batch of this process with its number of samples.
        metrics: They are reset, and updated with all batches.
        is_shared: Whether all processes call this, each with a loader of its share; all get the scores of all samples.
        eval_kwargs: More arguments of ``evaluate``, such as ``metric``.

    Raises:
        ArgumentError: The loader yields no samples.
    """
    samples = 0

    def count(done: int) -> None:
        nonlocal samples
        samples += done
        if progress is not None:
            progress(done)

    set_epoch(data_loader, 0)
    keep = uses_evaluate(data_loader.dataset, metrics, eval_kwargs)
    losses = None if keep or metrics is not None else LossSums()
    if metrics is not None:
        metrics.reset()
    results: list[Any] | None
    if is_shared:
        results = multi_gpu_test(model, data_loader, None, False, count, losses, metrics, keep)
    else:
        results = single_gpu_test(model, data_loader, count, losses, metrics, keep)
    if not samples:
        raise empty_loader_error(data_loader)

    def score() -> dict[str, Any]:
        scores = dataset_scores(data_loader.dataset, results, logger, metrics, eval_kwargs)
        return scores if losses is None else losses.means()

    return from_main_process(score) if is_shared else score()


def uses_evaluate(dataset: Any, metrics: MetricSet | None, eval_kwargs: Mapping[str, Any]) -> bool:
    """Return whether an evaluation calls ``evaluate`` of the dataset.

    With metrics it does so only if there are arguments for it.
    """
    return callable(getattr(dataset, "evaluate", None)) if metrics is None else bool(eval_kwargs)


def dataset_scores(
    dataset: Any,
    results: Any,
    logger: logging.Logger,
    metrics: MetricSet | None,
    eval_kwargs: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the scores of the metrics, and those of the dataset's ``evaluate`` if it is used.

    Args:
        dataset: The dataset.
        results: One prediction per sample.
        logger: Passed to ``evaluate``.
        metrics: After their update with all batches.
        eval_kwargs: More arguments of ``evaluate``.

    Raises:
        ArgumentError: Two scores have the same name.
    """
    scores = {} if metrics is None else checked_scores(metrics.compute())
    if uses_evaluate(dataset, metrics, eval_kwargs):
        more = checked_scores(dataset.evaluate(results, logger=logger, **eval_kwargs))
        twice = next((name for name in more if name in scores), None)
        if twice is not None:
            raise ArgumentError(
                f"The metrics and evaluate() of the dataset both have a score with the name {twice!r}.",
                argument="metrics",
            )
        scores |= more
    return scores


def check_scorable(
    dataset: Any, has_losses: bool, metrics: Any, eval_kwargs: Mapping[str, Any], what: str
) -> None:
    """Raise if an evaluation would have no scores.

    Args:
        dataset: The dataset.
        has_losses: Whether the losses of the model are known; see ``predict_batches``.
        metrics: The metrics or their configs, or None.
        eval_kwargs: The arguments of the evaluation that are for ``evaluate`` of the dataset.
        what: What the dataset is, for messages.

    Raises:
        ArgumentTypeError: The dataset has no ``evaluate``, and there are neither metrics nor losses, or arguments
            for ``evaluate``.
    """
    if callable(getattr(dataset, "evaluate", None)):
        return
    kind = type(dataset.dataset if isinstance(dataset, SeededDataset) else dataset).__name__
    if eval_kwargs:
        name = next(iter(eval_kwargs))
        raise ArgumentTypeError(
            f"{what} has no evaluate(results, logger=...), to which the evaluation would pass {name!r}: "
            f"{kind} has none.",
            near=(name, ["metrics"]),
            argument=name,
        )
    if metrics is None and not has_losses:
        raise ArgumentTypeError(
            f"{what} has no evaluate(results, logger=...) that returns its scores: {kind} has none.",
            hint="Add metrics, such as evaluation=dict(metrics=['Accuracy']), or a method "
            "forward_with_loss(**batch) -> (predictions, losses) to the model.",
        )


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
