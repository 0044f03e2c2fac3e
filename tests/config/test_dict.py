"""ConfigDict: attribute access, conversion, copies."""

from __future__ import annotations

import copy
import json
import pickle
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import addict
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain import ConfigDict, suggestions
from cfgtrain.errors import ConfigAttributeError, ConfigKeyError, ConfigValueError

Point = namedtuple("Point", "x y")

KEYS = st.one_of(st.text(max_size=3), st.integers(0, 3))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=8,
)
TREES = st.dictionaries(KEYS, VALUES, max_size=4)


def dicts_in(value: object) -> list[dict[Any, Any]]:
    """Return every dict in nested dicts, lists and tuples."""
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in dicts_in(item))]
    if isinstance(value, list | tuple):
        return [found for item in value for found in dicts_in(item)]
    return []


def test_keys_are_attributes() -> None:
    """Keys can be read, set and deleted by attribute as well as by item."""
    node = ConfigDict(a={"b": 1})
    assert node.a.b == node["a"]["b"] == 1
    node.a.b = 2
    node.a["c"] = 3
    assert node == {"a": {"b": 2, "c": 3}}
    del node.a.b
    del node["a"]["c"]
    assert node == {"a": {}}


@pytest.mark.parametrize(
    "made",
    [
        ConfigDict({"a": 1, "b": {"c": 2}}),
        ConfigDict([("a", 1), ("b", {"c": 2})]),
        ConfigDict({"a": 1}, b={"c": 2}),
        ConfigDict(OrderedDict(a=1, b=OrderedDict(c=2))),
        ConfigDict(ConfigDict(a=1, b={"c": 2})),
    ],
)
def test_construction(made: ConfigDict) -> None:
    """It is made like a dict, and nested dicts of any class become ConfigDicts."""
    assert made == {"a": 1, "b": {"c": 2}}
    assert type(made.b) is ConfigDict


def test_it_is_an_addict() -> None:
    """It is an instance of addict's dict, which users of MMCV test for."""
    assert isinstance(ConfigDict(), addict.Dict)


@pytest.mark.parametrize("value", [Point(1, {"a": 1}), range(3), {1, 2}, len, OrderedDict])
def test_other_objects_are_kept(value: object) -> None:
    """Values other than dicts, lists and tuples are kept by reference, also named tuples."""
    assert ConfigDict(a=value).a is value


def test_the_input_is_not_aliased() -> None:
    """Changing the dicts and lists that it was made from changes nothing."""
    given_dict: dict[str, Any] = {"a": {"b": [1, {"c": 2}]}}
    node = ConfigDict(given_dict)
    given_dict["a"]["b"][1]["c"] = 3
    given_dict["a"]["b"].append(4)
    assert node == {"a": {"b": [1, {"c": 2}]}}


def _set_attribute(node: ConfigDict, value: Any) -> None:
    node.x = value


