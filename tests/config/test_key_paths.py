"""Key paths: parsing and following them."""

from __future__ import annotations

import pytest

from cfgtrain.config.key_paths import (
    UNKNOWN,
    NoSuchKeyError,
    follow,
    has_path,
    index_in,
    look_up,
    split_key,
    step,
    value_at,
    walk,
)

TREE = {"a": {"b": [10, {"c": 20}], "6": 1}, "t": (1, 2), 3: "three"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a.b.0", 10),
        ("a.b[1].c", 20),
        ("a.b.-1.c", 20),
        ("a.b[-2]", 10),
        ("t[1]", 2),
        ("a.6", 1),
        ("+t.0", 1),
    ],
)
def test_a_key_leads_to_its_value(key: str, value: object) -> None:
    """Dots and brackets select items of dicts, lists and tuples, with indices from either end."""
    assert look_up(TREE, key) == value


@pytest.mark.parametrize(
    ("key", "done", "part", "hint"),
    [
        ("aa.b", (), "aa", " Did you mean 'a'?"),
        ("a.b.2", ("a", "b"), "2", ""),
        ("a.b.-3", ("a", "b"), "-3", ""),
        ("a.b.x", ("a", "b"), "x", ""),
        ("t.0.x", ("t", 0), "x", ""),
        ("4", (), "4", ""),
        ("a[x].c", (), "a[x]", " Brackets take the index of an item, as in a[0]; a key follows a dot."),
        ("a['b']", (), "a['b']", " Brackets take the index of an item, as in a[0]"),
        ("aa[x]", (), "aa[x]", ""),
    ],
)
def test_a_key_that_does_not_exist(key: str, done: tuple[object, ...], part: str, hint: str) -> None:
    """The error has the part that exists and the part that does not."""
    with pytest.raises(NoSuchKeyError) as caught:
        look_up(TREE, key)
    assert (caught.value.done, caught.value.part) == (done, part)
    assert caught.value.hint().startswith(hint)


def test_steps() -> None:
    """Each step yields the key as it is in the tree."""
    assert list(follow(TREE, split_key("a.b.-1.c")))[1:] == [("b", TREE["a"]["b"]), (1, {"c": 20}), ("c", 20)]
    assert step({3: 4}, 3) == (3, 4)
    assert step({3: 4}, "3") == (3, 4)
    assert step({3: 4, "3": 5}, "3") == ("3", 5)
    with pytest.raises(KeyError):
        step({}, "a")


@pytest.mark.parametrize(
    ("part", "length", "index"),
    [(0, 2, 0), ("1", 2, 1), ("-1", 2, 1), (2, 2, None), ("x", 2, None), (None, 2, None)],
)
def test_indices(part: object, length: int, index: int | None) -> None:
    """An index counts from 0, or from the end if it is negative."""
    assert index_in(part, length) == index


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("a", "b", 1, "c"), 20),
        (("a", 6), 1),
        (("a", 7), UNKNOWN),
        (("x",), UNKNOWN),
        ((3,), "three"),
        ((), TREE),
    ],
)
def test_paths(path: tuple[object, ...], value: object) -> None:
    """The parts of a path are used as they are; an override may have the digits of an index as a key."""
    assert value_at(TREE, path) == value
    assert has_path(TREE, path) is (value is not UNKNOWN)


def test_walk_yields_the_outer_before_the_inner() -> None:
    """Every container and every leaf is yielded once, with its path, below the path that is given."""
    tree = {"b": [10, {"c": 20}], "t": (None,)}
    assert list(walk(tree, ("a",))) == [
        (("a",), tree),
        (("a", "b"), [10, {"c": 20}]),
        (("a", "b", 0), 10),
        (("a", "b", 1), {"c": 20}),
        (("a", "b", 1, "c"), 20),
        (("a", "t"), (None,)),
        (("a", "t", 0), None),
    ]
    assert list(walk("text")) == [((), "text")]


def test_walk_lets_the_dict_be_changed() -> None:
    """A key that is removed from the dict that was yielded last is not searched."""
    tree = {"a": {"b": 1, "c": 2}}
    found = []
    for path, value in walk(tree):
        if isinstance(value, dict):
            value.pop("b", None)
        found.append(path)
    assert found == [(), ("a",), ("a", "c")]
