"""Fixtures for the tests of the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = """
_base_ = {base!r}
runner = dict(max_epochs=1)
checkpoint_config = dict(interval=1)
"""


@pytest.fixture
def small(write: Callable[[str, str], Path], configs: Path) -> Path:
    """A config outside the repository that trains LeNet-5 on the digits for one epoch."""
    return write("small.py", SMALL.format(base=str(configs / "digits" / "lenet5.py")))
