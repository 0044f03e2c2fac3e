"""Evaluations with metrics, and with losses as scores."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tiny import TO_TENSORS, Squares, TinyNet, make_runner, squares_loader
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from cfgtrain.data.builder import build_dataloader
from cfgtrain.errors import ArgumentError, ArgumentTypeError, HookError
from cfgtrain.metrics import Accuracy
from cfgtrain.runner import EarlyStoppingHook, EvalHook


class Unscored(Squares):
    """A dataset without ``evaluate``."""

    evaluate = None  # type: ignore[assignment]


class NetWithLoss(TinyNet):
    """Returns the loss with the predictions."""

    def forward_with_loss(self, img: Tensor, gt_label: Tensor) -> Any:
        scores = self(img, return_loss=False)
        return scores, {"loss": nn.functional.cross_entropy(scores, gt_label)}


def loader_of(dataset: Any = None) -> Any:
    return build_dataloader(dataset or Unscored(pipeline=TO_TENSORS), 5, shuffle=False)


def train(hook: EvalHook, model: nn.Module | None = None, epochs: int = 1, *hooks: Any) -> Any:
    runner = make_runner("epoch", epochs, model or TinyNet(), work_dir="run", meta={})
    runner.register_optimizer_hook({})
    runner.register_hook(hook, "LOW")
    for each in hooks:
        runner.register_hook(each)
    runner.register_logger_hooks({"hooks": [{"type": "TextLoggerHook", "interval": 3}]})
    runner.run([squares_loader()], [("train", 1)])
    return runner


def logged() -> dict[str, Any]:
    (file,) = Path("run").glob("*.log.json")
    return dict(json.loads(file.read_text().splitlines()[-1]))


def test_metrics_score_a_dataset_without_evaluate() -> None:
    """They are computed from all batches, numbers are logged, and the best checkpoint is kept by one of them."""
    hook = EvalHook(
        loader_of(), metrics=["F1", {"type": "Accuracy"}, "ConfusionMatrix"], save_best="accuracy"
    )
    runner = train(hook)
    data = Unscored()
    model = runner.model.eval()
    with torch.no_grad():
        scores = torch.cat([model(**batch, return_loss=False) for batch in loader_of()]).numpy()
    right = float((scores.argmax(axis=1) == np.array(data.labels)).mean())
    assert hook.scores["accuracy"] == pytest.approx(right)
    assert list(hook.newest) == ["f1", "accuracy", "confusion_matrix"]
    assert logged()["accuracy"] == pytest.approx(right, abs=1e-4)
    assert "confusion_matrix" not in logged()
    assert [path.name for path in Path("run").glob("best*")] == ["best_accuracy_epoch_1.pth"]


def test_each_evaluation_begins_anew() -> None:
    """The samples of an earlier evaluation do not count."""
    hook = EvalHook(loader_of(), metrics=["ConfusionMatrix"])
    train(hook, None, 2)
    assert sum(map(sum, hook.newest["confusion_matrix"])) == 23


class Prediction(list[float]):
    """The scores of a sample; ``made`` has weak references to all of them."""

    made: ClassVar[list[weakref.ref[Prediction]]] = []

    def __init__(self, scores: list[float]) -> None:
        super().__init__(scores)
        self.made.append(weakref.ref(self))


class MostAtOnce:
    """A metric in the interface of torchmetrics: the greatest number of predictions that existed at once."""

    def update(self, preds: Any, target: Any) -> None:
        self.most = max(self.most, sum(each() is not None for each in Prediction.made))

    def compute(self) -> int:
        return self.most

    def reset(self) -> None:
        self.most = 0


@pytest.mark.parametrize("keeps", [False, True])
def test_predictions_are_kept_only_for_evaluate(keeps: bool) -> None:
    """Without arguments for ``evaluate`` of the dataset it is not called, and predictions of earlier batches are gone."""

    class Net(TinyNet):
        def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
            found = super().forward(img, gt_label, return_loss)
            return found if return_loss else [Prediction(each) for each in found.tolist()]

    class Own(Squares):
        def evaluate(self, results: Any, logger: Any = None, metric: str = "") -> Any:
            return {metric: len(results)}

    settings = {"metric": "count"} if keeps else {}
    hook = EvalHook(loader_of(Own(pipeline=TO_TENSORS)), metrics=[MostAtOnce()], **settings)
    train(hook, Net())
    if keeps:
        assert hook.scores == {"MostAtOnce": 23, "count": 23}
    else:
        assert hook.scores["MostAtOnce"] <= 10  # those of two batches


def test_rule_of_a_metric() -> None:
    """A metric knows whether greater scores are better, where the name does not say it; ``rule`` comes first."""
    assert EvalHook(loader_of(), metrics=["F1"], save_best="f1").rule == "greater"
    assert EvalHook(loader_of(), metrics=["MAE"], save_best="mae").rule == "less"
    assert EvalHook(loader_of(), metrics=["MAE"], save_best="mae", rule="greater").rule == "greater"


def test_losses_are_scores() -> None:
    """A dataset without ``evaluate`` is scored by the losses of the model; the smallest loss is the best one."""
    hook = EvalHook(loader_of(), save_best="loss")
    runner = train(hook, NetWithLoss(), 2, EarlyStoppingHook(monitor="loss"))
    assert (hook.save_best, hook.rule) == ("loss", "less")
    assert runner.meta["hook_msgs"]["best_score"] <= hook.losses["loss"]
    assert [path.name[:15] for path in Path("run").glob("best*")] == ["best_loss_epoch"]


def test_auto_prefers_scores_to_losses() -> None:
    """``auto`` is the first score, and only without scores a loss."""
    for metrics, name in ((["F1"], "f1"), (None, "loss")):
        hook = EvalHook(loader_of(), save_best="auto", metrics=metrics)
        train(hook, NetWithLoss())
        assert hook.save_best == name


def test_nothing_to_score() -> None:
    """Without metrics, ``evaluate`` and losses there is an error before the run that says what to add."""
    with pytest.raises(ArgumentTypeError, match=r"Unscored has none. Add metrics.*forward_with_loss"):
        train(EvalHook(loader_of()))
    with pytest.raises(
        ArgumentTypeError, match=r"would pass 'metrc': Unscored has none. Did you mean 'metrics'"
    ):
        train(EvalHook(loader_of(), metrc=["F1"]), NetWithLoss())


def test_save_best_is_checked_before_the_run() -> None:
    """A score that no metric has is an error; a loss only if the model returns losses."""
    with pytest.raises(HookError, match=r"'acuracy', and the scores are accuracy. Did you mean"):
        train(EvalHook(loader_of(), metrics=["Accuracy"], save_best="acuracy"))
    with pytest.raises(HookError, match="'loss', and the scores are accuracy"):
        train(EvalHook(loader_of(), metrics=["Accuracy"], save_best="loss"))
    with pytest.raises(
        HookError, match=r"'acuracy', and the scores are accuracy, loss. Did you mean 'accuracy'"
    ):
        train(EvalHook(loader_of(), metrics=["Accuracy"], save_best="acuracy"), NetWithLoss())


def test_score_with_two_sources() -> None:
    """A score that both a metric and ``evaluate`` of the dataset return is an error."""

    class Own(Squares):
        def evaluate(self, results: Any, logger: Any = None, metric: str = "") -> Any:
            return {metric: 1.0}

    hook = EvalHook(loader_of(Own(pipeline=TO_TENSORS)), metrics=["Accuracy"], metric="accuracy")
    with pytest.raises(ArgumentError, match="both have a score with the name 'accuracy'"):
        train(hook)


def test_custom_test_fn_needs_the_argument() -> None:
    """A function that predicts must update the metrics itself, so it needs them as an argument."""

    def without(model: Any, loader: Any) -> list[Any]:
        return []

    def updates(model: Any, loader: Any, metrics: Any) -> list[Any]:
        metrics.update(torch.eye(3), {"gt_label": torch.tensor([0, 1, 0])})
        return [1]

    with pytest.raises(ArgumentTypeError, match="needs a test_fn with an argument metrics"):
        EvalHook(loader_of(), metrics=["Accuracy"], test_fn=without)
    hook = EvalHook(loader_of(), metrics=["Accuracy"], test_fn=updates)
    train(hook)
    assert hook.scores == {"accuracy": pytest.approx(2 / 3)}


def test_batches_that_are_tuples() -> None:
    """Datasets of torch yield tuples: the model gets their items, and the last one is the target."""
    images, labels = torch.rand(7, 1, 6, 6), torch.arange(7) % 3

    class Net(TinyNet):
        def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> Any:
            return {"loss": self(*data), "log_vars": {}, "num_samples": len(data[0])}

    loader = build_dataloader(TensorDataset(images, labels), 4, shuffle=False)
    hook = EvalHook(loader, metrics=[Accuracy()])
    runner = make_runner("epoch", 1, Net())
    runner.register_hook(hook, "LOW")
    runner.run([loader], [("train", 1)])
    scores = runner.model.eval()(images, return_loss=False)
    assert hook.scores == {"accuracy": pytest.approx(float((scores.argmax(dim=1) == labels).float().mean()))}


def test_metrics_get_restored_units() -> None:
    """If the dataset has ``restore``, the metrics get predictions and targets in their original units."""

    class Standardized(Unscored):
        def restore(self, predictions: Any, batch: Any) -> Any:
            return predictions * 10, {**batch, "gt_label": batch["gt_label"] * 10}

    class Net(TinyNet):
        def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
            return super().forward(img, gt_label) if return_loss else torch.zeros(len(img))

    scores = []
    for dataset in (Unscored, Standardized):
        hook = EvalHook(loader_of(dataset(pipeline=TO_TENSORS)), metrics=["MAE"])
        train(hook, Net())
        scores.append(hook.scores["mae"])
    assert scores[1] == pytest.approx(10 * scores[0])
