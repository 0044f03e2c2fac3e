from __future__ import annotations

from typing import Any

import pytest
from tiny import Recorder, make_runner, numbers

from cfgtrain.runner import EvalHook
from cfgtrain.runner.hooks import timer
from cfgtrain.runner.hooks.evaluation import eval_hook


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that only advances when it is called."""
    now = [0.0]
    for module in (timer, eval_hook):
        monkeypatch.setattr(module, "perf_counter", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


class Slow:
    """A loader that takes two seconds per batch."""

    def __init__(self, wait: Any) -> None:
        self.wait = wait

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        for batch in numbers(3):
            self.wait(2.0)
            yield batch


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_time_and_data_time(kind: str, clock: Any) -> None:
    """``data_time`` is the time of waiting for a batch, ``time`` that of the whole iteration."""
    runner = make_runner(kind, 1 if kind == "epoch" else 3)
    runner.register_timer_hook({})
    runner.register_hook(
        Recorder(lambda stage, r: clock(5.0) if stage == "before_train_iter" else None), "LOWEST"
    )
    runner.run([Slow(clock)], [("train", 1)])
    runner.log_buffer.average()
    output = runner.log_buffer.output
    assert (output["data_time"], output["time"]) == (2.0, 7.0)


def test_time_between_epochs_is_not_counted(clock: Any) -> None:
    """Time at the end of an epoch, for example of an evaluation, is not counted."""
    runner = make_runner("epoch", 2)
    runner.register_timer_hook({})
    runner.register_hook(Recorder(lambda stage, r: clock(60.0) if stage == "after_train_epoch" else None))
    runner.run([Slow(clock)], [("train", 1)])
    runner.log_buffer.average()
    assert runner.log_buffer.output["time"] == 2.0


@pytest.mark.parametrize("priority", ["VERY_HIGH", "LOWEST"])
def test_time_of_an_evaluation_is_not_counted(priority: str, clock: Any) -> None:
    """The time of an evaluation between iterations is not counted, whichever of the two hooks runs first."""
    runner = make_runner("iter", 3)
    runner.register_timer_hook({})
    loader = Slow(clock)
    loader.dataset = type("Data", (), {"evaluate": lambda *_, **__: {"acc": 1.0}})()  # type: ignore[attr-defined]
    hook = EvalHook(loader, interval=2, by_epoch=False, test_fn=lambda *_: clock(60.0) or [])
    runner.register_hook(hook, priority)
    runner.run([Slow(clock)], [("train", 1)])
    history = runner.log_buffer.val_history  # since the evaluation, which clears it
    assert history["time"][-1] == history["data_time"][-1] == 2.0
    assert all(time == 2.0 for time in history["time"])


def test_every_iteration_is_timed() -> None:
    """There is one pair of times per iteration."""
    runner = make_runner("epoch", 2)
    runner.register_timer_hook({})
    runner.run([numbers(3)], [("train", 1)])
    runner.log_buffer.average()
    history = runner.log_buffer.val_history
    assert len(history["time"]) == len(history["data_time"]) == 6
    assert all(0 <= data <= whole for data, whole in zip(history["data_time"], history["time"], strict=True))
