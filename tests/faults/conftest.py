"""The experiment in the test's folder, and commands that start within milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.experiment import Forker, forking, write_experiment


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """Starts ``cfgtrain`` commands by forking a process that has everything imported."""
    with forking() as each:
        yield each


@pytest.fixture(autouse=True)
def experiment(tmp_path: Path) -> None:
    """``epoch.py`` and ``iter.py``, one per runner, with their module ``parts``."""
    write_experiment(tmp_path)
