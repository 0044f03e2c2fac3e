"""``cfgtrain env``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch


def test_output_fits_one_screen(run: Callable[..., Any]) -> None:
    """The output has less than 40 lines."""
    ran = run("env")
    assert ran.code == 0
    assert len(ran.out.splitlines()) < 40
    assert torch.__version__ in ran.out
    assert "numpy" in ran.out


def test_json(run: Callable[..., Any]) -> None:
    """``--json`` prints the same facts by subject, and the build details under MMCV's names."""
    facts = json.loads(run("env", "--json").out)
    assert facts["torch"]["version"] == facts["details"]["PyTorch"] == torch.__version__
    assert "PyTorch compiling details" in facts["details"]
