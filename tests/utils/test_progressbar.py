"""Tests of the text progress bar, with its exact output."""

from __future__ import annotations

import io
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cfgtrain.errors import ArgumentError, WorkerError
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
    with pytest.raises(AssertionError, match="num_tasks must be at least 1"):
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


def kill(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def leave(x: int) -> int:
    if x == 3:
        os._exit(4)
    return x


def leave_a_child(x: int) -> int:
    """End the worker while a process that it started still has its pipe."""
    if x == 3 and os.fork():
        os._exit(4)
    if x == 3:
        time.sleep(4)
        os._exit(0)
    return x


def call_exit(x: int) -> int:
    if x == 3:
        sys.exit("enough")
    return x


def interrupt(x: int) -> int:
    if x == 3:
        raise KeyboardInterrupt
    return x


class TwoArguments(Exception):
    """An exception that can be pickled but not unpickled."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)


class Unpicklable(Exception):
    """An exception that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot be pickled")


class UnreadablePickle:
    """An object that can be pickled but not unpickled."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def raise_two_arguments(x: int) -> None:
    if x == 3:
        raise TwoArguments("the reason", x)


def raise_unpicklable(x: int) -> None:
    if x == 3:
        raise Unpicklable("the reason")


def return_function(x: int) -> Any:
    return (lambda: x) if x == 3 else x


def return_unreadable(x: int) -> Any:
    return UnreadablePickle() if x == 3 else x


def die_in_answer(x: int) -> Any:
    """Kill the worker after it has written a part of its answer."""
    if x != 3:
        return x

    def send(connection: Any, data: Any) -> None:
        os.write(connection.fileno(), bytes(data)[:1000])
        os.kill(os.getpid(), signal.SIGKILL)

    multiprocessing.connection.Connection._send = send  # type: ignore[attr-defined]  # in the worker alone
    return bytes(100_000)


@pytest.mark.parametrize("chunksize", [1, 2])
@pytest.mark.parametrize(
    ("func", "text"),
    [
        (kill, r"was killed by SIGKILL while it computed tasks\[3\] \(3\)\. .*memory is full"),
        (leave, r"ended with exit code 4 while it computed tasks\[3\] \(3\)"),
        (leave_a_child, r"ended with exit code 4 while it computed tasks\[3\] \(3\)"),
        (die_in_answer, r"was killed by SIGKILL while it computed tasks\[3\] \(3\)"),
        (call_exit, r"(?s)tasks\[3\] \(3\) failed: it tried to end its worker process:.*SystemExit: enough"),
        (interrupt, r"(?s)tasks\[3\] \(3\) failed: it tried to end its worker process:.*KeyboardInterrupt"),
        (raise_two_arguments, r"(?s)tasks\[3\] \(3\) raised an exception that cannot be sent.*the reason"),
        (raise_unpicklable, r"(?s)tasks\[3\] \(3\) raised an exception that cannot be sent.*the reason"),
        (return_function, r"tasks\[3\] \(3\) failed: its result cannot be pickled: .*lambda"),
        (return_unreadable, r"result of tasks\[3\] \(3\) cannot be read from its pickle: ValueError: .*'no number'"),
        (lambda x: x, r"The function cannot be sent to a worker process, .*lambda"),
    ],
)  # fmt: skip
def test_lost_workers_and_answers(func: Any, text: str, chunksize: int, out: io.StringIO) -> None:
    """A worker or an answer that is lost is an error that names the task, and no worker is left running."""
    with pytest.raises(WorkerError, match=text):
        track_parallel_progress(func, range(6), 2, chunksize=chunksize, file=out)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (lambda: 0, r"tasks\[1\] \(<function .*\) cannot be sent to a worker process"),
        (
            UnreadablePickle(),
            r"(?s)tasks\[1\] \(<.*UnreadablePickle.*\) failed: it cannot be read from its pickle",
        ),
    ],
)
def test_tasks_that_cannot_be_pickled(task: Any, text: str, out: io.StringIO) -> None:
    """A task that cannot be pickled, or unpickled in the worker, is an error that names it."""
    with pytest.raises(WorkerError, match=text):
        track_parallel_progress(str, [1, task], 2, file=out)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("initializer", "initargs", "text"),
    [
        (fail, (7,), r"(?s)The initializer failed in a worker process:.*ValueError: 7"),
        (sys.exit, (7,), r"(?s)The initializer failed in a worker process:.*SystemExit: 7"),
        (leave, (3,), "ended with exit code 4 before it was initialized"),
    ],
)
def test_failing_initializers(
    initializer: Any, initargs: tuple[Any, ...], text: str, out: io.StringIO
) -> None:
    """An initializer that fails or ends its process is an error, instead of new workers forever."""
    with pytest.raises(WorkerError, match=text):
        track_parallel_progress(plus_ten, [1, 2], 2, initializer, initargs, file=out)
    assert multiprocessing.active_children() == []


def interrupt_the_parent(x: int) -> None:
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)


def test_ctrl_c(out: io.StringIO) -> None:
    """Ctrl-C is raised in the main process at once, and no worker is left running."""
    with pytest.raises(KeyboardInterrupt):
        track_parallel_progress(interrupt_the_parent, [1], 2, file=out)
    assert multiprocessing.active_children() == []


def set_offset(value: int) -> None:
    global offset
    offset = value


def plus_offset(x: int) -> int:
    return x + offset


def test_initializer(out: io.StringIO) -> None:
    """The initializer is called in each worker, with its arguments."""
    assert track_parallel_progress(plus_offset, [1, 2, 3], 2, set_offset, (5,), file=out) == [6, 7, 8]


def test_error_of_a_task_has_a_note(out: io.StringIO) -> None:
    """The exception of a task names the task and has the traceback of the worker in a note."""
    with pytest.raises(ValueError, match="2") as caught:
        track_parallel_progress(fail, [2], 1, file=out)
    assert re.match(
        r"(?s)tasks\[0\] \(2\) failed in a worker process:\n.*in fail\n", caught.value.__notes__[0]
    )


def test_failing_task_list(out: io.StringIO) -> None:
    """What the iterable of the tasks raises is raised, and no worker is left running."""

    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        track_parallel_progress(plus_ten, (broken(), 2), 2, file=out)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("words", [{"nproc": 0}, {"nproc": 1, "chunksize": 0}])
def test_invalid_numbers(words: dict[str, int], out: io.StringIO) -> None:
    """There is at least one worker, and at least one task in a chunk."""
    with pytest.raises(ArgumentError, match="must be at least 1, not 0"):
        track_parallel_progress(plus_ten, [1], file=out, **words)  # type: ignore[arg-type]
