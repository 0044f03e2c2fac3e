"""Fixtures: the experiment in the folder of a test, and commands that start within milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.experiment import RUNNERS, Forker, end_of, forking, iterations, write_experiment


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """Starts ``cfgtrain`` commands by forking a process that has everything imported."""
    with forking() as each:
        yield each


@pytest.fixture(scope="session")
def unbroken(
    forker: Forker, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[dict[str, Any], list[Any]]]:
    """For each runner, the end of an uninterrupted run, and its iterations."""
    runs = {}
    for kind in RUNNERS:
        folder = tmp_path_factory.mktemp(f"unbroken-{kind}")
        write_experiment(folder)
        forker.run("train", f"{kind}.py", "--work-dir", "run", cwd=folder)
        runs[kind] = end_of(folder / "run"), iterations("first", folder)
    return runs


@pytest.fixture(autouse=True)
def experiment(tmp_path: Path) -> None:
    """Write ``epoch.py`` and ``iter.py``, one per runner, with their module ``parts``."""
    write_experiment(tmp_path)
