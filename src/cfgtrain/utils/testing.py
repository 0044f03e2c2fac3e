"""Helpers for tests. As in MMCV, the ``assert_*`` functions return a bool instead of raising."""

from __future__ import annotations

import runpy
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "assert_attrs_equal",
    "assert_dict_contains_subset",
    "assert_dict_has_keys",
    "assert_keys_equal",
    "check_python_script",
]


def assert_dict_contains_subset(dict_obj: Mapping[Any, Any], expected_subset: Mapping[Any, Any]) -> bool:
    """Return whether a dict contains the items of another dict; arrays and tensors are compared element-wise."""
    return all(key in dict_obj and _equal(dict_obj[key], value) for key, value in expected_subset.items())


def assert_attrs_equal(obj: object, expected_attrs: Mapping[str, Any]) -> bool:
    """Return whether an object has the given attributes; arrays and tensors are compared element-wise."""
    return all(
        hasattr(obj, name) and _equal(getattr(obj, name), value) for name, value in expected_attrs.items()
    )


def assert_dict_has_keys(obj: Mapping[Any, Any], expected_keys: Iterable[Any]) -> bool:
    """Return whether a dict has at least the given keys."""
    return set(expected_keys).issubset(obj)


def assert_keys_equal(result_keys: Iterable[Any], target_keys: Iterable[Any]) -> bool:
    """Return whether two collections contain the same keys, in any order."""
    return set(result_keys) == set(target_keys)


def check_python_script(cmd: str) -> None:
    """Run a script in this process as ``__main__``. ``sys.argv`` is changed while it runs.

    Args:
        cmd: The command line: ``"script.py arguments"``, or the same after ``"python "``.

    Raises:
        SystemExit: The script raised it.
    """
    words = shlex.split(cmd)
    words = words[1:] if words and words[0].startswith("python") else words
    before = sys.argv
    sys.argv = words
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        sys.argv = before


def _equal(a: Any, b: Any) -> bool:
    shapes = getattr(a, "shape", None), getattr(b, "shape", None)
    if shapes[0] is not None and shapes[1] is not None and tuple(shapes[0]) != tuple(shapes[1]):
        return False
    same = a == b
    return bool(same.all()) if hasattr(same, "all") else bool(same)
