from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cfgtrain.errors import ArgumentError
from cfgtrain.experiment.predictions import ClassScore, OutputReader, Prediction
from cfgtrain.metrics import F1

ABC = {"classes": ["a", "b", "c"]}
PROBABILITIES = [[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]]


def read(outputs: Any, metainfo: dict[str, Any] = ABC, topk: int = 5) -> list[Prediction]:
    outputs = np.array(outputs) if isinstance(outputs, list) and isinstance(outputs[0], list) else outputs
    return OutputReader(metainfo, topk).read(outputs, ["x.png", "y.png"])


@pytest.mark.parametrize("kind", [torch.tensor, np.array, lambda rows: list(map(np.array, rows))])
def test_probabilities_are_classes_with_the_highest_first(kind: Any) -> None:
    """Names, indices and scores of the ``topk`` best classes, for tensors, arrays and lists."""
    first, second = read(kind(PROBABILITIES), topk=2)
    assert (first.class_name, first.index, first.score) == ("b", 1, pytest.approx(0.7))
    assert [each.name for each in first.top] == ["b", "c"]
    assert second.top == [ClassScore("a", 0, 0.5), ClassScore("b", 1, 0.25)]  # the first of equal ones first
    assert second.scores is not None
    assert second.scores.tolist() == PROBABILITIES[1]
    assert first.present is None


def test_low_precision() -> None:
    """Probabilities in bfloat16, whose sum is not exactly 1, are still those of exclusive classes."""
    scores = torch.tensor(PROBABILITIES, dtype=torch.bfloat16)
    assert [each.class_name for each in read(scores)] == ["b", "a"]
    assert read(scores)[0].present is None


def test_probabilities_that_do_not_sum_to_1_are_of_several_labels() -> None:
    """The classes with a probability of at least 0.5 are present: one, several or none."""
    first, second = read([[0.9, 0.2, 0.6], [0.1, 0.49, 0.0]])
    assert first.present == [ClassScore("a", 0, 0.9), ClassScore("c", 2, 0.6)]
    assert second.present == []
    assert first.as_dict()["classes"] == ["a", "c"]
    assert [each.name for each in second.top] == ["b", "a", "c"]


def test_the_first_batch_decides_whether_several_classes_can_be_present() -> None:
    """A later sample whose probabilities sum to 1 by chance is read like the others."""
    reader = OutputReader(ABC)
    reader.read(np.array([[0.9, 0.2, 0.6]]), ["x.png"])
    (later,) = reader.read(np.array([[0.6, 0.4, 0.0]]), ["y.png"])
    assert later.present == [ClassScore("a", 0, 0.6)]


@pytest.mark.parametrize(
    ("loss", "several"), [("BCEWithLogitsLoss", True), ("CrossEntropyLoss", False), ("MSELoss", True)]
)
@pytest.mark.parametrize("in_head", [True, False])
def test_the_loss_decides_whether_several_classes_can_be_present(
    loss: str, several: bool, in_head: bool
) -> None:
    """It is that of the model or of its head; with another loss, the first batch decides."""
    model, part = nn.Module(), nn.Module()
    model.head = part
    (part if in_head else model).loss = getattr(nn, loss)()
    for scores in [[0.6, 0.4, 0.0]] * (loss != "MSELoss") + [[0.6, 0.6, 0.0]]:
        (found,) = OutputReader(ABC, model=model).read(np.array([scores]), ["x.png"])
        assert (found.present is not None) == several


def test_scores_that_are_not_probabilities_rank_the_named_classes() -> None:
    """Scores before a softmax are used as they are, if their number is that of the names."""
    (first, _) = read([[-2.0, 5.5, 1.0], [0.0, 1.0, 2.0]])
    assert (first.class_name, first.score, first.present) == ("b", 5.5, None)


@pytest.mark.parametrize("metainfo", [{}, {"classes": ["a", "b"]}])
def test_without_matching_names_classes_are_indices(
    metainfo: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Probabilities without names, or with another number of names, are predicted by index, with a warning."""
    with caplog.at_level(logging.WARNING):
        first, _ = read(PROBABILITIES, metainfo)
    assert (first.class_name, first.index, first.top[0].label) == (None, 1, "1")
    assert "predicted by index" in caplog.text
    assert first.as_dict()["class"] is None


def test_numbers_are_values() -> None:
    """A number per sample is a value, with the name of the target if the checkpoint has it; vectors are several."""
    assert [each.values for each in read(torch.tensor([1.5, -2.0]), {})] == [{"value": 1.5}, {"value": -2.0}]
    targets = {"task": "regression", "targets": [{"name": "price"}]}
    assert read(np.array([[1.5], [2.5]]), targets)[1].values == {"price": 2.5}
    assert read(np.array([[1.5, 4], [2.5, 3]]), {})[0].values == {"0": 1.5, "1": 4}


def test_a_regression_is_never_read_as_classes() -> None:
    """Values that sum to 1 by chance are values, if the checkpoint is of a regression."""
    targets = {"task": "regression", "targets": [{"name": "x"}, {"name": "y"}]}
    assert read(np.array([[0.5, 0.5], [0.25, 0.75]]), targets)[1].values == {"x": 0.25, "y": 0.75}


def test_scores_that_are_not_finite_are_an_error_of_the_sample() -> None:
    """The other samples are read."""
    first, second = read([PROBABILITIES[0], [float("nan")] * 3])
    assert first.class_name == "b"
    assert second.error == "The model returns scores that are not finite."
    assert second.as_dict() == {"input": "y.png", "error": second.error}


def test_other_outputs_are_kept() -> None:
    """Arrays of more dimensions and dicts are split by sample, and are plain types in JSON."""
    outputs = {"boxes": torch.zeros(2, 3, 4), "labels": [[1, 2], [3]]}
    first, second = read(outputs)
    assert first.output["boxes"].shape == (3, 4)
    assert second.output["labels"] == [3]
    assert json.loads(json.dumps(first.as_dict()))["output"]["boxes"] == [[0.0] * 4] * 3
    assert read(np.zeros((2, 2, 2)))[0].output.shape == (2, 2)


def test_a_probability_of_exactly_the_threshold_is_present() -> None:
    """The prediction, the metrics and the score of the dataset agree on a probability of 0.5."""
    reader = OutputReader({"classes": ["a", "b", "c"]})
    (found,) = reader.read(torch.tensor([[0.5, 0.499, 0.9]]), ["x"])
    assert [each.name for each in found.present or ()] == ["c", "a"]
    metric = F1(average="micro")
    metric.update(torch.tensor([[0.5, 0.499, 0.9]]), {"gt_label": torch.tensor([[1, 0, 1]])})
    assert metric.compute() == {"f1": 1.0}


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (torch.zeros(2, 3), "Linear returned 2 predictions for a batch of 3 inputs."),
        ([[1.0]], "Linear returned 1 prediction for a batch of 3 inputs."),
        ({"scores": torch.zeros(4)}, "Linear returned 4 predictions for a batch of 3 inputs."),
        (torch.tensor(1.0), "Linear returned Tensor without a length for a batch of 3 inputs."),
        (None, "Linear returned NoneType without a length for a batch of 3 inputs."),
    ],
)
def test_another_number_of_outputs_is_an_error(outputs: Any, told: str) -> None:
    """It names the model and both numbers, and says what is wanted."""
    with pytest.raises(ArgumentError, match="one prediction for each input") as caught:
        OutputReader({}, model=nn.Linear(1, 1)).read(outputs, ["a", "b", "c"])
    assert caught.value.message == told
