"""Spots: what is known of a value of a Python config without running it.

A spot knows its line, the parts of a dict or list, and the variables that its expression
read. Names of one dict share its parts, as they do in Python. Where two statements could
have set a value, the value that the file really had decides between them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

from cfgtrain.config.keys import Path, value_at


class Read(NamedTuple):
    """A variable that an expression read.

    Attributes:
        name: The variable, or the token of a reference to the bases.
        path: Keys below it that were read.
        spot: What the variable was then, where it is known.
    """

    name: str
    path: Path
    spot: Spot | None


class Parts:
    """The parts of a dict or list; shared by all names of it.

    Attributes:
        kind: dict, list or tuple.
        named: Spots by key.
        items: Spots in order, for a list or tuple; else None.
        other: What set parts that cannot be told by key, such as ``x[key] = ...`` in a loop.
        whole: Whether ``items`` are all there are, or at least the first ones.
    """

    __slots__ = ("items", "kind", "named", "other", "whole")

    def __init__(self, items: list[Spot] | None = None, kind: type = list) -> None:
        self.kind = dict if items is None else kind
        self.named: dict[object, Spot] = {}
        self.items = items
        self.other: Spot | None = None
        self.whole = True

    def copy(self) -> Parts:
        """Return parts that can be changed alone."""
        twin = Parts(None if self.items is None else list(self.items), self.kind)
        twin.named, twin.other, twin.whole = dict(self.named), self.other, self.whole
        return twin

    def literal(self) -> object:
        """Return the dict, list or tuple that the parts come to, or ``...``."""
        if self.other is not None or not self.whole:
            return ...
        spots = self.named.values() if self.items is None else self.items
        values = [spot.literal() for spot in spots]
        if any(value is ... for value in values):
            return ...
        return self.kind(values if self.items is not None else zip(self.named, values, strict=True))


class Spot:
    """Where one value came to be.

    Attributes:
        line: 1-based.
        said: What the expression says: the value of a constant; of anything else the expression,
            or ``...`` where its parts say it all: were it kept there as well, the many objects
            of the syntax tree would stay for as long as the config does.
        parts: Of a dict or list whose expression says them.
        reads: The variables that went into it.
        older: What it was before this, should the value show that this did not happen.
    """

    __slots__ = ("line", "older", "parts", "reads", "said")

    def __init__(
        self,
        line: int,
        said: object = ...,
        parts: Parts | None = None,
        reads: tuple[Read, ...] = (),
        older: Spot | None = None,
    ) -> None:
        self.line = line
        self.said = said
        self.parts = parts
        self.reads = reads
        self.older = older

    def over(self, old: Spot | None) -> Spot:
        """Return this spot with ``old`` behind it; both stay as they are: other names may hold them."""
        if old is None:
            return self
        return Spot(self.line, self.said, self.parts, self.reads, self.older or old)

    def through(self, whole: Read, key: object) -> Spot:
        """Return this spot as the part ``key`` of something that was put in whole."""
        read = whole._replace(path=(*whole.path, key))
        return Spot(self.line, self.said, self.parts, (*self.reads, read), self.older)

    def fitting(self, value: object) -> Spot:
        """Return this spot, or the newest older one that can have come to ``value``."""
        if self.older is None:
            return self
        spot: Spot | None = self
        while spot is not None and spot.older is not None and not spot._fits(value):
            spot = spot.older
        return spot if spot is not None and spot._fits(value) else self

    def is_same(self, other: Spot) -> bool:
        """Say whether both stand for one and the same setting."""
        return (self.line, self.parts) == (other.line, other.parts) and self.said is other.said

    def literal(self) -> object:
        """Return the value that the expression says, or ``...``."""
        if self.parts is not None:
            return self.parts.literal()
        if not isinstance(self.said, ast.expr):
            return self.said
        try:
            return ast.literal_eval(self.said)
        except (ValueError, TypeError, SyntaxError):
            return ...

    def part(self, key: object, value: object) -> Spot | None:
        """Return the spot of ``value[key]`` in the dict or list ``value``."""
        parts = self.parts
        if parts is None:
            return None
        if parts.items is not None:
            length = len(value) if isinstance(value, (list, tuple)) else 0
            known = parts.whole and (len(parts.items) == length or parts.other is not None)
            if known and isinstance(key, int) and 0 <= key < len(parts.items):
                return parts.items[key]
        return parts.named.get(key) or parts.other

    def _fits(self, value: object) -> bool:
        if self.parts is not None and self.parts.items is not None:
            return isinstance(value, (list, tuple))
        if self.parts is not None:
            return isinstance(value, Mapping) and self.parts.named.keys() <= value.keys()
        said = self.literal()
        return said is ... or bool(said == value)  # what is no literal may have come to anything


def trail(names: Mapping[str, Spot], values: object, path: Path) -> list[Spot]:
    """Return the spots on the way to ``path``, as far as they can be read off.

    Args:
        names: Bindings of the file.
        values: What the file really came to.
        path: Keys and indices; not empty.
    """
    first = names.get(str(path[0]))
    return [] if first is None else descent(first, value_at(values, path[:1]), path[1:])


def descent(spot: Spot, value: object, path: Path) -> list[Spot]:
    """Return ``spot``, which came to ``value``, and the spots below it on the way along ``path``."""
    found = [spot.fitting(value)]
    for key in path:
        part = found[-1].part(key, value)
        value = value[key] if isinstance(value, dict) and key in value else value_at(value, (key,))
        if part is None:
            break
        found.append(part.fitting(value))
    return found


def reads(spots: list[Spot], path: Path) -> list[Read]:
    """Return the variables that the value at the end of a trail was computed from.

    A dict that was put in whole, as in ``optimizer = base``, is read at the key in question.
    """
    found: list[Read] = []
    for depth, spot in enumerate(spots, 1):
        rest = path[depth:]
        whole = len(spot.reads) == 1 and isinstance(spot.said, ast.Name | ast.Subscript)
        if not rest:
            found += spot.reads
        elif whole or depth == len(spots):
            found += [read._replace(path=(*read.path, *rest)) if whole else read for read in spot.reads]
    return list(dict.fromkeys(found))
