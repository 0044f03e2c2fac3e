from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Recorder, make_runner, numbers

from cfgtrain.runner import LrUpdaterHook
from cfgtrain.runner.hooks.schedules.slots import Slot
from cfgtrain.schedules import Curve

ITERS = 40


class Line(Curve):
    """From the base value down to 0; records the iterations that it is called for."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, base: float, at: int, total: int) -> float:
        self.calls.append(at)
        return base * (total - at)


def rates(change: Any = None, curve: Any = None) -> tuple[list[float], Line]:
    """Return the learning rate of each iteration; ``change(runner, hook)`` is called before each."""
    hook = LrUpdaterHook(by_epoch=False)
    hook.curve = line = curve or Line()
    runner = make_runner("iter", ITERS)
    if change is not None:
        runner.register_hook(
            Recorder(lambda stage, r: change(r, hook) if stage == "before_train_iter" else None), "HIGHEST"
        )
    recorder = Recorder(lambda stage, r: r.current_lr()[0] if stage == "before_train_iter" else None)
    runner.register_hook(hook, "HIGH")
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(10)], [("train", 1)])
    return recorder.seen, line


def test_curve_is_called_once_in_each_iteration() -> None:
    seen, line = rates()
    assert seen == [0.1 * (ITERS - at) for at in range(ITERS)]
    assert line.calls == list(range(ITERS))  # but not for iterations after the end of the run


def test_custom_function_is_called_in_each_iteration() -> None:
    calls = []

    def curve(base: float, at: int, total: int) -> float:
        calls.append(at)
        return base

    assert rates(curve=curve)[0] == [0.1] * ITERS
    assert calls == list(range(ITERS))


def test_new_initial_value_of_a_group_is_used_at_once() -> None:
    def double(runner: Any, hook: Any) -> None:
        if runner.iter == 20:
            runner.optimizer.param_groups[0]["initial_lr"] *= 2

    assert rates(double)[0] == [(0.1 if at < 20 else 0.2) * (ITERS - at) for at in range(ITERS)]


def test_new_curve_is_used_at_once() -> None:
    def replace(runner: Any, hook: Any) -> None:
        if runner.iter == 20:
            hook.curve = lambda base, at, total: 7.0

    assert rates(replace)[0] == [0.1 * (ITERS - at) if at < 20 else 7.0 for at in range(ITERS)]


def test_new_length_of_the_run_is_used_at_once() -> None:
    def shorten(runner: Any, hook: Any) -> None:
        if runner.iter == 20:
            runner._max_iters = 30

    assert rates(shorten)[0] == [0.1 * ((ITERS if at < 20 else 30) - at) for at in range(30)]


def test_learning_rate_that_becomes_a_tensor_is_changed_in_place() -> None:
    tensor = torch.tensor(0.0, dtype=torch.float64)

    def put(runner: Any, hook: Any) -> None:
        if runner.iter == 20:
            runner.optimizer.param_groups[0]["lr"] = tensor

    seen = rates(put)[0]
    assert seen[20] is tensor
    assert seen[-1] is tensor
    assert tensor.item() == pytest.approx(0.1)


def test_regular_values_are_available() -> None:
    values = []
    rates(lambda runner, hook: values.append(hook.regular_lr))
    assert values[1:] == [[0.1 * (ITERS - at)] for at in range(ITERS - 1)]


def test_custom_slot_writes_in_each_iteration() -> None:
    class Halved(Slot):
        def write(self, groups: Any, values: Any) -> None:
            super().write(groups, [value / 2 for value in values])

    assert rates(lambda runner, hook: setattr(hook, "slot", Halved("lr")))[0] == [
        0.1 * (ITERS - at) / 2 for at in range(ITERS)
    ]


def test_curve_is_not_called_after_the_end_of_a_stream() -> None:
    """If the length of a run is not known, the curve is called for the current iteration only."""

    class Table(Curve):
        def __call__(self, base: float, at: int, total: int) -> float:
            return base * [4, 3, 2, 1][at]

    class Stream:
        def __iter__(self) -> Any:
            return iter(numbers(4))

    hook = LrUpdaterHook(by_epoch=False)
    hook.curve = Table()
    runner = make_runner("epoch", 1)
    runner.register_hook(hook)
    runner.run([Stream()], [("train", 1)])
    assert runner.current_lr() == [0.1]
