"""Fixtures of the tests of layers and networks."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def seed() -> None:
    """Begin each test with the same random numbers of PyTorch, in whatever order the tests run."""
    torch.manual_seed(0)
