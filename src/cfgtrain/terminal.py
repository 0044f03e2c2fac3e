"""A live progress bar on the terminal."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from rich.theme import Theme

__all__ = ["LiveProgress", "log_console", "print_message", "print_styled", "terminal_width"]


# Colours of the live bar that can be read on a light and on a dark background.
_STYLES = {
    "bar.back": "bright_black",
    "bar.complete": "green",
    "bar.finished": "green",
    "progress.elapsed": "default",
    "progress.remaining": "default",
}
NARROW = 80  # columns; a terminal with fewer gets a shorter bar


@cache
def log_console() -> Console:
    """Return the shared console on stderr. Log lines and a live bar must use the same console."""
    return Console(stderr=True, theme=Theme(_STYLES))


def print_message(text: str, level: int = logging.INFO, indent: int = 0) -> None:
    """Print a message on stderr; from the level of a warning on, it has a label.

    On a terminal it is wrapped between words. The label has a background colour, and the text has the colour of
    the terminal, so that both can be read on a light and on a dark background.

    Args:
        text: The message.
        level: Level of its log record.
        indent: Indentation of the lines after the first one where a line is wrapped.
    """
    label, style = (
        ("Error: ", "bold white on red") if level >= logging.ERROR else ("Warning: ", "black on yellow")
    )
    if level < logging.WARNING:
        label = ""
    text = label + text
    width = terminal_width()
    if width is not None:
        lines = (_wrapped(line, width - 1, " " * indent) for line in text.split("\n"))
        text = "\n".join(lines)
    message = Text(text)
    message.stylize(style, 0, max(len(label) - 1, 0))
    log_console().print(message, soft_wrap=True)


def _wrapped(line: str, width: int, indent: str) -> str:
    lines = textwrap.wrap(
        line, max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


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


class _Bar(Progress):
    """A bar that leaves the end of its line free: a ``^C`` that the terminal shows there does not wrap the line."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bar, within its width."""
        yield Constrain(self.make_tasks_table(self.tasks), max(log_console().width - 3, 1))


class LiveProgress:
    """A progress bar below the log lines. If stderr is not a terminal, nothing is shown.

    Args:
        total: Total number of steps, or None if it is unknown.
        done: Number of steps completed so far.
    """

    def __init__(self, total: int | None, done: int = 0) -> None:
        self._is_narrow = log_console().width < NARROW
        self._progress = _Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10 if self._is_narrow else 24),
            TextColumn("{task.completed}{task.fields[of]}"),
            TextColumn("{task.fields[numbers]}"),
            *([] if self._is_narrow else [TimeElapsedColumn()]),
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
            numbers: Names and values to the right of the bar; a narrow terminal shows the first one.
        """
        fitting = list(numbers.items())[: 1 if self._is_narrow else None]
        shown = " ".join(f"{name} {value:.4g}" for name, value in fitting)
        self._progress.update(self._task, completed=done, description=description, numbers=shown)

    def stop(self) -> None:
        """Remove the bar."""
        if not self._progress.disable:  # rich before 13.9 would print an empty line
            self._progress.stop()
