"""Tests of the text progress bar, with its exact output."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cfgtrain.utils import ProgressBar, track_iter_progress, track_parallel_progress, track_progress
from cfgtrain.utils import timer as timer_module

THREE = (
    "[   ] 0/3, elapsed: 0s, ETA:"
    "\r[>  ] 1/3, 1.0 task/s, elapsed: 1s, ETA:     2s"
    "\r[>> ] 2/3, 1.0 task/s, elapsed: 2s, ETA:     1s"
    "\r[>>>] 3/3, 1.0 task/s, elapsed: 3s, ETA:     0s\n"
)


class FakeClock:
    """Replaces ``perf_counter``."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(timer_module, "perf_counter", clock)
    monkeypatch.setenv("COLUMNS", "80")
    return clock


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def reset(out: io.StringIO) -> None:
    out.seek(0)
    out.truncate()


def test_unknown_total(clock: FakeClock, out: io.StringIO) -> None:
    """Without a total, the count and the speed are shown."""
    bar = ProgressBar(file=out)
    assert out.getvalue() == "completed: 0, elapsed: 0s"
    reset(out)
    clock.now += 1
    bar.update()
    assert out.getvalue() == "completed: 1, elapsed: 1s, 1.0 tasks/s"


def test_known_total(clock: FakeClock, out: io.StringIO) -> None:
    """With a total, a bar and the remaining time are shown."""
    bar = ProgressBar(10, bar_width=20, file=out)
    assert out.getvalue() == f"[{' ' * 20}] 0/10, elapsed: 0s, ETA:"
    reset(out)
    clock.now += 1
    bar.update()
    assert out.getvalue() == f"\r[>>{' ' * 18}] 1/10, 1.0 task/s, elapsed: 1s, ETA:     9s"
    reset(out)
    clock.now += 1.5
    bar.update(4)
    assert out.getvalue() == f"\r[{'>' * 10}{' ' * 10}] 5/10, 2.0 task/s, elapsed: 3s, ETA:     3s"


def test_late_start(clock: FakeClock, out: io.StringIO) -> None:
    """Before the start nothing is written and no time counts."""
    bar = ProgressBar(bar_width=20, start=False, file=out)
    assert out.getvalue() == ""
    clock.now += 5
    bar.start()
    clock.now += 1
    bar.update()
    assert out.getvalue() == "completed: 0, elapsed: 0scompleted: 1, elapsed: 1s, 1.0 tasks/s"


@pytest.mark.parametrize(("columns", "length"), [(80, 66), (30, 48), (60, 60), (1000, 66)])
def test_bar_fits_terminal(
    columns: int, length: int, clock: FakeClock, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar is shortened to fit the terminal, but has at least two characters."""
    monkeypatch.setenv("COLUMNS", str(columns))
    bar = ProgressBar(10, bar_width=20, file=out)
    reset(out)
    clock.now += 1
    bar.update()
    assert len(out.getvalue()) == length


def test_more_tasks_than_total(clock: FakeClock, out: io.StringIO) -> None:
    """A full bar stays full, and an elapsed time of 0 causes no division by zero."""
    bar = ProgressBar(2, bar_width=4, file=out)
    bar.update(3)
    assert out.getvalue().endswith("\r[>>>>] 3/2, inf task/s, elapsed: 0s, ETA:     0s")


@pytest.mark.parametrize("number", [0, -1])
def test_update_must_be_positive(number: int, out: io.StringIO) -> None:
    """An update by 0 or less raises an AssertionError, as in MMCV."""
    with pytest.raises(AssertionError, match="must be positive"):
        ProgressBar(file=out).update(number)


def test_default_file_is_current_stdout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar is written to the current sys.stdout, even if it was redirected later."""
    monkeypatch.setattr(sys, "stdout", redirected := io.StringIO())
    ProgressBar(3)
    assert redirected.getvalue().startswith("[")


@pytest.mark.parametrize("tasks", [[1, 2, 3], ((x for x in (1, 2, 3)), 3), (1, 2, 3), range(1, 4)])
def test_track_progress(tasks: Any, clock: FakeClock, out: io.StringIO) -> None:
    """The results are returned in a list, and the bar shows each task."""

    def work(x: int, plus: int) -> int:
        clock.now += 1
        return x + plus

    assert track_progress(work, tasks, bar_width=3, file=out, plus=10) == [11, 12, 13]
    assert out.getvalue() == THREE


@pytest.mark.parametrize("tasks", [[1, 2, 3], (iter((1, 2, 3)), 3)])
def test_track_iter_progress(tasks: Any, clock: FakeClock, out: io.StringIO) -> None:
    """A task counts as completed when the next one is requested."""
    seen = []
    for i, task in enumerate(track_iter_progress(tasks, bar_width=3, file=out)):
        assert f"{i}/3" in out.getvalue()
        assert f"{i + 1}/3" not in out.getvalue()
        clock.now += 1
        seen.append(task)
    assert seen == [1, 2, 3]
    assert out.getvalue() == THREE


@pytest.mark.parametrize("tasks", [3, iter([1]), ([1], 2.0, 3).__iter__(), None])
def test_tasks_without_length(tasks: Any) -> None:
    """Tasks without a length raise a TypeError before any work is done."""
    for track in (
        lambda t: track_progress(str, t),
        track_iter_progress,
        lambda t: track_parallel_progress(str, t, 1),
    ):
        with pytest.raises(TypeError, match="must have a length"):
            track(tasks)


def plus_ten(x: int) -> int:
    return x + 10


def fail(x: int) -> None:
    raise ValueError(x)


def numbers() -> Iterator[int]:
    yield from (1, 2, 3, 4)


@pytest.mark.parametrize("options", [{}, {"keep_order": False}, {"chunksize": 2}, {"skip_first": True}])
@pytest.mark.parametrize("tasks", [[1, 2, 3, 4], None])
def test_track_parallel_progress(tasks: Any, options: dict[str, Any], out: io.StringIO) -> None:
    """Two processes compute the results, in order if requested; skip_first excludes the first tasks."""
    results = track_parallel_progress(plus_ten, tasks or (numbers(), 4), 2, bar_width=4, file=out, **options)
    assert sorted(results) == [11, 12, 13, 14]
    assert options.get("keep_order", True) is False or results == sorted(results)
    number = 2 if "skip_first" in options else 4
    assert out.getvalue().count("\r") == number
    assert f"[>>>>] {number}/{number}" in out.getvalue()
    assert out.getvalue().endswith("\n")


def test_errors_in_parallel_tasks(out: io.StringIO) -> None:
    """The error of a task is raised, and initargs that are not a tuple raise a TypeError."""
    with pytest.raises(ValueError, match="1"):
        track_parallel_progress(fail, [1], 1, file=out)
    with pytest.raises(TypeError, match="initargs"):
        track_parallel_progress(plus_ten, [1], 1, initializer=print, initargs=[1], file=out)  # type: ignore[arg-type]
