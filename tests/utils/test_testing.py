"""Tests of the helpers for tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cfgtrain.utils import (
    assert_attrs_equal,
    assert_dict_contains_subset,
    assert_dict_has_keys,
    assert_keys_equal,
    check_python_script,
)

SAME = {"a": "t", "b": 1, "c": np.ones((2, 3)), "d": torch.ones(2), "e": [1, 2]}


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ({}, True),
        (SAME, True),
        ({"c": np.ones((2, 3))}, True),
        ({"c": np.ones((3, 2))}, False),
        ({"c": np.zeros((2, 3))}, False),
        ({"d": torch.tensor([1.0, 0.0])}, False),
        ({"b": 2}, False),
        ({"e": [1]}, False),
        ({"z": 1}, False),
    ],
)
def test_items_and_attributes(expected: dict[str, Any], answer: bool) -> None:
    """The expected items must exist and be equal; arrays and tensors are compared element-wise."""
    assert assert_dict_contains_subset(SAME, expected) is answer
    assert assert_attrs_equal(SimpleNamespace(**SAME), expected) is answer


def test_keys() -> None:
    """A dict has at least the given keys, or exactly the given keys in any order."""
    assert assert_dict_has_keys({"a": 1, "b": 2}, ["a"])
    assert not assert_dict_has_keys({"a": 1}, ["a", "b"])
    assert assert_keys_equal(["a", "b"], ("b", "a"))
    assert not assert_keys_equal(["a"], ["a", "b"])


@pytest.mark.parametrize("begin", ["", "python ", "python3 "])
def test_script_is_run(
    begin: str, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script runs as ``__main__`` with its arguments, and its SystemExit is raised."""
    write(
        "a script.py", "import sys\nassert __name__ == '__main__'\nif sys.argv[1:] != ['x y']: sys.exit(3)\n"
    )
    before = sys.argv
    check_python_script(f"{begin}'a script.py' 'x y'")
    with pytest.raises(SystemExit) as caught:
        check_python_script(f"{begin}'a script.py' z")
    assert caught.value.code == 3
    assert sys.argv is before
