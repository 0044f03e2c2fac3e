"""The values of metrics, compared with their formulas."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cfgtrain.metrics import (
    F1,
    MAE,
    MSE,
    R2,
    RMSE,
    Accuracy,
    ConfusionMatrix,
    Metric,
    MultiLabelMAP,
    Perplexity,
    Precision,
    Recall,
)

RNG = np.random.default_rng(0)
CLASSES = 5
SCORES = RNG.random((60, CLASSES)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES - 1, 60)  # the last class is never a target
PREDICTED = SCORES.argmax(axis=1)
TAGS = RNG.integers(0, 2, (60, CLASSES)).astype(np.float32)
VALUES = RNG.normal(1000, 2, (60, 2))
GUESSES = VALUES + RNG.normal(0, 1, (60, 2))
PROBABILITIES = SCORES.reshape(15, 4, CLASSES) / SCORES.reshape(15, 4, CLASSES).sum(axis=2, keepdims=True)
TOKENS = LABELS.reshape(15, 4)


def top(k: int) -> float:
    return float(
        np.mean([label in np.argsort(-score)[:k] for score, label in zip(SCORES, LABELS, strict=True)])
    )


def of_classes(score: Callable[[int, int, int], float]) -> list[float]:
    """Return the score of each class, from its true positives, false positives and false negatives."""
    found = []
    for each in range(CLASSES):
        right = int(((each == PREDICTED) & (each == LABELS)).sum())
        found.append(
            score(right, int((each == PREDICTED).sum()) - right, int((each == LABELS).sum()) - right)
        )
    return found


def precision(tp: int, fp: int, fn: int) -> float:
    return tp / (tp + fp)


def recall(tp: int, fp: int, fn: int) -> float:
    return tp / (tp + fn) if tp + fn else 0.0


def f1(tp: int, fp: int, fn: int) -> float:
    return tp / (tp + (fp + fn) / 2)


def average_precision(scores: Any, tags: Any) -> float:
    """Return the sum of precision times gained recall, over the samples in the order of their scores."""
    order = np.argsort(-scores)
    hits = tags[order].cumsum()
    return float((hits / np.arange(1, len(order) + 1) * tags[order]).sum() / tags.sum())


def squared_sums() -> tuple[Any, Any]:
    return ((VALUES - GUESSES) ** 2).sum(axis=0), ((VALUES - VALUES.mean(axis=0)) ** 2).sum(axis=0)


# metric, predictions, targets, scores
CASES: list[tuple[Metric, Any, Any, dict[str, Any]]] = [
    (Accuracy(), SCORES, LABELS, {"accuracy": float((PREDICTED == LABELS).mean())}),
    (Accuracy(topk=(1, 3)), SCORES, LABELS, {"accuracy": top(1), "accuracy_top3": top(3)}),
    (Precision(), SCORES, LABELS, {"precision": np.mean(of_classes(precision))}),
    (Recall(), SCORES, LABELS, {"recall": np.mean(of_classes(recall))}),
    (F1(), SCORES, LABELS, {"f1": np.mean(of_classes(f1))}),
    (Precision("micro"), SCORES, LABELS, {"precision": top(1)}),
    (Recall("micro"), SCORES, LABELS, {"recall": top(1)}),
    (F1("micro"), SCORES, LABELS, {"f1": top(1)}),
    (F1(None), SCORES, LABELS, {f"f1_{i}": score for i, score in enumerate(of_classes(f1))}),
    (Precision("micro", threshold=0.6), SCORES, TAGS,
     {"precision": float(TAGS[SCORES >= 0.6].sum() / (SCORES >= 0.6).sum())}),
    (Recall("micro"), SCORES, TAGS, {"recall": float((TAGS * (SCORES >= 0.5)).sum() / TAGS.sum())}),
    (ConfusionMatrix(), SCORES, LABELS, {"confusion_matrix": [
        [int(((i == LABELS) & (j == PREDICTED)).sum()) for j in range(CLASSES)] for i in range(CLASSES)]}),
    (MultiLabelMAP(bins=1_000_000), SCORES, TAGS,
     {"mAP": np.mean([average_precision(SCORES[:, i], TAGS[:, i]) for i in range(CLASSES)])}),
    (MAE(), GUESSES, VALUES, {"mae": np.abs(GUESSES - VALUES).mean()}),
    (MSE(), GUESSES, VALUES, {"mse": ((GUESSES - VALUES) ** 2).mean()}),
    (RMSE(), GUESSES, VALUES, {"rmse": math.sqrt(((GUESSES - VALUES) ** 2).mean())}),
    (R2(), GUESSES, VALUES, {"r2": np.mean(1 - squared_sums()[0] / squared_sums()[1])}),
    (Perplexity(), PROBABILITIES, TOKENS,
     {"perplexity": math.exp(-np.log(np.take_along_axis(PROBABILITIES, TOKENS[:, :, None], 2)).mean())}),
]  # fmt: skip
IDS = [f"{type(metric).__name__}-{i}" for i, (metric, *_) in enumerate(CASES)]


def fed(metric: Metric, predictions: Any, targets: Any, start: int, stop: int, size: int) -> Metric:
    """Return a copy of a metric that was updated with some samples in batches of a size."""
    metric = copy.deepcopy(metric)
    for i in range(start, stop, size):
        part = slice(i, min(i + size, stop))
        metric.update(torch.tensor(predictions[part]), {"gt_label": torch.tensor(targets[part])})
    return metric


@pytest.mark.parametrize(("metric", "predictions", "targets", "scores"), CASES, ids=IDS)
@pytest.mark.parametrize("size", [7, 60])
def test_values(metric: Metric, predictions: Any, targets: Any, scores: dict[str, Any], size: int) -> None:
    """The scores are those of the formulas, for any size of the batches."""
    computed = fed(metric, predictions, targets, 0, len(targets), size).compute()
    assert list(computed) == list(scores)
    for name, score in scores.items():
        np.testing.assert_allclose(computed[name], score, rtol=1e-6)


@pytest.mark.parametrize(("metric", "predictions", "targets", "scores"), CASES, ids=IDS)
def test_merged_metrics(metric: Metric, predictions: Any, targets: Any, scores: dict[str, Any]) -> None:
    """Metrics of other processes, which are pickled, give the scores of all samples; one may have no samples."""
    count = len(targets)
    parts = [fed(metric, predictions, targets, *span, 4) for span in ((0, 5), (5, 5), (5, count))]
    first = fed(metric, predictions, targets, 0, 0, 4)
    first.merge(pickle.loads(pickle.dumps(parts)))
    for name, score in scores.items():
        np.testing.assert_allclose(first.compute()[name], score, rtol=1e-6)


@pytest.mark.parametrize(("metric", "predictions", "targets", "scores"), CASES, ids=IDS)
def test_reset(metric: Metric, predictions: Any, targets: Any, scores: dict[str, Any]) -> None:
    """After a reset a metric is as a new one, whose numbers are NaN."""
    used = fed(metric, predictions, targets, 0, 3, 3)
    used.reset()
    values = used.compute().values()
    assert all(value == [] or math.isnan(value) for value in values)
    used.update(torch.tensor(predictions), {"gt_label": torch.tensor(targets)})
    name = next(iter(scores))
    np.testing.assert_allclose(used.compute()[name], scores[name], rtol=1e-6)


@pytest.mark.parametrize(("metric", "predictions", "targets", "scores"), CASES, ids=IDS)
def test_score_names(metric: Metric, predictions: Any, targets: Any, scores: dict[str, Any]) -> None:
    """The names that a metric knows before are those of its numbers; those of classes are not known."""
    numbers = [name for name, score in scores.items() if not isinstance(score, list)]
    assert metric.score_names() == (None if "f1_0" in numbers else numbers)


def test_default_bins_are_close_to_the_exact_precision() -> None:
    """With the default bins, mAP of saturated probabilities differs by less than 0.001 from that of all thresholds."""
    tags = (RNG.random((4000, 3)) < 0.2).astype(np.float32)
    scores = 1 / (1 + np.exp(-(RNG.normal(0, 3, (4000, 3)) + 4 * tags)))
    exact = np.mean([average_precision(scores[:, i], tags[:, i]) for i in range(3)])
    assert MultiLabelMAP().compute() == pytest.approx({"mAP": math.nan}, nan_ok=True)
    assert fed(MultiLabelMAP(), scores, tags, 0, 4000, 500).compute()["mAP"] == pytest.approx(exact, abs=1e-3)


def test_memory_does_not_grow() -> None:
    """The state of every metric is as large after many batches as after one."""
    for metric, predictions, targets, _ in CASES:
        sizes = [len(pickle.dumps(fed(metric, predictions, targets, 0, stop, 2))) for stop in (2, 10)]
        assert sizes[1] <= sizes[0] + 16, metric


def test_r2_of_large_targets() -> None:
    """The mean of the targets does not cost precision: 1e9 is added to targets that differ by 1e-3."""
    values = np.linspace(0, 1, 50)[:, None]
    shifted = fed(R2(), values + 1e9 + 0.1, values + 1e9, 0, 50, 7).compute()["r2"]
    assert shifted == pytest.approx(fed(R2(), values + 0.1, values, 0, 50, 7).compute()["r2"], rel=1e-5)


def test_r2_of_equal_targets() -> None:
    """R2 is undefined for targets that are all equal."""
    assert math.isnan(fed(R2(), np.ones(4), np.ones(4), 0, 4, 2).compute()["r2"])
