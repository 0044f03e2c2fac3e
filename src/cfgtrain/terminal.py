"""Live progress on a terminal."""

from __future__ import annotations

from functools import cache
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["LiveProgress", "log_console"]


@cache
def log_console() -> Console:
    """Return the one console on stderr: log lines and a live bar only mix on a shared one."""
    return Console(stderr=True)


class LiveProgress:
    """A bar that stays below the log lines; where there is no terminal it shows nothing.

    Args:
        total: How many steps there are, None where that is not known.
        done: How many of them are done.
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
        """Show that ``done`` steps are done, and the numbers beside the bar."""
        shown = " ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        self._progress.update(self._task, completed=done, description=description, numbers=shown)

    def stop(self) -> None:
        """Take the bar away."""
        if not self._progress.disable:  # rich before 13.9 would print an empty line
            self._progress.stop()
