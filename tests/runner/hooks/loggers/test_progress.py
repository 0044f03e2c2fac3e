from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Scalar, make_runner, numbers

from cfgtrain.runner import EvalHook, Hook, ProgressHook
from cfgtrain.runner.hooks.loggers import progress


class Bar:
    """Replaces the bar on the terminal and records its updates."""

    bars: list[Bar]

    def __init__(self, total: int, done: int = 0) -> None:
        self.begun = (total, done)
        self.updates: list[Any] = []
        self.stopped = False
        Bar.bars.append(self)

    def update(self, *shown: Any) -> None:
        self.updates.append(shown)

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """The bars that are shown, updated in each iteration."""
    Bar.bars = []
    monkeypatch.setattr(progress, "LiveProgress", Bar)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_UPDATES", 0)
    return Bar.bars


def test_bar_is_updated(bars: list[Bar]) -> None:
    """The bar shows iterations, epoch, learning rate, and the loss that was logged last."""
    runner = make_runner("epoch", 2)
    runner.register_hook(ProgressHook(), "LOWEST")
    runner.register_logger_hooks({"interval": 2, "hooks": [{"type": "TextLoggerHook"}]})
    runner.run([numbers(2)], [("train", 1)])
    (bar,) = bars
    assert bar.begun == (4, 0)
    assert bar.updates == [
        (1, "epoch 1/2", {"lr": 0.1}),
        (2, "epoch 1/2", {"loss": 0.5, "lr": 0.1}),
        (3, "epoch 2/2", {"loss": 0.5, "lr": 0.1}),
        (4, "epoch 2/2", {"loss": 0.5, "lr": 0.1}),
    ]
    assert bar.stopped


def test_bar_of_an_iteration_run_with_several_optimizers(bars: list[Bar]) -> None:
    """Without ``max_epochs`` only the current epoch is shown; of several optimizers, the first one."""
    model = Scalar()
    optimizers = {name: torch.optim.SGD(model.parameters(), lr=lr) for name, lr in (("a", 0.3), ("b", 2.0))}
    runner = make_runner("iter", 1, model, optimizer=optimizers)
    runner.register_hook(ProgressHook())
    runner.run([numbers(2)], [("train", 1)])
    assert bars[0].updates == [(1, "epoch 1", {"lr": 0.3})]


def test_bar_is_updated_at_intervals(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast iterations do not update the bar each time."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_UPDATES", 3600)
    monkeypatch.setattr(progress, "perf_counter", lambda: 1e6)
    runner = make_runner("iter", 5)
    runner.register_hook(ProgressHook())
    runner.run([numbers(2)], [("train", 1)])
    assert len(bars[0].updates) == 1


def test_bar_is_removed_after_an_error(bars: list[Bar]) -> None:
    """A run that fails removes its bar."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: 1 / 0
    runner = make_runner("iter", 1, model)
    runner.register_hook(ProgressHook())
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(2)], [("train", 1)])
    assert bars[0].stopped


def test_nothing_is_shown_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """If stderr is not a terminal, a run with progress prints nothing."""
    runner = make_runner("iter", 2)
    runner.register_hook(ProgressHook())
    runner.run([numbers(2)], [("train", 1)])
    assert capsys.readouterr() == ("", "")


class Digits:
    """The loader of an evaluation, and its dataset: the score grows with each evaluation."""

    def __init__(self) -> None:
        self.score = 0.0

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter([0])

    @property
    def dataset(self) -> Digits:
        return self

    def evaluate(self, results: Any, logger: Any = None) -> dict[str, float]:
        self.score += 0.25
        return {"acc": self.score}


@pytest.fixture
def table(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train a ``Scalar`` on a terminal of 80 columns; return the words of each line of the table."""
    lines: list[str] = []
    monkeypatch.setattr(progress, "terminal_width", lambda: 80)
    monkeypatch.setattr(
        progress, "print_styled", lambda line: lines.append("".join(text for text, _ in line))
    )

    def call(
        kind: str,
        length: int,
        workflow: Any = (("train", 1),),
        batches: int = 4,
        evaluation: dict[str, Any] | None = None,
        log: dict[str, Any] | None = None,
        hooks: Any = (),
        save: bool = False,
    ) -> list[list[str]]:
        runner = make_runner(kind, length, work_dir="run", meta={})
        runner.register_optimizer_hook(None)
        runner.register_checkpoint_hook(
            {"interval": 2, "save_last": False, "by_epoch": kind == "epoch"} if save else None
        )
        logger = {"type": "TextLoggerHook", "by_epoch": kind == "epoch"}
        runner.register_logger_hooks(log if log is not None else {"interval": 2, "hooks": [logger]})
        if evaluation is not None:
            hook = EvalHook(Digits(), test_fn=lambda model, loader: [0], **evaluation)
            runner.register_hook(hook, "LOW")
        for each in hooks:
            runner.register_hook(each)
        runner.register_hook(ProgressHook(any(mode == "val" for mode, _ in workflow)))
        runner.run([numbers(batches)] * len(workflow), list(workflow))
        assert bars[-1].stopped
        return [[word for word in line.split() if word not in ("0.0", "s")] for line in lines]

    return call


