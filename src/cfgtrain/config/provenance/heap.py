"""The names and containers of a Python config while its execution is followed, and what changes them."""

from __future__ import annotations

from cfgtrain.config.key_paths import UNKNOWN
from cfgtrain.config.provenance.abstract_value import AbstractValue, Container, Moment, Read, Region

# The parts of a larger container are not followed one by one where all of them are copied, moved or looked at.
MAX_PARTS = 1000
# A value that nests deeper is not looked through.
MAX_NESTED = 50


class Heap:
    """What the names of a file stand for at one moment.

    Attributes:
        names: The names at the top of the file.
        captured: Those that functions within the file read.
        world: What code that is not followed can reach.
        line: Of the statement at hand, None where it may not have come to its last line.
        started: When that statement began.
        time: Now.
    """

    def __init__(self) -> None:
        self.names = Container(dict)
        self.captured: frozenset[str] = frozenset()
        self.world = Region()
        self.line: int | None = None
        self.started = self.time = 1

    def begin(self, line: int | None) -> None:
        """Begin a statement."""
        self.time += 1
        self.started = self.time
        self.line = line

    def now(self) -> Moment:
        """Return this moment, which is later than any before."""
        self.time += 1
        return self.line, self.time

    def made(
        self, container: Container | None = None, line: int | None = None, reads: tuple[Read, ...] = ()
    ) -> AbstractValue:
        """Return a new container, or else a number, a text or the like."""
        return AbstractValue(line or self.line, self.time, container=container, reads=reads)

    # --------------------------------------------------------------------------- opaque values

    def touch(self, region: Region) -> None:
        """Follow code that may have changed whatever is in a region."""
        region.touch(self.now())
        self.time += 1

    def foreign(
        self, *values: AbstractValue, touch: bool = True, reads: tuple[Read, ...] = ()
    ) -> AbstractValue:
        """Return what code that is not followed made of ``values``, and may do with them from now on."""
        for value in values:
            value.escape(self.world, self.time)
        if touch:
            self.touch(self.world)
        return AbstractValue(self.line, self.time, region=self.world.root(), reads=reads)

    def derive(
        self, *values: AbstractValue, line: int | None = None, reads: tuple[Read, ...] = ()
    ) -> AbstractValue:
        """Return what an operation that changes nothing made of ``values``, perhaps one of their parts."""
        region = Region()
        for value in values:
            self.operate(value)
            value.escape(region, self.time)
        return AbstractValue(line or self.line, self.time, region=region.root(), reads=reads)

    def sequence_of(
        self, *values: AbstractValue, kind: type = list, line: int | None = None
    ) -> AbstractValue:
        """Return a new container of some of what is in ``values``."""
        rest = self.derive(*values, line=line, reads=tuple(read for value in values for read in value.reads))
        return self.made(Container(kind, rest), line, rest.reads)

    def operate(self, value: AbstractValue) -> None:
        """Follow an operation on a value, which may run code if it is of a type of its own."""
        if self.is_foreign(value):
            self.touch(self.world)

    def is_foreign(self, value: AbstractValue, depth: int = 0) -> bool:
        """Return whether a value, or any within it, may have code of its own."""
        world, container = self.world.root(), value.container
        region = value.region if container is None else container.region
        if depth > MAX_NESTED or (region is not None and region.root() is world):
            return True
        if container is not None and len(container.slots) > MAX_PARTS:
            return True
        return container is not None and any(self.is_foreign(part, depth + 1) for part in container.values())

    # ----------------------------------------------------------------------------------- names

    def lookup(self, name: str) -> AbstractValue | None:
        """Return what a name stands for, None for a builtin."""
        return self.names.part(name)

    def bind(self, name: str, value: AbstractValue) -> None:
        """Set a name."""
        if name in self.captured:
            value.escape(self.world, self.time)
        self.names.put(name, value, self.now())

    # ------------------------------------------------------------------------------ containers

    def note(self, container: Container) -> None:
        """Note a change of a container for whatever may be a part of it."""
        if container.region is not None:
            container.region.change(self.now())

    def widen(self, container: Container, *values: AbstractValue) -> None:
        """Follow a statement that may have set any part of a container to any of ``values``, or moved it."""
        region = container.region or Region()
        for value in [*container.values(), *values]:
            value.escape(region, self.time)
        reads = tuple(read for value in values for read in value.reads)
        container.replace(AbstractValue(*self.now(), region=region.root(), reads=reads))
        self.note(container)

    def copy(self, container: Container, kind: type | None = None) -> Container:
        """Return a container of the same parts that can be changed alone, of another kind perhaps."""
        container.settle()
        if len(container.slots) <= MAX_PARTS:
            return container.copy(kind)
        rest = self.derive(self.made(container))
        return Container(kind or container.kind, rest)

    def set_part(self, container: Container, key: object, value: AbstractValue) -> None:
        """Set one part of a dict or list."""
        if container.kind is not dict:
            key = container.index(key) if container.kind is not None or type(key) is int else key
            key = UNKNOWN if key is None else key
        if key is UNKNOWN:
            self.widen(container, value)
        else:
            container.put(key, value, self.now())

    def drop(self, container: Container, key: object) -> AbstractValue | None:
        """Drop one part of a dict or list, and return it if that is known."""
        container.settle()
        if container.kind is dict and key is not UNKNOWN:
            part = container.part(key)
            container.slots.pop(key, None)
            container.changed = self.now()
            self.note(container)
            return part
        index = container.index(key)
        if index is None or container.kind is not list or container.length is None:
            self.widen(container)
            return None
        items = self.items(container)
        self.rearrange(container, [*items[:index], *items[index + 1 :]], index)
        container.changed = self.now()
        return items[index]

    def items(self, container: Container) -> list[AbstractValue]:
        """Return the items of a list or tuple whose length is known."""
        return [container.slots[i] for i in range(container.length or 0)]

    def rearrange(self, container: Container, items: list[AbstractValue], first: int) -> None:
        """Set the items of a list, of which those from ``first`` on have another place than before."""
        if len(items) - first > MAX_PARTS:
            self.widen(container, *items[first:])
            return
        container.length = len(items)
        container.slots = dict(enumerate([*items[:first], *map(self.moved, items[first:])]))
        self.note(container)

    def moved(self, value: AbstractValue) -> AbstractValue:
        """Return a value set by this statement, which did not make it."""
        return value if value.time >= self.started else value.at(self.line, self.time)

    def append(self, container: Container, value: AbstractValue, several: bool = False) -> None:
        """Add one item to a list, or ``several``, that are ``value`` or in it, how many being unknown."""
        container.settle()
        if container.length is not None and not several:
            container.put(container.length, value, self.now())
            container.length += 1
            return
        region = container.region or Region()
        for each in (value, *filter(None, [container.rest])):
            each.escape(region, self.time)
        container.rest = AbstractValue(value.line, self.time, region=region.root(), reads=value.reads)
        container.length = None
        self.note(container)

    def extend(self, container: Container, value: AbstractValue) -> None:
        """Add the items of ``value`` to a list."""
        other = value.container
        if other is not None:
            other.settle()
        if other is None or other.length is None:
            self.append(container, self.derive(value, reads=value.reads), several=True)
        else:
            for item in self.items(other):
                self.append(container, item)

    def update(self, container: Container, value: AbstractValue) -> None:
        """Lay the parts of one dict over another."""
        other = value.container
        if other is not None:
            other.settle()
        followed = other is not None and other.kind is dict and container.kind is dict
        if other is None or not followed or other.rest is not None:
            self.operate(value)
            self.widen(container, value)
        if other is not None and followed:
            for key, part in other.slots.items():
                container.put(key, part, self.now())

    def deep_copy(self, container: Container, known: dict[Container, Container]) -> Container:
        """Return a copy of a container and of all within it."""
        if container not in known:
            twin = known[container] = self.copy(container)
            for key, part in [*twin.slots.items()]:
                inner = part.container and self.deep_copy(part.container, known)
                twin.slots[key] = AbstractValue(
                    part.line, part.time, part.expression, inner, part.region, part.reads
                )
        return known[container]
