"""Tests of the timer, with a fake clock."""

from __future__ import annotations

import pytest

from cfgtrain.utils import Timer, TimerError, check_time
from cfgtrain.utils import timer as module


class FakeClock:
    """Replaces ``perf_counter``."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(module, "perf_counter", clock)
    monkeypatch.setattr(module, "_timers", {})
    return clock


def test_readings(clock: FakeClock) -> None:
    """One reading counts from the start, the other from the last reading of either kind."""
    timer = Timer()
    clock.now += 1
    assert timer.since_start() == 1
    clock.now += 2
    assert timer.since_last_check() == 2
    clock.now += 3
    assert (timer.since_start(), timer.since_last_check()) == (6, 0)


def test_starting_again_keeps_start_time(clock: FakeClock) -> None:
    """Starting a running timer resets only since_last_check."""
    timer = Timer()
    clock.now += 1
    timer.start()
    clock.now += 1
    assert timer.since_last_check() == 1
    assert timer.since_start() == 2


def test_timer_that_is_not_running() -> None:
    """Reading a timer that is not running raises an error."""
    timer = Timer(start=False)
    assert not timer.is_running
    for ask in (timer.since_start, timer.since_last_check):
        with pytest.raises(TimerError, match="start it first"):
            ask()


def test_with_block(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """At the end of a block its duration is printed, whatever was read inside, and the timer stops."""
    with Timer(print_tmpl="time: {:.1f}s") as timer:
        clock.now += 0.5
        timer.since_last_check()
        clock.now += 0.5
    assert capsys.readouterr().out == "time: 1.0s\n"
    assert not timer.is_running
    with Timer():
        clock.now += 0.25
    assert capsys.readouterr().out == "0.250\n"


def test_check_time(clock: FakeClock) -> None:
    """The first call with an id returns 0, later calls the time since the previous call."""
    assert (check_time("a"), check_time("b")) == (0, 0)
    clock.now += 1
    assert (check_time("a"), check_time("a"), check_time("b")) == (1, 0, 1)
