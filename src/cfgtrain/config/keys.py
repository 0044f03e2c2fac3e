"""Dotted keys, such as ``data.train.pipeline[1].scale``: how they are written and followed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cfgtrain.errors import suggest

Path = tuple[object, ...]

# Stands for a value that is not known, or is not there.
UNKNOWN: Any = ...

# How deep values may stand within each other: a config that asks for more holds itself or
# means harm, and Python reads no more than 200 brackets within each other.
MAX_DEPTH = 100

_INDEX = re.compile(r"\[(-?\d+)\]")
_NUMBER = re.compile(r"-?\d+")


class NoSuchKeyError(LookupError):
    """A key path that leads nowhere.

    Attributes:
        done: The part of the path that is there.
        part: The word after it, which is not.
        node: What the word was looked for in.
    """

    def __init__(self, done: Path, part: object, node: object) -> None:
        super().__init__(done, part, node)
        self.done = done
        self.part = part
        self.node = node

    def hint(self) -> str:
        """Return ``" Did you mean 'x'?"`` for the keys nearest to the word, other advice, or ``""``."""
        if not isinstance(self.node, dict):
            return ""
        if name := self.listed():
            return f" In brackets stands the number of an item, as in {name}[0]; a key follows a dot."
        return suggest(str(self.part), map(str, self.node))

    def listed(self) -> str:
        """Return the key before the brackets if the word has some, which hold no number, else ``""``."""
        name, bracket, _ = str(self.part).partition("[")
        return name if bracket and isinstance(self.node, dict) and name in self.node else ""

    def indices(self) -> str:
        """Say which indices there are in the list that the word was looked for in."""
        length = len(self.node) if isinstance(self.node, (list, tuple)) else 0
        return f"0 to {length - 1}" if length else "none: it is empty"


def split_key(key: str) -> list[str]:
    """Split ``"+a[0].b"`` into ``["a", "0", "b"]``."""
    key = key.removeprefix("+")
    return (_INDEX.sub(r".\1", key) if "[" in key else key).split(".")


def index_in(part: object, length: int) -> int | None:
    """Return the index from 0 that ``part``, an int or its digits, means in a list, or None."""
    if isinstance(part, str) and _NUMBER.fullmatch(part):
        part = int(part)
    return part % length if isinstance(part, int) and -length <= part < length else None


def step(node: object, part: object) -> tuple[object, object]:
    """Return the key (or the index from 0) that ``part`` means in ``node``, and its value.

    Raises:
        KeyError: It means nothing there.
    """
    if isinstance(node, dict):
        if part in node:
            return part, node[part]
        if isinstance(part, str) and _NUMBER.fullmatch(part) and int(part) in node:
            return int(part), node[int(part)]  # YAML and Python have numbers for keys too
    elif isinstance(node, (list, tuple)):
        index = index_in(part, len(node))
        if index is not None:
            return index, node[index]
    raise KeyError(part)


def follow(tree: object, parts: Sequence[object]) -> Iterator[tuple[object, object]]:
    """Yield the key and the value at each step from ``tree`` along ``parts``.

    Raises:
        NoSuchKeyError: There is no such step.
    """
    node, done = tree, list[object]()
    for part in parts:
        key = part
        if isinstance(node, dict) and part in node:  # most steps, without a call
            node = node[part]
        else:
            try:
                key, node = step(node, part)
            except KeyError:
                raise NoSuchKeyError(tuple(done), part, node) from None
        done.append(key)
        yield key, node


def look_up(tree: object, key: str) -> object:
    """Return the value at a dotted key.

    Raises:
        NoSuchKeyError: There is none.
    """
    value = tree
    for _, value in follow(tree, split_key(key)):  # noqa: B007  # the last one is meant
        pass
    return value


def value_at(tree: object, path: Path) -> object:
    """Return the value at ``path`` in a tree of dicts and lists, or UNKNOWN where there is none.

    An index may stand in the tree as the digits of an override: ``{"pipeline": {"0": ...}}``.
    """
    for part in path:
        if isinstance(tree, dict) and part in tree:  # most steps, without a call
            tree = tree[part]
            continue
        try:
            _, tree = step(tree, part)
        except KeyError:
            if not (isinstance(part, int) and isinstance(tree, dict) and str(part) in tree):
                return UNKNOWN
            tree = tree[str(part)]
    return tree


def has_path(tree: object, path: Path) -> bool:
    """Say whether ``path`` leads to a value in a tree of dicts and lists."""
    return value_at(tree, path) is not UNKNOWN
