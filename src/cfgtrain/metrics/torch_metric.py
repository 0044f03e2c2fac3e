"""Metrics written for torchmetrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from cfgtrain.errors import ArgumentTypeError
from cfgtrain.metrics.inputs import as_tensor
from cfgtrain.metrics.metric import Metric
from cfgtrain.registries import METRICS
from cfgtrain.score_order import Rule

__all__ = ["TorchMetric"]

_METHODS = ("update", "compute", "reset")


@METRICS.register_module()
class TorchMetric(Metric):
    """A metric with ``update(preds, target)``, ``compute()`` and ``reset()``, as torchmetrics has them.

    The predictions and targets are passed as tensors on the CPU. The score is named after the class, unless
    ``compute`` returns a dict. An evaluation with several processes needs its ``merge_state``.

    Args:
        metric: The metric, or its config, such as ``dict(type="torchmetrics.MeanSquaredError")``. In the ``metrics``
            of an evaluation such a config can also stand alone, without this class.
        target: As for ``Metric``.

    Raises:
        ArgumentTypeError: It does not have these methods.
    """

    def __init__(self, metric: Any, target: str | int | None = None) -> None:
        self.metric = METRICS.build(metric) if isinstance(metric, Mapping) else metric
        missing = [name for name in _METHODS if not callable(getattr(self.metric, name, None))]
        if missing:
            raise ArgumentTypeError(
                f"{type(self.metric).__name__} cannot be used as a metric: it has no {' and no '.join(missing)}."
            )
        if hasattr(self.metric, "sync_on_compute"):
            self.metric.sync_on_compute = (
                False  # the states are merged in the main process, which alone computes
            )
        super().__init__(target)

    def reset(self) -> None:
        """Forget all batches."""
        self.metric.reset()

    def update(self, predictions: Any, batch: Any) -> None:
        """Add a batch."""
        self.metric.update(as_tensor(predictions).cpu(), as_tensor(self.targets_of(batch)).cpu())

    def compute(self) -> dict[str, Any]:
        """Return the score by the name of the class, or the dict that the metric returns."""
        score = self.metric.compute()
        return dict(score) if isinstance(score, Mapping) else {type(self.metric).__name__: score}

    def merge(self, others: Iterable[Self]) -> None:
        """Add the batches of other metrics.

        Raises:
            ArgumentTypeError: The metric has no ``merge_state``.
        """
        for other in others:
            if not hasattr(self.metric, "merge_state"):
                raise ArgumentTypeError(
                    f"{type(self.metric).__name__} has no merge_state, which an evaluation with several processes needs."
                )
            self.metric.merge_state(other.metric)

    def rule_of(self, name: str) -> Rule | None:
        """Return the rule that ``higher_is_better`` of the metric gives, if it says so."""
        higher = getattr(self.metric, "higher_is_better", None)
        return None if higher is None else "greater" if higher else "less"
