"""The metrics of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.metrics.metric import Metric
from cfgtrain.metrics.tables import class_table, matrix_table
from cfgtrain.metrics.torch_metric import TorchMetric
from cfgtrain.registries import METRICS
from cfgtrain.score_order import Rule

__all__ = ["MetricSet", "build_metrics"]


class MetricSet:
    """Several metrics that are updated together.

    Args:
        metrics: The metrics.

    Raises:
        ArgumentError: Two of them have a score of the same name.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = list(metrics)
        self._owners: dict[str, Metric] = {}
        for metric in self.metrics:
            self._own(metric, metric.score_names() or ())

    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch to all metrics."""
        for metric in self.metrics:
            metric.update(predictions, batch)

    def compute(self) -> dict[str, Any]:
        """Return the scores of all metrics by name.

        Raises:
            ArgumentError: Two metrics have a score of the same name, or a metric returned something else than a dict.
        """
        return {name: score for metric in self.metrics for name, score in self.scores_of(metric).items()}

    def scores_of(self, metric: Metric) -> dict[str, Any]:
        """Return the scores of one of the metrics by name; it raises what ``compute`` raises."""
        found: Any = metric.compute()
        if not isinstance(found, Mapping):
            raise ArgumentTypeError(
                f"compute() of {name_of(metric)} must return a dict of scores by name, not {found!r}.",
                hint="For example {'my_score': 0.5}; save_best and the log use the name.",
            )
        self._own(metric, found)
        return dict(found)

    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other sets of the same metrics."""
        parts = [other.metrics for other in others]
        for i, metric in enumerate(self.metrics):
            metric.merge([part[i] for part in parts])

    def reset(self) -> None:
        """Forget all batches."""
        for metric in self.metrics:
            metric.reset()

    def score_names(self) -> list[str] | None:
        """Return the names of all scores that are numbers, or None if those of a metric are not known before."""
        names = [metric.score_names() for metric in self.metrics]
        return None if None in names else [name for each in names for name in each or ()]

    def rule_of(self, name: str) -> Rule | None:
        """Return whether a greater or a smaller value of a score is better, or None if the metrics do not know."""
        if name in self._owners:
            return self._owners[name].rule_of(name)
        unknown = [metric for metric in self.metrics if metric.score_names() is None]
        return unknown[0].rule_of(name) if len(unknown) == 1 else None

    def per_class(self) -> dict[str, Sequence[float]]:
        """Return columns of a table of the classes: their names, and for each a value per class."""
        columns: dict[str, Sequence[float]] = {}
        for metric in self.metrics:
            for name, values in metric.per_class().items():
                columns.setdefault(name, values)
        size = max(map(len, columns.values()), default=0)
        return {name: values for name, values in columns.items() if len(values) == size}

    def tables(self, classes: Sequence[str] = ()) -> str:
        """Return a table of the scores of each class, and the confusion matrix, as text; ``""`` if there are none.

        Args:
            classes: Names of the classes, by index; by default their indices.
        """
        matrix = next((m for metric in self.metrics if (m := metric.compute().get("confusion_matrix"))), None)
        parts = [class_table(self.per_class(), classes), matrix_table(matrix or (), classes)]
        return "\n\n".join(filter(None, parts))

    def _own(self, metric: Metric, names: Iterable[str]) -> None:
        for name in names:
            if self._owners.setdefault(name, metric) is not metric:
                raise ArgumentError(f"Two metrics have a score with the name {name!r}.", argument="metrics")


def name_of(metric: Metric) -> str:
    """Return the name of the class of a metric; that of another library is wrapped in a ``TorchMetric``."""
    return type(getattr(metric, "metric", metric)).__name__


def build_metrics(cfgs: Sequence[Any]) -> MetricSet:
    """Build the metrics of an evaluation.

    Args:
        cfgs: For each metric its name, its config or the metric itself. One without the interface of ``Metric`` is
            used as ``TorchMetric`` does.

    Raises:
        ArgumentTypeError: It is not a list, or one of its items is not a metric.
        ArgumentError: The list is empty, or two metrics have a score of the same name.
    """
    if not isinstance(cfgs, list | tuple):
        raise ArgumentTypeError(
            f"metrics must be a list such as ['Accuracy'], not {cfgs!r}.", argument="metrics"
        )
    if not cfgs:
        raise ArgumentError("metrics is empty: leave it out, or name a metric.", argument="metrics")
    return MetricSet([_build(cfg) for cfg in cfgs])


def _build(cfg: Any) -> Metric:
    if isinstance(cfg, str):
        cfg = {"type": cfg}
    metric = METRICS.build(cfg) if isinstance(cfg, Mapping) else cfg
    if isinstance(metric, Metric):
        return metric
    if hasattr(metric, "merge") and not hasattr(metric, "merge_state"):
        name = type(metric).__name__  # its update gets a batch, and not targets as with TorchMetric
        raise ArgumentTypeError(
            f"The metric {name} does not inherit from Metric: begin it with `class {name}(Metric):` and "
            "`from cfgtrain.metrics import Metric`.",
            argument="metrics",
        )
    return TorchMetric(metric)
