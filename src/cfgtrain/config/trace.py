"""Which files and words set the keys of a config node, worked out only when somebody asks.

A node of a merged config remembers the *layers* it was made of: for each file or set of
command-line words that had a say in it, the source and the path the node has in there.
That costs one small tuple per node; which line set a key is looked up in the source on
first use.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Protocol

from cfgtrain.origin import Origin

Path = tuple[object, ...]

_OWN_MODULES = ("cfgtrain.config", "addict")


class Source(Protocol):
    """Something that set values: a file, the command line, code."""

    def defines(self, path: Path) -> bool:
        """Say whether this source set the value at ``path``."""

    def origin(self, path: Path) -> Origin:
        """Return the place that set the value at ``path``, as near as it is known."""


class FixedSource:
    """A tree of values that came from one place: a command-line word, a line of code.

    Args:
        tree: The values, as they were before any merge.
        origin: Their place.
    """

    def __init__(self, tree: object, origin: Origin) -> None:
        self.tree = tree
        self.place = origin

    def defines(self, path: Path) -> bool:
        """Say whether ``path`` leads to a value in the tree."""
        return contains(self.tree, path)

    def origin(self, path: Path) -> Origin:
        """Return the one place."""
        return self.place


class EditSource:
    """Keys of one node that code set.

    Args:
        places: The line that set each key.
    """

    def __init__(self, places: Mapping[object, Origin]) -> None:
        self.places = dict(places)

    def defines(self, path: Path) -> bool:
        """Say whether ``path`` begins with one of the keys."""
        return bool(path) and path[0] in self.places

    def origin(self, path: Path) -> Origin:
        """Return the line that set the key."""
        return self.places[path[0]]


class Trace:
    """The key path of one node and the layers it is made of, oldest first.

    Args:
        path: Keys and indices that lead to the node.
        layers: Pairs of a source and the node's path in that source.
    """

    __slots__ = ("edits", "layers", "path")

    def __init__(self, path: Path, layers: tuple[tuple[Source, Path], ...]) -> None:
        self.path = path
        self.layers = layers
        self.edits: dict[object, Origin] = {}

    def history(self, *rest: object) -> list[Origin]:
        """Return every origin of the value at ``rest`` below this node, oldest first."""
        places = [source.origin(at + rest) for source, at in self.layers if source.defines(at + rest)]
        edit = self.edits.get(rest[0]) if rest else None
        return places if edit is None else [*places, edit]

    def origin(self, *rest: object) -> Origin | None:
        """Return the newest origin of the value at ``rest`` below this node."""
        places = self.history(*rest)
        return places[-1] if places else None

    def node_origin(self) -> Origin | None:
        """Return the newest origin of the node itself."""
        return self.origin()

    def copy(self) -> Trace:
        """Return a trace whose later edits are its own."""
        twin = Trace(self.path, self.layers)
        twin.edits = dict(self.edits)
        return twin

    def over(self, base: Trace) -> Trace:
        """Return the trace of this node merged over ``base``, at the path of ``base``."""
        edited: tuple[tuple[Source, Path], ...] = ((EditSource(base.edits), ()),) if base.edits else ()
        merged = Trace(base.path, base.layers + edited + self.layers)
        merged.edits = dict(self.edits)
        return merged


def contains(tree: object, path: Path) -> bool:
    """Say whether ``path`` leads to a value in nested dicts and lists."""
    for part in path:
        if isinstance(tree, Mapping):
            # An index into a list is written as a string of digits in an override.
            part = str(part) if isinstance(part, int) and part not in tree else part
            if part not in tree:
                return False
            tree = tree[part]
        elif isinstance(tree, (list, tuple)) and isinstance(part, int) and -len(tree) <= part < len(tree):
            tree = tree[part]
        else:
            return False
    return True


def calling_code() -> Origin:
    """Return the line of code, outside this package, that is changing a config now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OWN_MODULES):
        frame = frame.f_back
    if frame is None:
        return Origin(None, None, "set in code")
    return Origin(frame.f_code.co_filename, frame.f_lineno, "set in code")
