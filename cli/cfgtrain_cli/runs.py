"""The work directories that ``plot`` and ``compare`` are given."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from cfgtrain.errors import ArgumentError
from cfgtrain.experiment.history import Point, Run, labels_of, read_run
from cfgtrain.suggestions import printable

WorkDirs = Annotated[
    list[Path],
    typer.Argument(metavar="WORK_DIR", help="Work directories, or .log.json files.", show_default=False),
]


def read_runs(paths: list[Path]) -> dict[str, Run]:
    """Read the runs in work directories, by label.

    Of several folders, those without anything to show are left out with a warning; see ``read_run``.

    Raises:
        ArgumentError: A path does not exist, two are the same, or there is nothing to show.
    """
    labels = labels_of(paths)
    runs: dict[str, Run] = {}
    problems: list[ArgumentError] = []
    for label, path in zip(labels, paths, strict=True):
        try:
            runs[label] = read_run(path)
        except ArgumentError as error:
            if not path.exists():
                raise
            problems.append(error)
    if not runs:
        first, more = problems[0], len(problems) - 1
        raise ArgumentError(first.message, hint=f"{more} more are not usable either." if more else "")
    warn([f"Left out: {error}" for error in problems] + [note for run in runs.values() for note in run.notes])
    return runs


def warn(notes: list[str]) -> None:
    """Print notes on stderr."""
    from cfgtrain.terminal import print_message  # imports rich

    for note in notes:
        print_message(printable(note), logging.WARNING)


def place_text(point: Point) -> str:
    """Return where a value was logged, as ``"epoch 3"`` or ``"iteration 500"``."""
    return f"iteration {point.iter:,}" if point.epoch is None else f"epoch {point.epoch:.4g}"
