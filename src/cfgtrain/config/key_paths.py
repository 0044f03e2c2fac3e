"""Key paths, such as ``data.train.pipeline[1].scale``: parsing them and following them in a config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cfgtrain.suggestions import suggest

KeyPath = tuple[object, ...]

# A value that is unknown or missing.
UNKNOWN: Any = ...

# The deepest nesting of values: a config that nests deeper contains itself or is an attack, and
# Python parses at most 200 nested brackets.
MAX_DEPTH = 100

_INDEX = re.compile(r"\[(-?\d+)\]")
_NUMBER = re.compile(r"-?\d+")


class NoSuchKeyError(LookupError):
    """A key path does not exist.

    Attributes:
        done: The part of the path that exists.
        part: The next part, which does not exist.
        node: The value at ``done``.
    """

    def __init__(self, done: KeyPath, part: object, node: object) -> None:
        super().__init__(done, part, node)
        self.done = done
        self.part = part
        self.node = node

    def hint(self) -> str:
        """Return a hint, such as ``" Did you mean 'x'?"`` for similar keys, or ``""``."""
        if not isinstance(self.node, dict):
            return ""
        if name := self.listed():
            return f" Brackets take the index of an item, as in {name}[0]; a key follows a dot."
        return suggest(str(self.part), map(str, self.node))

    def listed(self) -> str:
        """Return the key before brackets that do not contain a number, or ``""``."""
        name, bracket, _ = str(self.part).partition("[")
        return name if bracket and isinstance(self.node, dict) and name in self.node else ""

    def indices(self) -> str:
        """Return the indices of the list at ``done`` as text."""
        length = len(self.node) if isinstance(self.node, (list, tuple)) else 0
        return f"0 to {length - 1}" if length else "none: it is empty"


def split_key(key: str) -> list[str]:
    """Split ``"+a[0].b"`` into ``["a", "0", "b"]``."""
    key = key.removeprefix("+")
    return (_INDEX.sub(r".\1", key) if "[" in key else key).split(".")


def index_in(part: object, length: int) -> int | None:
    """Return the index from 0 for ``part``, an int or its digits, in a list, or None if it is not an index."""
    if isinstance(part, str) and _NUMBER.fullmatch(part):
        part = int(part)
    return part % length if isinstance(part, int) and -length <= part < length else None


def step(node: object, part: object) -> tuple[object, object]:
    """Return the key (or the index from 0) for ``part`` in ``node``, and its value.

    Raises:
        KeyError: There is no such key or item.
    """
    if isinstance(node, dict):
        if part in node:
            return part, node[part]
        if isinstance(part, str) and _NUMBER.fullmatch(part) and int(part) in node:
            return int(part), node[int(part)]  # in YAML and Python, keys can be numbers
    elif isinstance(node, (list, tuple)):
        index = index_in(part, len(node))
        if index is not None:
            return index, node[index]
    raise KeyError(part)


def follow(tree: object, parts: Sequence[object]) -> Iterator[tuple[object, object]]:
    """Yield the key and the value at each step from ``tree`` along ``parts``.

    Raises:
        NoSuchKeyError: A key or item does not exist.
    """
    node, done = tree, list[object]()
    for part in parts:
        try:
            key, node = step(node, part)
        except KeyError:
            raise NoSuchKeyError(tuple(done), part, node) from None
        done.append(key)
        yield key, node


def look_up(tree: object, key: str) -> object:
    """Return the value at a dotted key.

    Raises:
        NoSuchKeyError: There is no such key.
    """
    value = tree
    for _, value in follow(tree, split_key(key)):  # noqa: B007  # the last value is returned
        pass
    return value


def walk(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the path and the value of ``value`` and of everything in it, the outer before the inner.

    Dicts, lists and tuples are searched. A dict may be changed right after it was
    yielded: its items are only read afterwards.

    Args:
        value: The tree.
        path: Path of the tree in the config.
    """
    yield path, value
    for key, part in items_of(value):
        yield from walk(part, (*path, key))


def items_of(value: object) -> Iterable[tuple[Any, Any]]:
    """Return the items of a dict, or of a list with their indices; any other value has none."""
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


def value_at(tree: object, path: KeyPath) -> object:
    """Return the value at ``path`` in a tree of dicts and lists, or UNKNOWN where there is none.

    The tree of an override may have the digits of an index as a key: ``{"pipeline": {"0": ...}}``.
    """
    for part in path:
        try:
            _, tree = step(tree, part)
        except KeyError:
            if not (isinstance(part, int) and isinstance(tree, dict) and str(part) in tree):
                return UNKNOWN
            tree = tree[str(part)]
    return tree


def has_path(tree: object, path: KeyPath) -> bool:
    """Return whether there is a value at ``path`` in a tree of dicts and lists."""
    return value_at(tree, path) is not UNKNOWN
