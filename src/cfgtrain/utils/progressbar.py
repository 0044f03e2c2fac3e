"""A progress bar of plain characters, for loops in scripts; a training shows ``utils.progress``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from multiprocessing import Pool
from typing import Any, TextIO, TypeVar

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.utils.timer import Timer

__all__ = ["ProgressBar", "track_iter_progress", "track_parallel_progress", "track_progress"]

T = TypeVar("T")
Tasks = Iterable[T] | tuple[Iterable[T], int]


class ProgressBar:
    """Shows how many tasks are done, how fast, and how long the rest will take.

    Args:
        task_num: How many there are; 0 if that is not known.
        bar_width: Characters of the bar where the terminal has room for them.
        start: Whether the clock starts at once; if not, ``start`` starts it.
        file: Where it is written; ``sys.stdout`` by default, which it is at that moment.
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
        """Columns of the terminal."""
        return shutil.get_terminal_size().columns

    def start(self) -> None:
        """Show an empty bar and start the clock."""
        if self.task_num > 0:
            self._write(f"[{' ' * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:")
        else:
            self._write("completed: 0, elapsed: 0s")
        self.timer = Timer()

    def update(self, num_tasks: int = 1) -> None:
        """Say that more tasks are done.

        Raises:
            ArgumentError: ``num_tasks`` is not above 0.
        """
        if num_tasks <= 0:
            raise ArgumentError(f"num_tasks is above 0, not {num_tasks!r}.")
        self.completed += num_tasks
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
    """Return ``func(task, **kwargs)`` of every task, showing a bar.

    Args:
        func: Called in this process.
        tasks: Something with a length, or (iterable, length).
        bar_width: Of the ``ProgressBar``.
        file: Of the ``ProgressBar``.
        kwargs: For ``func``.

    Raises:
        ArgumentTypeError: ``tasks`` has no length.
    """
    return [func(task, **kwargs) for task in track_iter_progress(tasks, bar_width, file)]


def track_iter_progress(tasks: Tasks[T], bar_width: int = 50, file: TextIO | None = None) -> Iterator[T]:
    """Yield every task, showing a bar; one counts as done when the next is asked for.

    Args:
        tasks: Something with a length, or (iterable, length).
        bar_width: Of the ``ProgressBar``.
        file: Of the ``ProgressBar``.

    Raises:
        ArgumentTypeError: ``tasks`` has no length.
    """
    items, number = _counted(tasks)

    def iterate() -> Iterator[T]:
        bar = ProgressBar(number, bar_width, file=file)
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
    """Return ``func(task)`` of every task, worked out by several processes, showing a bar.

    Args:
        func: Can be pickled, as its arguments and results can.
        tasks: Something with a length, or (iterable, length).
        nproc: How many processes.
        initializer: Called as ``initializer(*initargs)`` at the start of each.
        initargs: For ``initializer``.
        bar_width: Of the ``ProgressBar``.
        chunksize: Tasks that are handed to a process at a time.
        skip_first: Whether the first ``nproc * chunksize`` tasks, during which processes
            start, count neither for the speed nor for the bar.
        keep_order: Whether the results are in the order of the tasks.
        file: Of the ``ProgressBar``.

    Raises:
        ArgumentTypeError: ``tasks`` has no length, or ``initargs`` is no tuple.
    """
    if not isinstance(initargs, tuple | None):
        raise ArgumentTypeError(f"initargs is a tuple, not {initargs!r}.")
    items, number = _counted(tasks)
    skipped = nproc * chunksize if skip_first else 0
    results: list[T] = []
    with Pool(nproc, initializer, initargs or ()) as pool:
        bar = ProgressBar(number - skipped, bar_width, start=not skip_first, file=file)
        run = pool.imap if keep_order else pool.imap_unordered
        for result in run(func, items, chunksize):
            results.append(result)
            if len(results) > skipped:
                bar.update()
            elif len(results) == skipped:
                bar.start()
    bar.file.write("\n")
    return results


def _counted(tasks: Tasks[T]) -> tuple[Iterable[T], int]:
    """Return the tasks and how many there are."""
    given: Any = tasks
    match given:
        case (Iterable() as items, int() as number) if isinstance(given, tuple):
            return items, number
    if isinstance(given, Iterable) and isinstance(given, Sized):
        return given, len(given)
    raise ArgumentTypeError(f"tasks has a length, or is (iterable, length), not {tasks!r}.")
