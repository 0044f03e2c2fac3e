"""Abstract values: what is known of a value of a Python config without running it.

A dict or list is a container, shared by all names of it as in Python. What code that is not
followed may have made or changed belongs to a region: a change of one value of a region may be a
change of any of them, so that all of them have the line of the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cfgtrain.config.key_paths import UNKNOWN, KeyPath


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


Moment = tuple[int | None, int]
"""The line of a statement, None where it is not known, and its time."""


class Region:
    """Values that code may reach together.

    There are changes that are followed, of one container; and *touches*, by code that is not followed
    and may have changed any of them.
    """

    __slots__ = ("_change", "_merged", "_merged_at", "_size", "_touch")

    def __init__(self) -> None:
        self._touch: Moment = (None, 0)
        self._change: Moment = (None, 0)
        self._size = 1
        self._merged: Region | None = None
        self._merged_at = 0

    def root(self) -> Region:
        """Return the region that this one is a part of by now."""
        region = self
        while region._merged is not None:
            region = region._merged
        return region

    def merge(self, other: Region, time: int) -> None:
        """Make one region of two; what was changed in one of them before was not in the other."""
        larger, smaller = self.root(), other.root()
        if larger is not smaller:
            if larger._size < smaller._size:
                larger, smaller = smaller, larger
            larger._size += smaller._size
            smaller._merged, smaller._merged_at = larger, time

    def touch(self, moment: Moment) -> None:
        """Note that anything in the region may have changed."""
        root = self.root()
        root._touch = root._change = moment

    def change(self, moment: Moment) -> None:
        """Note that one container of the region was changed."""
        self.root()._change = moment

    def last_touch(self) -> Moment:
        """Return when anything in the region may last have changed without being followed."""
        region, last = self, self._touch
        while region._merged is not None:
            since, region = region._merged_at, region._merged
            if region._touch[1] > since:
                last = region._touch
        return last

    def last_change(self) -> Moment:
        """Return when anything in the region last changed, or may have."""
        region, last = self, self._change
        while region._merged is not None:
            since, region = region._merged_at, region._merged
            if region._change[1] > since:
                last = region._change
        return last


class AbstractValue:
    """Where one value came to be.

    It is a container; or *opaque*, part of a region; or else a number, a text or the like.

    Attributes:
        line: 1-based, None where it is not known.
        time: When.
        expression: The value that the expression says, or UNKNOWN.
        container: Of a dict, list, tuple or set.
        region: Of an opaque value.
        reads: The variables that went into it.
        whole: Whether it is the one variable that was read, and no more.
    """

    __slots__ = ("container", "expression", "line", "reads", "region", "time", "whole")

    def __init__(
        self,
        line: int | None,
        time: int,
        expression: object = UNKNOWN,
        container: Container | None = None,
        region: Region | None = None,
        reads: tuple[Read, ...] = (),
        whole: bool = False,
    ) -> None:
        self.line = line
        self.time = time
        self.expression = expression
        self.container = container
        self.region = region
        self.reads = reads
        self.whole = whole

    def at(self, line: int | None, time: int, reads: tuple[Read, ...] | None = None) -> AbstractValue:
        """Return the same value, set elsewhere."""
        reads = self.reads if reads is None else reads
        return AbstractValue(line, time, self.expression, self.container, self.region, reads)

    def via(self, read: Read, key: object) -> AbstractValue:
        """Return the value as the part ``key`` of a variable that was put in whole."""
        read = read._replace(path=(*read.path, key), value=self)
        return self.at(self.line, self.time, (*self.reads, read))

    def escape(self, region: Region, time: int) -> None:
        """Say that code which reaches ``region`` reaches this value, and all within it, from now on."""
        todo = [self]
        while todo:
            value = todo.pop()
            container = value.container
            if container is None:
                if value.region is not None:
                    region.merge(value.region, time)
            elif container.kind is tuple:  # it cannot be changed, but what is in it can
                todo += container.values()
            elif container.region is None or container.region.root() is not region.root():
                container.settle()
                if container.region is None:
                    container.region = region.root()
                    container.settled = container.region.last_touch()[1]
                region.merge(container.region, time)
                todo += container.values()

    def part(self, key: object) -> AbstractValue | None:
        """Return what stands below, None where nothing is known to."""
        if self.container is not None:
            return self.container.part(key)
        return None if self.region is None else self.changed()

    def changed(self) -> AbstractValue:
        """Return the value with the last change of anything within it."""
        changed: Moment | None = None
        if self.container is not None:
            self.container.settle()
            changed = self.container.changed
        elif self.region is not None:
            changed = self.region.last_change()
        return self if changed is None or changed[1] <= self.time else self.at(*changed)

    def literal(self, time: int) -> object:
        """Return the value that it was at ``time``, or UNKNOWN."""
        container = self.container
        if container is None:
            return self.expression
        known = container.kind is dict or container.length is not None
        if not known or container.rest is not None or container.changed_after(time):
            return UNKNOWN
        values = {key: part.literal(time) for key, part in container.slots.items()}
        if any(value is UNKNOWN for value in values.values()):
            return UNKNOWN
        return values if container.kind is dict else container.kind(values[i] for i in range(len(values)))

    def changed_after(self, time: int) -> bool:
        """Return whether anything within it may have changed since ``time``."""
        if self.container is not None:
            parts = self.container.values()
            return self.container.changed_after(time) or any(part.changed_after(time) for part in parts)
        return self.region is not None and self.region.last_change()[1] > time


class Container:
    """The parts of a dict, list, tuple or set; shared by all names of it.

    Attributes:
        kind: Its type; None if that is not known, where no other part of the config holds it.
        slots: Its parts by key or index, in order.
        length: Of a list or tuple, all of whose items are in ``slots``; else None.
        rest: What any part that is not in ``slots`` is.
        region: Of the code that reaches it.
        settled: Time of the last change of the region that ``slots`` and ``rest`` know of.
        changed: Line and time of the last change that did not just set one part.
    """

    __slots__ = ("changed", "kind", "length", "region", "rest", "settled", "slots")

    def __init__(self, kind: Any, rest: AbstractValue | None = None) -> None:
        self.kind = kind
        self.slots: dict[Any, AbstractValue] = {}
        self.length = 0 if kind in (list, tuple) and rest is None else None
        self.rest = rest
        self.region: Region | None = None
        self.settled = 0
        self.changed: Moment | None = None

    def copy(self, kind: type | None = None) -> Container:
        """Return a container of the same parts that can be changed alone, of another kind perhaps."""
        self.settle()
        twin = Container(kind or self.kind, self.rest)
        twin.slots, twin.length = dict(self.slots), self.length
        return twin

    def values(self) -> Iterator[AbstractValue]:
        """Yield everything that stands in it."""
        self.settle()
        yield from list(self.slots.values())
        if self.rest is not None:
            yield self.rest

    def settle(self) -> None:
        """Take into account what the code that reaches the container may have done to it."""
        if self.region is not None:
            line, time = self.region.last_touch()
            if time > self.settled:
                self.settled = time
                self.replace(AbstractValue(line, time, region=self.region))

    def replace(self, rest: AbstractValue) -> None:
        """Say that any part may be ``rest`` by now."""
        self.slots = {}
        self.rest = rest
        self.length = None
        self.changed = rest.line, rest.time

    def part(self, key: object) -> AbstractValue | None:
        """Return what stands at a key or index, None where nothing does."""
        self.settle()
        try:
            found = self.slots.get(key)
        except TypeError:  # no key of any dict
            return None
        if found is None and self.rest is not None:
            found = self.rest
            if self.kind is None and found.region is None:  # nobody else holds what is in it
                found = AbstractValue(
                    found.line, found.time, container=Container(None, found), reads=found.reads
                )
                self.slots[key] = found
                if self.region is not None:
                    found.escape(self.region, 0)
        return found

    def put(self, key: object, value: AbstractValue, moment: Moment) -> None:
        """Set one part."""
        self.settle()
        if self.region is not None:
            value.escape(self.region, moment[1] - 1)
            self.region.change(moment)
        self.slots[key] = value

    def index(self, key: object) -> int | None:
        """Return the index from 0 that ``key`` means in a list, None where that is not known."""
        self.settle()
        if not isinstance(key, int) or (self.length is not None and not -self.length <= key < self.length):
            return None
        if self.length is not None:
            return key % self.length
        return None if key < 0 else int(key)

    def changed_after(self, time: int) -> bool:
        """Return whether a part of it may have been set or dropped since ``time``."""
        self.settle()
        last = 0 if self.changed is None else self.changed[1]
        return max([last, *(value.time for value in self.values())]) > time
