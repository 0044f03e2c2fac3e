"""A live progress bar on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["LiveProgress", "log_console", "print_message", "print_styled", "terminal_width"]


@cache
def log_console() -> Console:
    """Return the shared console on stderr. Log lines and a live bar must use the same console."""
    return Console(stderr=True)


def print_message(text: str, level: int = logging.INFO) -> None:
    """Print a message on stderr; from the level of a warning on, it has a label.

    The label has a background colour, and the text has the colour of the terminal, so that both can be read on a
    light and on a dark background.
    """
    message = Text()
    if level >= logging.WARNING:
        is_error = level >= logging.ERROR
        message.append(
            "Error:" if is_error else "Warning:", "bold white on red" if is_error else "black on yellow"
        )
        message.append(" ")
    log_console().print(message.append(text), soft_wrap=True)


def terminal_width() -> int | None:
    """Return how many characters a line of the terminal on stderr has; None if stderr is not a terminal."""
    console = log_console()
    return console.width if console.is_terminal else None


def print_styled(line: Sequence[tuple[str, str]]) -> None:
    """Print a line on stderr, cut off at the width of the terminal.

    Args:
        line: Pieces of text, each with a style of rich.
    """
    log_console().print(Text.assemble(*line), no_wrap=True, overflow="crop", crop=True)


class LiveProgress:
    """A progress bar below the log lines. If stderr is not a terminal, nothing is shown.

    Args:
        total: Total number of steps, or None if it is unknown.
        done: Number of steps completed so far.
    """

    def __init__(self, total: int | None, done: int = 0) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}{task.fields[of]}"),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            console=log_console(),
            transient=True,
            disable=not log_console().is_terminal,
        )
        self._task = self._progress.add_task(
            "", total=total, completed=done, numbers="", of="" if total is None else f"/{total}"
        )
        self._progress.start()

    def update(self, done: int, description: str, numbers: dict[str, Any]) -> None:
        """Update the bar.

        Args:
            done: Number of steps completed so far.
            description: Text to the left of the bar.
            numbers: Names and values to the right of the bar.
        """
        shown = " ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        self._progress.update(self._task, completed=done, description=description, numbers=shown)

    def stop(self) -> None:
        """Remove the bar."""
        if not self._progress.disable:  # rich before 13.9 would print an empty line
            self._progress.stop()
