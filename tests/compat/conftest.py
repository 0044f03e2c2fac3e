"""The project for MMCV 1.x that the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compat.legacy_runs import copy_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project with the first digits as image files."""
    return copy_project(tmp_path / "project")
