"""A Python config as a source of values: the lines of the statements that set them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from cfgtrain.config.key_paths import UNKNOWN, KeyPath, value_at
from cfgtrain.config.provenance.abstract_value import AbstractValue, Container, Read
from cfgtrain.config.provenance.execution import Record
from cfgtrain.config.provenance.file_source import Dependency, FileSource
from cfgtrain.config.provenance.interpreter import follow

# How many variables are followed back one through another.
MAX_STEPS = 8

_UNCHANGING = frozenset({str, int, float, bool, type(None)})


class PythonSource(FileSource):
    """A ``.py`` config; it is followed, on the first question, as it was executed.

    Attributes:
        record: What of it ran, if that was recorded.
        shadowed: The builtins that it has names of its own for.
    """

    record: Record | None = None
    shadowed: frozenset[str] = frozenset()

    def __getstate__(self) -> dict[str, Any]:
        """Return what the file is, and what of it ran."""
        return super().__getstate__() | {"record": self.record, "shadowed": self.shadowed}

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the statement that set the value, or may have been the last to change it."""
        found = self._resolve(path) if path else None
        if found is None:
            return None
        value = value_at(self.tree, path)
        fixed = type(value) in _UNCHANGING or (isinstance(value, (dict, list, tuple)) and value)
        return found.line if fixed else found.changed().line

    def uses(self, path: KeyPath) -> list[Dependency]:
        """Return what the expression at ``path``, or the nearest one around it, read."""
        values = descend(AbstractValue(0, 0, container=self._names), path)[1:]
        return [self._dependency(read, 0) for read in reads(values, path)]

    def _resolve(self, path: KeyPath) -> AbstractValue | None:
        """Return the value at ``path``; whoever asks for one key asks for those beside it."""
        if path not in self._resolved:
            above = self._resolve(path[:-1])
            self._resolved[path] = above and above.part(path[-1])
        return self._resolved[path]

    @cached_property
    def _resolved(self) -> dict[KeyPath, AbstractValue | None]:
        return {(): AbstractValue(0, 0, container=self._names)}

    @cached_property
    def _names(self) -> Container:
        """What each name of the file stands for at its end."""
        try:
            return follow(self.parseable, self.record, self.shadowed)
        except RecursionError:  # nothing is known of what is so deep
            return Container({})

    def _dependency(self, read: Read, depth: int) -> Dependency:
        if read.value is None:
            return self._referenced(read.name, (*read.path, *read.rest))
        path = (read.name, *read.path, *read.rest)
        values = descend(read.value, read.rest, read.time)
        if len(values) <= len(read.rest) or values[-1].changed_after(read.time):
            return Dependency(path, False)  # set anew since then, it no longer says what it was
        last = values[-1]
        value = last.literal(read.time)
        if value is UNKNOWN and self._resolve(path) is last:
            value = value_at(self.tree, path)
        inner = reads(values, (read.name, *read.rest)) if depth < MAX_STEPS else []
        uses = tuple(self._dependency(each, depth + 1) for each in inner)
        return Dependency(path, False, self._place(last.line), value, uses)


def descend(value: AbstractValue, path: KeyPath, time: int | None = None) -> list[AbstractValue]:
    """Return ``value`` and those below it on the way along ``path``, as far as they are known.

    Args:
        value: Where to begin.
        path: Keys and indices.
        time: A value that was set after this is not known.
    """
    found = [value]
    for key in path:
        part = found[-1].part(key)
        if part is None or (time is not None and part.time > time):
            break
        found.append(part)
    return found


def reads(values: list[AbstractValue], path: KeyPath) -> list[Read]:
    """Return the variables that the last of ``values``, those on the way along ``path``, was computed from.

    A dict that was put in whole, as in ``optimizer = base``, is read at the key in question.
    """
    found: list[Read] = []
    for depth, value in enumerate(values, 1):
        rest = path[depth:]
        if not rest:
            found += value.reads
        elif value.whole or depth == len(values):
            found += [
                read._replace(rest=(*read.rest, *rest)) if value.whole else read for read in value.reads
            ]
    return list(dict.fromkeys(found))