WRITES: dict[str, Callable[[ConfigDict, Any], Any]] = {
    "attribute": _set_attribute,
    "item": lambda node, value: node.__setitem__("x", value),
    "update": lambda node, value: node.update(x=value),
    "setdefault": lambda node, value: node.setdefault("x", value),
    "ior": lambda node, value: node.__ior__({"x": value}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@settings(deadline=None)
@given(value=VALUES)
def test_every_write_converts(write: Callable[[ConfigDict, Any], Any], value: Any) -> None:
    """Whatever the way a value is set, the dicts in it become ConfigDicts, also those in lists and tuples."""
    node = ConfigDict(y=1)
    write(node, value)
    assert node.x == value
    assert {type(found) for found in dicts_in(node)} == {ConfigDict}


@pytest.mark.parametrize("read", [lambda node: node.learning, lambda node: node.a.learning])
def test_a_missing_attribute_is_an_error(read: Callable[[ConfigDict], Any]) -> None:
    """Reading does not create a key; the error suggests a similar key and is an AttributeError."""
    node = ConfigDict(learning_=1, a={"learning_": 2})
    with pytest.raises(AttributeError, match=r"'ConfigDict' has no key 'learning'. Did you mean 'learning_'"):
        read(node)
    assert not hasattr(node, "learning")
    assert getattr(node, "learning", 3) == 3
    assert node == {"learning_": 1, "a": {"learning_": 2}}


def test_similar_names_are_searched_for_when_the_message_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Testing for a key does not search for similar names; reading the message of the error does."""
    searches = []
    monkeypatch.setattr(suggestions, "close_names", lambda word, names: searches.append(word) or ["depth"])
    node = ConfigDict(depth=1)
    assert (hasattr(node, "dept"), getattr(node, "dept", 3)) == (False, 3)
    with pytest.raises(KeyError) as caught:
        node["dept"]
    assert searches == []
    del node.depth
    assert str(caught.value) == "There is no key 'dept'. Did you mean 'depth'?"
    assert searches == ["dept"]
    assert caught.value.near == ("dept", ("depth",))  # type: ignore[attr-defined]


def test_a_missing_item_is_an_error() -> None:
    """A missing item is a KeyError with a suggestion, and get returns None."""
    node = ConfigDict(depth=1)
    with pytest.raises(KeyError, match=r"There is no key 'dept'\. Did you mean 'depth'"):
        node["dept"]
    assert node.get("dept") is None
    assert "dept" not in node


def test_a_missing_key_is_not_created() -> None:
    """Setting a key of a missing key is an error and changes nothing."""
    node = ConfigDict()
    with pytest.raises(ConfigAttributeError):
        node.missing.x = 1
    assert node == {}


def test_a_missing_key_cannot_be_deleted() -> None:
    """Deleting a missing key is a KeyError by item and an AttributeError by attribute."""
    node = ConfigDict(a=1)
    with pytest.raises(ConfigKeyError, match="'b'"):
        del node["b"]
    with pytest.raises(ConfigAttributeError, match="'b'"):
        del node.b
    assert node == {"a": 1}


@pytest.mark.parametrize("name", ["keys", "items", "copy", "update", "pop", "get", "to_dict"])
def test_methods_are_not_hidden(name: str) -> None:
    """A key with the name of a method can be read by item only, and the method can still be called."""
    node = ConfigDict()
    with pytest.raises(AttributeError):
        setattr(node, name, 1)
    node[name] = 1
    assert node[name] == 1
    assert callable(getattr(node, name))


def test_update_merges() -> None:
    """Dicts are merged key by key, other values are replaced."""
    node = ConfigDict(a={"b": 1, "c": [1]}, d={"e": 1})
    node.update({"a": {"c": [2], "f": {"g": 3}}, "d": 4}, h=5)
    assert node == {"a": {"b": 1, "c": [2], "f": {"g": 3}}, "d": 4, "h": 5}
    assert node.a.f.g == 3


@pytest.mark.parametrize(
    "merged",
    [
        lambda a, b: a | b,
        lambda a, b: dict(a) | ConfigDict(b),
        lambda a, b: a.copy().__ior__(b),
    ],
)
def test_the_union_operator_merges(merged: Callable[[Any, Any], Any]) -> None:
    """Either side of | may be a plain dict, and the result is a ConfigDict."""
    left = ConfigDict(a={"b": 1}, c=1)
    result = merged(left.deepcopy(), {"a": {"d": 2}})
    assert result == {"a": {"b": 1, "d": 2}, "c": 1}
    assert type(result) is type(result.a) is ConfigDict


def test_the_union_operator_changes_neither_side() -> None:
    """The operator | changes neither side, at any level."""
    left, right = ConfigDict(a={"b": 1}), ConfigDict(a={"c": 2})
    assert left | right == {"a": {"b": 1, "c": 2}}
    assert (left, right) == ({"a": {"b": 1}}, {"a": {"c": 2}})


@pytest.mark.parametrize("join", [lambda a: a | 3, lambda a: [] | a])
def test_the_union_operator_takes_dicts_only(join: Callable[[Any], Any]) -> None:
    """Anything but a dict on either side of | is a TypeError."""
    with pytest.raises(TypeError):
        join(ConfigDict())


def test_pop_and_setdefault() -> None:
    """Both work as for a dict."""
    node = ConfigDict(a=1)
    assert (node.setdefault("a", 2), node.setdefault("b"), node.pop("a"), node.pop("a", 5)) == (1, None, 1, 5)
    with pytest.raises(KeyError):
        node.pop("a")
    assert node == {"b": None}


@pytest.mark.parametrize("shallow", [copy.copy, ConfigDict.copy])
def test_a_copy_is_shallow(shallow: Callable[[ConfigDict], ConfigDict]) -> None:
    """The copy has its own keys and shares the values."""
    node = ConfigDict(a={"b": 1})
    twin = shallow(node)
    twin.c = 2
    twin.a.b = 3
    assert node == {"a": {"b": 3}}
    assert type(twin) is ConfigDict


@pytest.mark.parametrize(
    "deep",
    [copy.deepcopy, ConfigDict.deepcopy, lambda node: pickle.loads(pickle.dumps(node))],
    ids=["copy", "method", "pickle"],
)
@settings(deadline=None)
@given(tree=TREES)
def test_deep_copies_are_equal_and_share_nothing(
    deep: Callable[[ConfigDict], ConfigDict], tree: dict[Any, Any]
) -> None:
    """A deep copy or pickle is equal, has ConfigDicts at every level, and shares no container."""
    node = ConfigDict(tree)
    twin = deep(node)
    assert twin == node
    assert {type(found) for found in dicts_in(twin)} == {ConfigDict}
    assert not {id(found) for found in dicts_in(twin)} & {id(found) for found in dicts_in(node)}


def test_a_deep_copy_keeps_shared_references_and_cycles() -> None:
    """A node that is in two places, or in itself, is so in the copy."""
    node = ConfigDict(a={"b": 1})
    dict.__setitem__(node, "again", node.a)
    dict.__setitem__(node, "self", node)
    twin = copy.deepcopy(node)
    assert twin.again is twin.a is not node.a
    assert twin.self is twin


@settings(deadline=None)
@given(tree=TREES)
def test_to_dict_is_plain(tree: dict[Any, Any]) -> None:
    """No ConfigDict is left at any level, and tuples stay tuples."""
    plain = ConfigDict(tree).to_dict()
    assert plain == tree
    assert repr(plain) == repr(tree)
    assert {type(found) for found in dicts_in(plain)} == {dict}


def test_json_writes_it() -> None:
    """The json module writes it like a dict."""
    assert json.dumps(ConfigDict(a={"b": [1]})) == '{"a": {"b": [1]}}'


def test_equality_is_that_of_dicts() -> None:
    """It equals any dict with the same items, and different values at any level make it unequal."""
    assert ConfigDict(a={"b": 1}) == {"a": {"b": 1}} == ConfigDict(a={"b": 1})
    assert ConfigDict(a={"b": 1}) != {"a": {"b": 2}}


def test_a_frozen_dict_rejects_new_keys() -> None:
    """While it is frozen, at any level, keys can be changed but not added."""
    node = ConfigDict(a=1, b={"c": 2})
    node.freeze()
    node.a = 3
    with pytest.raises(KeyError, match="frozen"):
        node.x = 1
    with pytest.raises(ConfigKeyError, match="frozen"):
        node.b.x = 1
    node.unfreeze()
    node.b.x = 4
    assert node == {"a": 3, "b": {"c": 2, "x": 4}}


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: (value,)])
def test_depth_has_a_limit(wrap: Callable[[Any], Any]) -> None:
    """A value that nests too deeply is an error and changes nothing."""
    value: Any = 1
    for _ in range(1000):
        value = wrap(value)
    node = ConfigDict(x=1)
    with pytest.raises(ConfigValueError, match="deeper than 100 levels, or contains itself"):
        node.x = value
    assert node == {"x": 1}
