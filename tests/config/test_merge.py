"""Merging one config into another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain import ConfigDict
from cfgtrain.config.merge import merge
from cfgtrain.errors import ConfigKeyError, ConfigMergeError

DELETE = {"_delete_": True}

KEYS = st.sampled_from(["a", "b", "c", 1])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.just("x"))


def trees(*extra: Any) -> st.SearchStrategy[dict[Any, Any]]:
    """Return a strategy for nested dicts that often have the same keys."""
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.dictionaries(st.one_of(KEYS, *extra), inner, max_size=4),
            st.lists(inner, max_size=2),
            st.lists(inner, max_size=2).map(tuple),
        ),
        max_leaves=10,
    ).filter(lambda tree: isinstance(tree, dict))


def holds_marker(value: object) -> bool:
    """Return whether there is a _delete_ at any level."""
    if isinstance(value, dict):
        return "_delete_" in value or any(map(holds_marker, value.values()))
    return isinstance(value, list | tuple) and any(map(holds_marker, value))


def laid(base: dict[Any, Any], child: dict[Any, Any], **options: Any) -> ConfigDict:
    return merge(ConfigDict(base), ConfigDict(child), **options)


@pytest.mark.parametrize(
    ("base", "child", "merged"),
    [
        ({}, {}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}}, {"a": {"b": {"c": 1, "d": 2}}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"b": 1}]}, {"a": [{"c": 2}]}, {"a": [{"c": 2}]}),
        ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": (1,)}, {"a": (1,)}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({1: {"b": 1}}, {1: {"c": 2}}, {1: {"b": 1, "c": 2}}),
    ],
)
def test_merging(base: dict[Any, Any], child: dict[Any, Any], merged: dict[Any, Any]) -> None:
    """Dicts are merged key by key, other values replace the old value."""
    assert laid(base, child) == merged


@pytest.mark.parametrize(
    ("base", "child", "merged"),
    [
        # at the root
        ({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}, **DELETE}, {"b": {"d": 3}}),
        # one level and two levels down
        ({"a": {"b": 1}}, {"a": {"c": 2, **DELETE}}, {"a": {"c": 2}}),
        ({"a": {"b": {"c": 1}, "d": 2}}, {"a": {"b": {"e": 3, **DELETE}}}, {"a": {"b": {"e": 3}, "d": 2}}),
        # over other values than dicts
        ({"a": [1, 2]}, {"a": {"b": 0, **DELETE}}, {"a": {"b": 0}}),
        ({"a": False}, {"a": {**DELETE}}, {"a": {}}),
        # over nothing, in nothing, within another
        ({}, {"a": {"b": 1, **DELETE}}, {"a": {"b": 1}}),
        ({"a": {}}, {"a": {"b": {"c": {"d": 1, **DELETE}}}}, {"a": {"b": {"c": {"d": 1}}}}),
        ({"a": {"b": 1}}, {"a": {"c": {"d": 1, **DELETE}, **DELETE}}, {"a": {"c": {"d": 1}}}),
        # within lists and tuples
        ({"a": 1}, {"a": [{"b": 1, **DELETE}, ({**DELETE},)]}, {"a": [{"b": 1}, ({},)]}),
        # false: merged as ever
        ({"a": {"b": 1}}, {"a": {"c": 2, "_delete_": False}}, {"a": {"b": 1, "c": 2}}),
        ({}, {"a": {"c": 2, "_delete_": False}}, {"a": {"c": 2}}),
        ({"a": 1}, {"_delete_": False, "b": 2}, {"a": 1, "b": 2}),
    ],
)
def test_delete(base: dict[Any, Any], child: dict[Any, Any], merged: dict[Any, Any]) -> None:
    """A dict with _delete_ replaces the inherited value, at any level, and the marker is removed."""
    result = laid(base, child)
    assert result == merged
    assert all(type(node) is ConfigDict for node in result.values() if isinstance(node, dict))


def test_keys_keep_their_order() -> None:
    """Inherited keys keep their order, new keys follow in the order of the child."""
    assert list(laid({"a": 1, "b": 2}, {"d": 4, "b": 3, "c": 5})) == ["a", "b", "d", "c"]


@pytest.mark.parametrize(
    ("old", "shown"),
    [(True, "bool True"), ("x", "str 'x'"), ([1], r"list \[1\]"), ("y" * 99, "y{50,}[.]{3}")],
)
def test_a_dict_does_not_merge_into_something_else(old: object, shown: str) -> None:
    """The TypeError has the key path and the inherited value, and suggests _delete_."""
    with pytest.raises(TypeError, match=rf"(?s){shown}.*_delete_=True.*at a\.b") as caught:
        laid({"a": {"b": old}}, {"a": {"b": {"c": 1}}})
    assert isinstance(caught.value, ConfigMergeError)
    assert caught.value.key == "a.b"


def test_digits_are_not_an_index_in_files() -> None:
    """A dict over a list is an error unless indices are allowed, which the message mentions."""
    with pytest.raises(ConfigMergeError, match="set by index on the command line only"):
        laid({"a": [1]}, {"a": {"0": 2}})


@pytest.mark.parametrize(
    ("items", "child", "merged"),
    [
        ([{"a": 0}, {"b": 0, "c": 0}], {"0": {"a": 1}, "1": {"b": 1}}, [{"a": 1}, {"b": 1, "c": 0}]),
        ([1, 2, 3], {"1": 5}, [1, 5, 3]),
        ([1, 2, 3], {"-1": 5}, [1, 2, 5]),
        ([{"a": 0}], {"0": 5}, [5]),
        ((1, 2), {"0": "x"}, ("x", 2)),
        ([[1, 2], [3]], {"0": {"1": 5}}, [[1, 5], [3]]),
        ([{"a": 0}], {"0": {"b": 1, **DELETE}}, [{"b": 1}]),
        ([None], {"0": {"b": 1}}, [{"b": 1}]),
        ([{"a": [{"b": 1}]}], {"0": {"a": {"0": {"c": 2}}}}, [{"a": [{"b": 1, "c": 2}]}]),
        ([1, 2], {0: 5}, [5, 2]),
    ],
)
def test_indices(items: Any, child: dict[Any, Any], merged: Any) -> None:
    """Where indices are allowed, a key of digits is the index of an item of a list or tuple."""
    assert laid({"l": items}, {"l": child}, list_keys=True) == {"l": merged}


@pytest.mark.parametrize(
    ("items", "key", "kind", "message"),
    [
        ([1, 2], "2", ConfigKeyError, r"no item 2 in l: its indices are 0 to 1"),
        ([1, 2], "-3", ConfigKeyError, r"no item -3 in l"),
        ([], "0", ConfigKeyError, r"none: it is empty"),
        ([1, 2], "x", ConfigMergeError, r"'x' is not an index, and l is a list of 2"),
    ],
)
def test_wrong_indices(items: list[int], key: str, kind: type[Exception], message: str) -> None:
    """An index out of range is a KeyError, another word a TypeError."""
    with pytest.raises(kind, match=message):
        laid({"l": items}, {"l": {key: 1}}, list_keys=True)


def test_a_digit_is_an_ordinary_key_of_a_dict() -> None:
    """In a dict, a key of digits is an ordinary string."""
    assert laid({"a": {6: 1}}, {"a": {"6": 2}}, list_keys=True) == {"a": {6: 1, "6": 2}}


@pytest.mark.parametrize("list_keys", [True, False])
@settings(deadline=None)
@given(base=trees(), child=trees(st.sampled_from(["_delete_", "0"])))
def test_merging_changes_neither_input(list_keys: bool, base: Any, child: Any) -> None:
    """Neither input is changed, whether the merge succeeds or not."""
    below, above = ConfigDict(base), ConfigDict(child)
    with suppress(ConfigMergeError, ConfigKeyError):
        merge(below, above, list_keys=list_keys)
    assert repr((below, above)) == repr((ConfigDict(base), ConfigDict(child)))


@settings(deadline=None)
@given(base=trees(), child=trees(st.just("_delete_")))
def test_no_marker_reaches_the_result(base: Any, child: Any) -> None:
    """The result has no _delete_, wherever the child had one."""
    try:
        result = laid(base, child)
    except ConfigMergeError:
        return
    assert not holds_marker(result)


@settings(deadline=None)
@given(base=trees(), child=trees())
def test_the_result_shares_no_container(base: Any, child: Any) -> None:
    """Changing the result changes neither input."""

    def containers(value: Any) -> set[int]:
        inner = (
            value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        )
        own = {id(value)} if isinstance(value, dict | list) else set()
        return own.union(*map(containers, inner))

    below, above = ConfigDict(base), ConfigDict(child)
    try:
        result = merge(below, above)
    except ConfigMergeError:
        return
    assert not containers(result) & (containers(below) | containers(above))


@settings(deadline=None)
@given(tree=trees())
def test_merging_an_empty_config_or_itself(tree: Any) -> None:
    """Merging with an empty config or with itself gives an equal config."""
    for base, child in (({}, tree), (tree, {}), (tree, tree)):
        assert laid(base, child) == tree


@pytest.mark.parametrize("leaf", [len, Callable, object()])
def test_leaves_are_shared(leaf: object) -> None:
    """Values that are not containers are not copied."""
    assert laid({"a": leaf}, {}).a is leaf


def schemed(leaf: st.SearchStrategy[Any], depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Return trees that all have dicts at the same keys, and leaves at the others."""
    inner = schemed(leaf, depth - 1) if depth else st.just({})
    keys = {"x": leaf, "y": leaf, "d": inner, "e": inner}
    return st.fixed_dictionaries({}, optional=keys)


@settings(deadline=None, max_examples=60)
@given(schemed(LEAVES), schemed(LEAVES), schemed(LEAVES))
def test_merging_is_associative(a: Any, b: Any, c: Any) -> None:
    """If no leaf meets a dict, the order in which three configs are merged does not matter."""
    first, second, third = ConfigDict(a), ConfigDict(b), ConfigDict(c)
    assert merge(merge(first, second), third) == merge(first, merge(second, third))
