from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from cfgtrain.errors import ArgumentError
from cfgtrain.metrics import F1, MAE, R2, Accuracy, ConfusionMatrix, MultiLabelMAP, Perplexity, Precision
from cfgtrain.metrics.metric import Metric

NAN = float("nan")
TWO = torch.tensor([[0.9, 0.1], [0.2, 0.8]])


# metric, predictions, targets, message
WRONG: list[tuple[Metric, Any, Any, str]] = [
    (Accuracy(), TWO, [0, 2], r"Accuracy got the target 2, and the predictions have the classes 0 to 1"),
    (F1(), TWO, [-1, 0], "F1 got the target -1"),
    (ConfusionMatrix(), TWO, [0.0, NAN], "class indices, and one of a batch is nan"),
    (Precision(), TWO, [0.5, 1.0], "class indices, and one of a batch is 0.5"),
    (Accuracy(), TWO, [0], r"the predictions of a batch have shape \(2, 2\), and its targets \(1,\)"),
    (Accuracy(), TWO, [[0, 1], [1, 0]], "belong to a multi-label metric, such as MultiLabelMAP"),
    (Accuracy(), torch.tensor([0, 1]), [0, 1], r"one score per class, \(B, num_classes\)"),
    (MultiLabelMAP(), TWO, [[0, 1], [NAN, 0]], "targets that are 0 or 1, and one of a batch is nan"),
    (MultiLabelMAP(), TWO, [0, 1], r"have shape \(2, 2\), and its targets \(2,\)"),
    (MultiLabelMAP(), TWO * 9, [[0, 1], [1, 0]], "probabilities, 0 to 1, and one of a batch is 8"),
    (MAE(), torch.ones(2), [1.0, NAN], "targets that are finite, and one of a batch is nan"),
    (R2(), torch.ones(2), [math.inf, 1], "one of a batch is inf"),
    (MAE(), torch.ones(2, 3), [1.0, 2.0], r"have shape \(2, 3\), and its targets \(2,\)"),
    (Perplexity(), TWO * -3, [0, 1], "needs predictions that are probabilities, 0 to 1, and one of a batch is -2.7\\.$"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "predictions", "targets", "message"), WRONG)
def test_wrong_values(metric: Metric, predictions: Any, targets: Any, message: str) -> None:
    """A value that cannot be scored is an error with the value."""
    with pytest.raises(ArgumentError, match=message):
        metric.update(predictions, {"gt_label": torch.tensor(targets)})


@pytest.mark.parametrize(
    "arguments",
    [{"topk": 0}, {"topk": ()}, {"topk": (1, 1)}, {"topk": 1.5}, {"target": 1.5}, {"ignore_index": "x"}],
)
def test_wrong_arguments_of_accuracy(arguments: dict[str, Any]) -> None:
    """An argument without a meaning is an error."""
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        Accuracy(**arguments)


def test_wrong_average() -> None:
    """An unknown average is an error with a suggestion."""
    with pytest.raises(
        ArgumentError, match=r"average must be 'macro', 'micro' or None.*Did you mean 'macro'"
    ):
        F1("marco")  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", ["last", "second"])
def test_dense_predictions(layout: str) -> None:
    """Scores for many places of a sample have their classes last, as a language model, or second, as a segmentation."""
    scores = torch.rand(2, 4, 5, 3)
    labels = scores.argmax(dim=3)
    labels[0, 0, 0] = (labels[0, 0, 0] + 1) % 3
    metric = Accuracy()
    metric.update(scores if layout == "last" else scores.movedim(3, 1), (None, labels))
    assert metric.compute() == {"accuracy": 39 / 40}


def test_columns_and_lists() -> None:
    """Labels may be a column, predictions a list of arrays, and a number per sample a column."""
    metric = Accuracy()
    metric.update(list(TWO.numpy()), {"target": torch.tensor([[0], [0]])})
    assert metric.compute() == {"accuracy": 0.5}
    error = MAE()
    error.update(torch.tensor([[1.0], [3.0]]), (None, np.array([1.0, 2.0])))
    assert error.compute() == {"mae": 0.5}


def test_ignored_labels() -> None:
    """Samples with ``ignore_index`` as their label are left out, also if it is not a class."""
    metric = Accuracy(ignore_index=-100)
    metric.update(TWO, {"gt_label": torch.tensor([0, -100])})
    assert metric.compute() == {"accuracy": 1.0}


def test_nan_predictions_are_wrong() -> None:
    """A sample whose scores have NaN counts as wrongly predicted, and is not in the confusion matrix."""
    scores = torch.tensor([[NAN, 0.1], [0.8, 0.2]])
    accuracy, matrix, precision = Accuracy((1, 2)), ConfusionMatrix(), Precision("micro")
    for metric in (accuracy, matrix, precision):
        metric.update(scores, {"gt_label": torch.tensor([0, 0])})
    assert accuracy.compute() == {"accuracy": 0.5, "accuracy_top2": 0.5}
    assert matrix.compute() == {"confusion_matrix": [[1, 0], [0, 0]]}
    assert precision.compute() == {"precision": 1.0}


def test_equal_scores() -> None:
    """Of equal scores, that of the lower class counts as the higher one."""
    metric = Accuracy()
    metric.update(torch.ones(2, 3), {"gt_label": torch.tensor([0, 1])})
    assert metric.compute() == {"accuracy": 0.5}


def test_number_of_classes_changes() -> None:
    """Predictions with another number of classes than before are an error."""
    metric = Accuracy()
    metric.update(TWO, (None, [0, 1]))
    with pytest.raises(ArgumentError, match="3 classes after predictions with 2"):
        metric.update(torch.ones(1, 3), (None, [0]))
    several = MultiLabelMAP()
    several.update(torch.ones(1, 2), (None, torch.ones(1, 2)))
    with pytest.raises(ArgumentError, match="3 classes after predictions with 2"):
        several.update(torch.ones(1, 3), (None, torch.ones(1, 3)))


def test_probability_of_zero() -> None:
    """The perplexity is infinite if a target has the probability 0."""
    metric = Perplexity()
    metric.update(torch.tensor([[[1.0, 0.0]]]), (None, [[1]]))
    assert metric.compute() == {"perplexity": math.inf}


def test_normalized_confusion_matrix() -> None:
    """Each row is divided by the number of samples of its class; a class without samples has zeros."""
    metric = ConfusionMatrix(normalize=True)
    metric.update(TWO, (None, [1, 1]))
    assert metric.compute() == {"confusion_matrix": [[0, 0], [0.5, 0.5]]}
