"""A text progress bar for loops in scripts. A training run shows ``terminal.LiveProgress`` instead."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import closing
from typing import Any, TextIO, TypeVar

from cfgtrain.arguments import check_integer, check_type
from cfgtrain.errors import ArgumentTypeError
from cfgtrain.utils.timer import Timer
from cfgtrain.utils.workers import compute_in_workers

__all__ = ["ProgressBar", "track_iter_progress", "track_parallel_progress", "track_progress"]

T = TypeVar("T")
Tasks = Iterable[T] | tuple[Iterable[T], int]


class ProgressBar:
    """A text progress bar with the number of completed tasks, the speed and the estimated remaining time.

    Args:
        task_num: Total number of tasks; 0 if it is unknown.
        bar_width: Width of the bar in characters. On a narrow terminal the bar is shorter.
        start: Whether to call ``start`` at once.
        file: Stream to write to; by default ``sys.stdout``.
    """

    def __init__(
        self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: TextIO | None = None
    ) -> None:
        self.task_num = task_num
        self.bar_width = bar_width
        self.completed = 0
        self.file = sys.stdout if file is None else file
        self.timer = Timer(start=False)
        if start:
            self.start()

    @property
    def terminal_width(self) -> int:
        """Width of the terminal in columns."""
        return shutil.get_terminal_size().columns

    def start(self) -> None:
        """Show an empty bar and start the timer."""
        if self.task_num > 0:
            self._write(f"[{' ' * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:")
        else:
            self._write("completed: 0, elapsed: 0s")
        self.timer = Timer()

    def update(self, num_tasks: int = 1) -> None:
        """Add completed tasks and redraw the bar.

        Args:
            num_tasks: Number of tasks completed since the last call.

        Raises:
            ArgumentError: ``num_tasks`` is not positive.
        """
        self.completed += check_integer("num_tasks", num_tasks, 1)
        elapsed = self.timer.since_start()
        speed = self.completed / elapsed if elapsed > 0 else float("inf")
        seconds = int(elapsed + 0.5)
        if self.task_num <= 0:
            self._write(f"completed: {self.completed}, elapsed: {seconds}s, {speed:.1f} tasks/s")
            return
        part = min(self.completed / self.task_num, 1.0)
        eta = int(elapsed * (1 - part) / part + 0.5)
        counts = f" {self.completed}/{self.task_num}, {speed:.1f} task/s, elapsed: {seconds}s, ETA: {eta:5}s"
        room = self.terminal_width - len(f"\r[]{counts}")
        width = max(2, min(self.bar_width, room, int(self.terminal_width * 0.6)))
        self._write(f"\r[{'>' * int(width * part):{width}}]{counts}")

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


def track_progress(
    func: Callable[..., T], tasks: Tasks[Any], bar_width: int = 50, file: TextIO | None = None, **kwargs: Any
) -> list[T]:
    """Call ``func(task, **kwargs)`` for every task with a progress bar, and return the results.

    Args:
        func: The function, called in this process.
        tasks: An iterable with a length, or a tuple (iterable, length).
        bar_width: See ``ProgressBar``.
        file: See ``ProgressBar``.
        kwargs: Passed to ``func``.

    Raises:
        ArgumentTypeError: ``tasks`` has no length.
    """
    return [func(task, **kwargs) for task in track_iter_progress(tasks, bar_width, file)]


def track_iter_progress(tasks: Tasks[T], bar_width: int = 50, file: TextIO | None = None) -> Iterator[T]:
    """Yield every task with a progress bar. A task counts as completed when the next one is requested.

    Args:
        tasks: An iterable with a length, or a tuple (iterable, length).
        bar_width: See ``ProgressBar``.
        file: See ``ProgressBar``.

    Raises:
        ArgumentTypeError: ``tasks`` has no length.
    """
    items, count = _with_length(tasks)

    def iterate() -> Iterator[T]:
        bar = ProgressBar(count, bar_width, file=file)
        for task in items:
            yield task
            bar.update()
        bar.file.write("\n")

    return iterate()


def track_parallel_progress(
    func: Callable[[Any], T],
    tasks: Tasks[Any],
    nproc: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] | None = None,
    bar_width: int = 50,
    chunksize: int = 1,
    skip_first: bool = False,
    keep_order: bool = True,
    file: TextIO | None = None,
) -> list[T]:
    """Call ``func(task)`` for every task in several processes with a progress bar, and return the results.

    Args:
        func: The function. The function, the tasks and the results must be picklable.
        tasks: An iterable with a length, or a tuple (iterable, length).
        nproc: Number of worker processes.
        initializer: Called as ``initializer(*initargs)`` when a process starts.
        initargs: Arguments of ``initializer``.
        bar_width: See ``ProgressBar``.
        chunksize: Number of tasks that are sent to a process at a time.
        skip_first: Whether to exclude the first ``nproc * chunksize`` tasks, during which the processes start,
            from the bar and from the speed.
        keep_order: Whether to return the results in the order of the tasks instead of the order in which they
            are completed.
        file: See ``ProgressBar``.

    Raises:
        ArgumentTypeError: ``tasks`` has no length, or ``initargs`` is not a tuple.
        ArgumentError: ``nproc`` or ``chunksize`` is not positive.
        WorkerError: A worker process ended, ``initializer`` failed, or an object could not be pickled. The
            message names the task. No worker is left running.
        Exception: What ``func`` raised, with a note about the task.
    """
    check_type("initargs", initargs, tuple | None, "a tuple")
    items, count = _with_length(tasks)
    skipped = nproc * chunksize if skip_first else 0
    completed = compute_in_workers(func, items, nproc, initializer, initargs or (), chunksize)
    results: dict[int, T] = {}
    with closing(completed):
        bar = ProgressBar(count - skipped, bar_width, start=not skip_first, file=file)
        for number, result in completed:
            results[number] = result
            if len(results) > skipped:
                bar.update()
            elif len(results) == skipped:
                bar.start()
    bar.file.write("\n")
    return [results[number] for number in sorted(results)] if keep_order else [*results.values()]


def _with_length(tasks: Tasks[T]) -> tuple[Iterable[T], int]:
    """Return the tasks and their number."""
    given: Any = tasks
    match given:
        case (Iterable() as items, int() as count) if isinstance(given, tuple):
            return items, count
    if isinstance(given, Iterable) and isinstance(given, Sized):
        return given, len(given)
    raise ArgumentTypeError(f"tasks must have a length or be a tuple (iterable, length), not {tasks!r}.")
