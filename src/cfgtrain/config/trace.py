"""The origins of the keys of a config node: which files, overrides and code set them.

A node of a config holds its key path and the *sources* that may have set its values: files,
overrides of the command line, lines of code. That costs one small tuple per node; which source
set a key, and on which line, is only computed on request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from cfgtrain.config.key_paths import KeyPath, has_path
from cfgtrain.introspection.frames import find_caller, in_modules
from cfgtrain.origin import Origin

_is_own = in_modules("cfgtrain.config", "addict")


class Source(Protocol):
    """Something that set values: a file, the command line, code."""

    def defines(self, path: KeyPath) -> bool:
        """Return whether this source set the value at ``path`` of the config."""

    def origin(self, path: KeyPath) -> Origin:
        """Return the origin of the value at ``path``, as precisely as it is known."""


class FixedSource(NamedTuple):
    """A tree of values that came from one place: a command-line word, a line of code.

    Attributes:
        tree: The values, as they were before any merge.
        place: Where they came from.
        root: Path of the tree in the config.
    """

    tree: object
    place: Origin
    root: KeyPath = ()

    def defines(self, path: KeyPath) -> bool:
        """Return whether ``path`` leads to a value in the tree."""
        below = len(self.root)
        return path[:below] == self.root and has_path(self.tree, path[below:])

    def origin(self, path: KeyPath) -> Origin:
        """Return the one place."""
        return self.place


class EditSource(NamedTuple):
    """Keys of one node that code set.

    Attributes:
        places: The line that set each key.
        root: Path of the node in the config.
    """

    places: Mapping[object, Origin]
    root: KeyPath

    def defines(self, path: KeyPath) -> bool:
        """Return whether ``path`` goes through one of the keys."""
        below = len(self.root)
        return len(path) > below and path[:below] == self.root and path[below] in self.places

    def origin(self, path: KeyPath) -> Origin:
        """Return the line that set the key."""
        return self.places[path[len(self.root)]]


class MovedSource(NamedTuple):
    """A source whose values have another path in the config than in the source.

    Attributes:
        source: What set them.
        there: Their path in the source.
        here: Their path in the config.
    """

    source: Source
    there: KeyPath
    here: KeyPath

    def defines(self, path: KeyPath) -> bool:
        """Return whether the source set the value at ``path``."""
        below = len(self.here)
        return path[:below] == self.here and self.source.defines(self.there + path[below:])

    def origin(self, path: KeyPath) -> Origin:
        """Return the place in the source."""
        return self.source.origin(self.there + path[len(self.here) :])


class Trace(NamedTuple):
    """The key path of one node and the sources of its values.

    Attributes:
        path: Keys and indices that lead to the node.
        sources: What may have set its values, oldest first.
        edits: The line of code that set each key since; None before the first.
    """

    path: KeyPath
    sources: tuple[Source, ...]
    edits: dict[object, Origin] | None = None

    def history(self, *rest: object) -> list[Origin]:
        """Return every origin of the value at ``rest`` below this node, oldest first."""
        path = self.path + rest
        places = [source.origin(path) for source in self.sources if source.defines(path)]
        if self.edits and rest and rest[0] in self.edits:
            places.append(self.edits[rest[0]])
        return places

    def origin(self, *rest: object) -> Origin | None:
        """Return the newest origin of the value at ``rest`` below this node."""
        if self.edits and rest and rest[0] in self.edits:
            return self.edits[rest[0]]
        path = self.path + rest
        for source in self.sources[::-1]:
            if source.defines(path):
                return source.origin(path)
        return None

    def copy(self) -> Trace:
        """Return a copy; an edit of one is not recorded in the other."""
        return self if self.edits is None else self._replace(edits=dict(self.edits))

    def over(self, base: Trace) -> Trace:
        """Return the trace of this node merged over ``base``, at the path of ``base``."""
        edited = (EditSource(base.edits, base.path),) if base.edits else ()
        own = self.sources
        if self.path != base.path:
            own = tuple(MovedSource(source, self.path, base.path) for source in own)
        return Trace(base.path, base.sources + edited + own, self.edits)


def calling_code() -> Origin:
    """Return the line of code, outside this package, that is changing a config now."""
    frame = find_caller(_is_own).frame
    return Origin(frame.f_code.co_filename, frame.f_lineno, "set in code")


def stack_level() -> int:
    """Return the ``stacklevel`` with which a warning names the code outside this package."""
    return find_caller(_is_own).stack_level
