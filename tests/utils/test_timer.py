"""How long things take, by a clock that the tests turn themselves."""

from __future__ import annotations

import pytest

from cfgtrain.utils import Timer, TimerError, check_time
from cfgtrain.utils import timer as module


class Clock:
    """Stands for ``perf_counter``."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter", clock)
    monkeypatch.setattr(module, "_timers", {})
    return clock


def test_both_readings(clock: Clock) -> None:
    """One counts from the start, the other from the last reading of either."""
    timer = Timer()
    clock.now += 1
    assert timer.since_start() == 1
    clock.now += 2
    assert timer.since_last_check() == 2
    clock.now += 3
    assert (timer.since_start(), timer.since_last_check()) == (6, 0)


def test_starting_again_keeps_the_origin(clock: Clock) -> None:
    """A timer that runs goes on, and only the last reading is set back."""
    timer = Timer()
    clock.now += 1
    timer.start()
    clock.now += 1
    assert timer.since_last_check() == 1
    assert timer.since_start() == 2


def test_a_timer_that_does_not_run() -> None:
    """Asking it is an error."""
    timer = Timer(start=False)
    assert not timer.is_running
    for ask in (timer.since_start, timer.since_last_check):
        with pytest.raises(TimerError, match="start it first"):
            ask()


def test_a_block_is_timed(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """At its end the seconds of the whole block are printed, whoever asked in between, and the timer stops."""
    with Timer(print_tmpl="time: {:.1f}s") as timer:
        clock.now += 0.5
        timer.since_last_check()
        clock.now += 0.5
    assert capsys.readouterr().out == "time: 1.0s\n"
    assert not timer.is_running
    with Timer():
        clock.now += 0.25
    assert capsys.readouterr().out == "0.250\n"


def test_named_times(clock: Clock) -> None:
    """The first call with a name is 0, each later one counts from the one before."""
    assert (check_time("a"), check_time("b")) == (0, 0)
    clock.now += 1
    assert (check_time("a"), check_time("a"), check_time("b")) == (1, 0, 1)