EPOCH = ["epoch", "lr", "loss", "time"]


def test_row_per_epoch(table: Any) -> None:
    """The loss is the average over the epoch, not over the interval of the log."""
    assert table("epoch", 2, save=True) == [
        ["train"], EPOCH,
        ["1/2", "1.00e-01", "1.5000"],
        ["2/2", "1.00e-01", "1.5000", "saved"],
    ]  # fmt: skip


@pytest.mark.parametrize("log", [None, {"hooks": []}])
def test_row_with_an_evaluation(table: Any, log: Any) -> None:
    """Its scores are in the row of its epoch, and a new best is marked; also without a logger."""
    rows = table("epoch", 3, evaluation={"interval": 2, "save_best": "acc", "rule": "greater"}, log=log)
    assert [row for row in rows if row[0][1:] == "/3"] == [
        ["1/3", "1.00e-01", "1.5000"],
        ["2/3", "1.00e-01", "1.5000", "0.2500", "best"],
        ["3/3", "1.00e-01", "1.5000", "-"],
    ]
    assert rows.count([*EPOCH[:3], "acc", "time"]) == 1


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_row_per_evaluation_between_iterations(table: Any, kind: str) -> None:
    """The averages are over the iterations since the last evaluation."""
    length = 2 if kind == "epoch" else 8
    rows = table(kind, length, evaluation={"interval": 3, "by_epoch": False})
    assert rows[2:] == [
        ["3/8", "1.00e-01", "1.0000", "0.2500"],
        ["6/8", "1.00e-01", "1.3333", "0.5000"],
    ]


def test_initial_evaluation(table: Any) -> None:
    """An evaluation before the first epoch has a row without training values."""
    rows = table("epoch", 1, evaluation={"start": 0, "interval": 1})
    assert [row for row in rows if row[0] in ("0/1", "1/1")] == [
        ["0/1", "0.2500"], ["1/1", "1.00e-01", "1.5000", "0.5000"],
    ]  # fmt: skip


def test_row_per_interval_in_an_iteration_run(table: Any) -> None:
    """Without an evaluation there is a row for each line of the log."""
    assert table("iter", 4)[2:] == [["2/4", "1.00e-01", "0.5000"], ["4/4", "1.00e-01", "2.5000"]]


@pytest.mark.parametrize(
    ("kind", "times", "first", "last"), [("epoch", 1, "1/2", "2/2"), ("iter", 4, "4/8", "8/8")]
)
def test_val_flow(table: Any, kind: str, times: int, first: str, last: str) -> None:
    """The averages of a val flow are in the row of the training before it."""
    rows = table(kind, 2 if kind == "epoch" else 8, [("train", times), ("val", times)])
    assert rows[2:] == [
        [first, "1.00e-01", "1.5000", "1.5000"],
        [last, "1.00e-01", "1.5000", "1.5000"],
    ]


class Flushing(Hook):
    """Logs something else in the middle of an epoch."""

    def after_train_iter(self, runner: Any) -> None:
        if runner.inner_iter == 1:
            runner.flush_logs()


def test_average_of_an_epoch_whose_log_was_flushed(table: Any) -> None:
    """It is still over the whole epoch."""
    assert table("epoch", 1, hooks=[Flushing()])[2:] == [["1/1", "1.00e-01", "1.5000"]]


def test_row_is_printed_after_a_failure(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of complete epochs are printed, the last one too."""

    class Failing(Hook):
        def after_train_iter(self, runner: Any) -> None:
            assert runner.iter < 5

    lines: list[Any] = []
    monkeypatch.setattr(progress, "terminal_width", lambda: 80)
    monkeypatch.setattr(progress, "print_styled", lines.append)
    runner = make_runner("epoch", 3)
    runner.register_hook(Failing())
    runner.register_hook(ProgressHook())
    with pytest.raises(AssertionError):
        runner.run([numbers(4)], [("train", 1)])
    assert len(lines) == 3
    assert "1/3" in lines[-1][0][0]
