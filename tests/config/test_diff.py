"""The differences between two configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain import Config
from cfgtrain.config.diff import diff
from cfgtrain.origin import dotted

Write = Callable[[str, str], Path]


def shown(old: Any, new: Any) -> list[str]:
    """Return the differences between two values as short lines."""
    lines = []
    for change in diff(Config({"x": old}), Config({"x": new})):
        a, b = (
            None if side is None else f"{dotted(side.path)}={side.value}" for side in (change.old, change.new)
        )
        lines.append({"added": f"+ {b}", "removed": f"- {a}", "changed": f"{a} -> {b}"}[change.kind])
    return lines


A, B, C = {"type": "A", "n": 1}, {"type": "B", "n": 1}, {"type": "C"}

CASES: dict[str, tuple[Any, Any, list[str]]] = {
    "equal": ({"a": [1, (2, None)]}, {"a": [1, (2, None)]}, []),
    "the order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    "a value": ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ["x.b=2 -> x.b=3"]),
    "added and removed": ({"a": 1}, {"b": 1}, ["- x.a=1", "+ x.b=1"]),
    "another kind": ({"a": {"b": 1}}, {"a": 1}, ["x.a={'b': 1} -> x.a=1"]),
    "a whole number": (1, 1.0, []),
    "a fraction": (1, 1.5, ["x=1 -> x=1.5"]),
    "true is not 1": (True, 1, ["x=True -> x=1"]),
    "a tuple is not a list": ((1, 2), [1, 2], ["x=(1, 2) -> x=[1, 2]"]),
    "nan is nan": (float("nan"), float("nan"), []),
    "a str is not a number": ("1", 1, ["x=1 -> x=1"]),
    "lists of plain values": ([1, 2, 3], [1, 3], ["x=[1, 2, 3] -> x=[1, 3]"]),
    "no list": ([1, 2], [], ["x=[1, 2] -> x=[]"]),
    "an item between": ([A, C], [A, B, C], ["+ x[1]={'type': 'B', 'n': 1}"]),
    "an item less": ([A, B, C], [A, C], ["- x[1]={'type': 'B', 'n': 1}"]),
    "an item in front and one changed": (
        [A, B], [C, A, {**B, "n": 2}], ["+ x[0]={'type': 'C'}", "x[1].n=1 -> x[2].n=2"],
    ),
    "another type in its place": ([A, B], [A, C], ["- x[1]={'type': 'B', 'n': 1}", "+ x[1]={'type': 'C'}"]),
    "a dict without a type": ([{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 3}], ["x[1].n=2 -> x[1].n=3"]),
    "lists in a list": ([[1], [2]], [[1], [3]], ["x[1]=[2] -> x[1]=[3]"]),
    "dicts and plain values": ([A, 1], [A, 2], ["x[1]=1 -> x[1]=2"]),
    "the same twice": ([A, A], [A, A, A], ["+ x[2]={'type': 'A', 'n': 1}"]),
    "a list of dicts from nothing": ([], [C], ["+ x[0]={'type': 'C'}"]),
    "keys that are not str": ({1: {"a": 1}}, {1: {"a": 2}, "1": 3}, ["x[1].a=1 -> x[1].a=2", "+ x.1=3"]),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "lines"), CASES.values(), ids=CASES.keys())
def test_differences(old: Any, new: Any, lines: list[str]) -> None:
    """Dicts are compared by key, lists of dicts are aligned, other values are compared as a whole."""
    assert shown(old, new) == lines


def test_both_sides_have_an_origin(write: Write) -> None:
    """A change has the origin of both sides."""
    write("a.py", "x = dict(y=1)\n")
    write("b.py", "_base_ = 'a.py'\nx = dict(y=2, z=3)\n")
    changed, added = diff(Config.fromfile("a.py"), Config.fromfile("b.py"))
    assert [str(side and side.origin) for side in changed] == ["a.py:1", "b.py:2"]
    assert [str(side and side.origin) for side in added] == ["None", "b.py:2"]
    assert (changed.kind, added.kind, added.side.path) == ("changed", "added", ("x", "z"))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", 0.5]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(values, values)
def test_equal_configs_do_not_differ(old: Any, new: Any) -> None:
    """A config does not differ from itself, and swapping two configs swaps added and removed."""
    assert shown(old, old) == []
    there = diff(Config({"x": old}), Config({"x": new}))
    back = diff(Config({"x": new}), Config({"x": old}))
    assert bool(there) == bool(back)
    if old != new:
        assert there
