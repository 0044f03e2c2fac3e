from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cfgtrain.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from cfgtrain.metrics import F1, Accuracy, Metric, build_metrics
from cfgtrain.metrics.tables import class_table, matrix_table

SCORES = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]])
BATCH = {"gt_label": torch.tensor([0, 1, 1])}


class LikeTorchmetrics:
    """A metric with the interface of torchmetrics, which is not installed: the mean of the predictions."""

    higher_is_better = False
    sync_on_compute = True

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.reset()

    def reset(self) -> None:
        self.seen: list[Tensor] = []

    def update(self, preds: Tensor, target: Tensor) -> None:
        assert len(preds) == len(target)
        self.seen.append(preds)

    def compute(self) -> Tensor:
        return torch.cat(self.seen).mean() + self.offset

    def merge_state(self, incoming: LikeTorchmetrics) -> None:
        self.seen += incoming.seen


def test_names_and_configs() -> None:
    """A metric is its name, its config, an import path or an object."""
    metrics = build_metrics(
        ["F1", {"type": "Accuracy", "topk": [1, 2]}, {"type": "cfgtrain.metrics.MAE"}, F1(None)]
    )
    assert [type(metric).__name__ for metric in metrics.metrics] == ["F1", "Accuracy", "MAE", "F1"]
    assert build_metrics(["F1", "Accuracy"]).score_names() == ["f1", "accuracy"]
    assert metrics.score_names() is None


def test_scores_of_all_metrics() -> None:
    """The scores of all metrics are one dict, and metrics of other processes are added one by one."""
    first, second = (build_metrics(["Accuracy", "ConfusionMatrix"]) for _ in range(2))
    first.update(SCORES, BATCH)
    second.update(SCORES[:1], {"gt_label": BATCH["gt_label"][:1]})
    first.merge([second])
    assert first.compute() == {"accuracy": 0.75, "confusion_matrix": [[2, 0, 0], [1, 1, 0], [0, 0, 0]]}
    first.reset()
    assert first.compute()["confusion_matrix"] == []


def test_wrong_metrics() -> None:
    """What is not a list of metrics, or gives two scores the same name, is an error."""
    with pytest.raises(ArgumentTypeError, match=r"metrics must be a list such as \['Accuracy'\], not 'F1'"):
        build_metrics("F1")
    with pytest.raises(UnknownNameError, match="Did you mean 'Accuracy'"):
        build_metrics(["Acuracy"])
    with pytest.raises(ArgumentError, match="Two metrics have a score with the name 'accuracy'"):
        build_metrics(["Accuracy", {"type": "Accuracy", "topk": (1, 5)}])
    with pytest.raises(
        ArgumentTypeError, match="int cannot be used as a metric: it has no update and no compute"
    ):
        build_metrics([3])
    methods = dict.fromkeys(("reset", "update", "compute", "merge"), lambda self: None)
    with pytest.raises(ArgumentTypeError, match=r"Mine does not inherit from Metric: .*class Mine\(Metric\)"):
        build_metrics([type("Mine", (), methods)()])


def test_which_scores_are_better() -> None:
    """A metric says whether greater scores are better; of unknown names that of the classes of F1 too."""
    metrics = build_metrics(["F1", "MAE"])
    assert (metrics.rule_of("f1"), metrics.rule_of("mae"), metrics.rule_of("loss")) == (
        "greater",
        "less",
        None,
    )
    assert build_metrics([F1(None), "MAE"]).rule_of("f1_3") == "greater"

    class Two(Accuracy):
        greater_is_better = {"a": False}  # noqa: RUF012

        def score_names(self) -> list[str]:
            return ["a", "b"]

    both = build_metrics([Two()])
    assert (both.rule_of("a"), both.rule_of("b")) == ("less", None)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_metric_with_the_interface_of_torchmetrics(wrapped: bool) -> None:
    """It is updated with tensors, and its score is named after its class; torchmetrics itself is not tested."""
    cfg: Any = {"type": LikeTorchmetrics, "offset": 1.0}
    metrics = build_metrics([{"type": "TorchMetric", "metric": cfg, "target": 1} if wrapped else cfg])
    batch = (SCORES, [0, 1, 1])
    metrics.update(list(SCORES.numpy()), batch)
    other = build_metrics([cfg])
    other.update(SCORES, batch)
    metrics.merge([other])
    assert metrics.compute() == {"LikeTorchmetrics": pytest.approx(1 + float(SCORES.mean()))}
    assert metrics.rule_of("LikeTorchmetrics") == "less"
    assert metrics.metrics[0].metric.sync_on_compute is False  # type: ignore[attr-defined]


def test_table_of_classes() -> None:
    """The columns of all metrics are one table, with the names of the classes; undefined scores are dashes."""
    metrics = build_metrics(["Accuracy", "Precision", "F1", "ConfusionMatrix"])
    assert metrics.tables() == ""
    metrics.update(SCORES, BATCH)
    assert metrics.tables(["cat", "dog"]).splitlines() == [
        "class  samples  accuracy  precision      f1",
        "cat          1    1.0000     0.5000  0.6667",
        "dog          2    0.5000     1.0000  0.6667",
        "2            0         -          -       -",
        "",
        "true \\ predicted  cat  dog  2",
        "cat                 1    0  0",
        "dog                 1    1  0",
        "2                   0    0  0",
    ]


def test_matrix_with_long_names() -> None:
    """Columns have the indices of classes if the names do not fit on a line."""
    names = [f"garment {i}" for i in range(10)]
    lines = matrix_table([[100 * i + j for j in range(10)] for i in range(10)], names).splitlines()
    assert lines[0].split() == ["true", "\\", "predicted", *map(str, range(10))]
    assert lines[2].split() == ["1", "garment", "1", *(str(100 + j) for j in range(10))]


def test_table_of_many_classes() -> None:
    """Of many classes the worst ones are shown, and a matrix that is too wide is left out."""
    scores = [i / 200 for i in range(200)]
    lines = class_table({"samples": [1] * 200, "recall": scores[::-1]}).splitlines()
    assert len(lines) == 52
    assert lines[1].split() == ["199", "1", "0.0000"]
    assert lines[-1] == "(50 of 200 classes, those with the lowest scores)"
    assert matrix_table([[0] * 60] * 60) == ""
    assert max(map(len, class_table({"recall": scores}, ["x" * 100] * 200).splitlines())) < 80


def test_a_custom_metric() -> None:
    """A subclass with the four methods is enough; its score names are then not known before."""

    class Count(Metric):
        def reset(self) -> None:
            self.samples = 0

        def update(self, predictions: Any, batch: Any) -> None:
            self.samples += len(self.targets_of(batch))

        def compute(self) -> dict[str, float]:
            return {"count": self.samples}

        def merge(self, others: Any) -> None:
            self.samples += sum(other.samples for other in others)

    metrics = build_metrics([{"type": Count}])
    metrics.update(SCORES, BATCH)
    assert metrics.score_names() is None
    assert metrics.compute() == {"count": 3}
    assert metrics.tables() == ""
