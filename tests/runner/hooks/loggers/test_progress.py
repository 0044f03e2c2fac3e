from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Scalar, make_runner, numbers

from cfgtrain.runner import ProgressHook
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
