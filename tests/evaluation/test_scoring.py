from __future__ import annotations

from typing import Any

import pytest
from tiny import LOGGER, TO_TENSORS, Squares, TinyNet
from torch import Tensor, nn

from cfgtrain.data.builder import build_dataloader
from cfgtrain.errors import ArgumentError
from cfgtrain.evaluation.scoring import evaluate
from cfgtrain.metrics import build_metrics


class Unscored(Squares):
    """A dataset without ``evaluate``."""

    evaluate = None  # type: ignore[assignment]


class NetWithLoss(TinyNet):
    """Returns the loss with the predictions."""

    def forward_with_loss(self, img: Tensor, gt_label: Tensor) -> Any:
        scores = self(img, return_loss=False)
        return scores, {"loss": nn.functional.cross_entropy(scores, gt_label)}


def loader_of(dataset: Any) -> Any:
    return build_dataloader(dataset, 5, shuffle=False)


def test_where_scores_come_from() -> None:
    """They are those of the metrics, else of ``evaluate`` of the dataset, else the losses."""
    model, metrics = NetWithLoss(), build_metrics(["F1"])
    scored, unscored = loader_of(Squares(pipeline=TO_TENSORS)), loader_of(Unscored(pipeline=TO_TENSORS))
    assert list(evaluate(model, scored, LOGGER, metrics=metrics)) == ["f1"]
    assert list(evaluate(model, scored, LOGGER)) == ["acc"]
    assert list(evaluate(model, unscored, LOGGER, metrics=metrics)) == ["f1"]
    assert list(evaluate(model, unscored, LOGGER)) == ["loss"]


def test_metrics_are_reset() -> None:
    """Batches of an earlier evaluation do not count."""
    metrics, loader = build_metrics(["ConfusionMatrix"]), loader_of(Squares(pipeline=TO_TENSORS))
    for _ in range(2):
        matrix = evaluate(TinyNet(), loader, LOGGER, metrics=metrics)["confusion_matrix"]
        assert sum(map(sum, matrix)) == 23


def test_no_samples() -> None:
    """A dataset without samples is an error, with metrics too."""
    with pytest.raises(ArgumentError, match="yields no batches"):
        evaluate(TinyNet(), loader_of(Unscored(0)), LOGGER, metrics=build_metrics(["F1"]))
