"""A small experiment outside the repository, for commands to work on."""

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
    """One epoch of LeNet-5 on the digits."""
    return write("small.py", SMALL.format(base=str(configs / "digits" / "lenet5.py")))
