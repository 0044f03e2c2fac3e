"""Abstract values: what is known of a value of a Python config without running it.

A dict, list or tuple is a container, shared by all names of it as in Python. The parts of an *opaque*
container are not known: it stands for all dicts, lists and objects that may be the same or parts of
each other, and has the line of the last statement that may have changed any of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from cfgtrain.config.key_paths import MAX_DEPTH, UNKNOWN, KeyPath


class Read(NamedTuple):
    """A variable that an expression read.

    Attributes:
        name: The variable, or the token of a reference.
        path: Keys below it that were read.
        value: What stood there then; None for a reference.
        time: When.
        rest: Keys below, of what is asked for later.
    """

    name: str
    path: KeyPath
    value: AbstractValue | None = None
    time: int = 0
    rest: KeyPath = ()


class AbstractValue:
    """What was put into one name, key or index.

    Attributes:
        line: 1-based line that put it there, None where that is not known.
        time: When.
        expression: The number, text or the like that the expression says, or UNKNOWN.
        container: Of a dict, list or tuple, and of what is opaque; None for a number, a text or the like.
        reads: The variables that went into it.
        whole: Whether it is the one variable that was read, and no more.
    """

    __slots__ = ("_container", "expression", "line", "reads", "time", "whole")

    def __init__(
        self,
        line: int | None,
        time: int,
        expression: object = UNKNOWN,
        container: Container | None = None,
        reads: tuple[Read, ...] = (),
        whole: bool = False,
    ) -> None:
        self.line = line
        self.time = time
        self.expression = expression
        self._container = container
        self.reads = reads
        self.whole = whole

    @property
    def container(self) -> Container | None:
        """The container, or the opaque one that it has become a part of."""
        return self._container and self._container.root()

    @property
    def parts(self) -> Any:
        """The known parts, in a dict, list or tuple as that of the config; otherwise None."""
        return self._container and self._container.root().parts

    def at(self, line: int | None, time: int, reads: tuple[Read, ...] | None = None) -> AbstractValue:
        """Return the same value, put elsewhere."""
        reads = self.reads if reads is None else reads
        return AbstractValue(line, time, self.expression, self._container, reads)

    def via(self, read: Read, key: object) -> AbstractValue:
        """Return the value as the part ``key`` of a variable that was put in whole."""
        read = read._replace(path=(*read.path, key), value=self)
        return self.at(self.line, self.time, (*self.reads, read))

    def part(self, key: Any) -> AbstractValue | None:
        """Return what stands below, None where nothing is known to."""
        if self.parts is None:
            last = self.changed()
            return (
                None if self._container is None else last.at(last.line, last.time, () if self.whole else None)
            )
        try:
            found = self.parts[key]
        except (LookupError, TypeError):
            return None
        return found if isinstance(found, AbstractValue) else None

    def changed(self) -> AbstractValue:
        """Return the value with the line of its last change."""
        container = self.container
        if container is None or container.time <= self.time:
            return self
        return self.at(container.line, container.time)

    def literal(self, time: int) -> object:
        """Return the value that it was at ``time``, or UNKNOWN."""
        if self._container is None:
            return self.expression
        parts = self.parts
        if parts is None or self.changed_after(time):
            return UNKNOWN
        values = [part.literal(time) for part in parts_in(parts)]
        if any(value is UNKNOWN for value in values):
            return UNKNOWN
        return dict(zip(parts, values, strict=True)) if type(parts) is dict else type(parts)(values)

    def changed_after(self, time: int, depth: int = 0) -> bool:
        """Return whether anything within it may have changed since ``time``."""
        container = self.container
        if container is None:
            return False
        inner = parts_in(container.parts)
        return (
            depth > MAX_DEPTH
            or container.time > time
            or any(part.changed_after(time, depth + 1) for part in inner)
        )


class Container:
    """A dict, list or tuple; or what is opaque.

    Attributes:
        parts: What is in it, in a dict, list or tuple as that of the config; None if it is opaque.
        line: Of the last change.
        time: Of the last change.
    """

    __slots__ = ("_merged", "line", "parts", "time")

    def __init__(self, parts: Any = None) -> None:
        self.parts = parts
        self.line: int | None = None
        self.time = 0
        self._merged: Container | None = None

    def root(self) -> Container:
        """Return the container, or the opaque one that it has become a part of."""
        if self._merged is None:
            return self
        while self._merged._merged is not None:
            self._merged = self._merged._merged
        return self._merged

    def change(self, line: int | None, time: int) -> None:
        """Note a change, if it is the last one."""
        if time > self.time:
            self.line, self.time = line, time


def parts_in(parts: Any) -> list[AbstractValue]:
    """Return what is in a dict, list or tuple; nothing for None."""
    return list(parts.values() if type(parts) is dict else parts or ())


def is_plain(value: AbstractValue) -> bool:
    """Return whether nothing within a value is opaque, so that no code of the config runs to look at it."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        container = todo.pop().container
        if container is not None and id(container) not in seen:
            if container.parts is None:
                return False
            seen.add(id(container))
            todo += parts_in(container.parts)
    return True


def merged(values: Iterable[AbstractValue]) -> Container:
    """Make everything that can be reached from ``values`` one opaque container; return it.

    Its line is that of the last change known so far. A tuple stays as it is; what is in it does not.
    """
    root, seen, todo = Container(), set[int](), [*values]
    while todo:
        container = todo.pop().container
        if container is None or container is root or id(container) in seen:
            continue
        todo += parts_in(container.parts)
        if type(container.parts) is tuple:
            seen.add(id(container))
            continue
        root.change(container.line, container.time)
        for part in parts_in(container.parts):
            root.change(part.line, part.time)
        container.parts, container._merged = None, root
    return root
