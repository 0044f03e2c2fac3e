"""Find the line of a config file that set a value.

A file is parsed a second time for this, on the first question only, so that a plain load
does not pay for it. What cannot be read off the text (a value that a function returned)
is given the nearest line that can: the assignment it came out of, or the file alone.
"""

from __future__ import annotations

import ast
import gc
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import yaml

from cfgtrain.config.bindings import bindings
from cfgtrain.config.formats import MERGE, TEXTS
from cfgtrain.config.keys import Path, split_key, value_at
from cfgtrain.config.spots import Parts, Read, Spot, descent, reads, trail
from cfgtrain.config.templates import TOKEN
from cfgtrain.fileio.handlers import SafeLoader
from cfgtrain.origin import Origin

# How many variables are followed back one through another.
MAX_STEPS = 8

_STATE = ("file", "text", "tree", "parseable", "references", "bases")

# A character that JSON writes in halves; what another backslash escapes is none.
_SURROGATES = re.compile(r"\\\\|(?P<halves>(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})+)")


class Use(NamedTuple):
    """What a value was computed from: a variable of the file or the environment, a value of its bases.

    Attributes:
        path: Where it stands in the file, or in its merged bases; ``("$NAME",)`` for the environment.
        inherited: Whether it is a value of the bases.
        origin: The line that set it, where that is a line of the file.
        value: What it was; ``...`` where the file alone does not tell.
        uses: What it was computed from in turn.
    """

    path: Path
    inherited: bool
    origin: Origin | None = None
    value: object = ...
    uses: tuple[Use, ...] = ()


class FileSource(ABC):
    """One config file: its text and the values it defined, before any merge.

    Args:
        file: Path as it is shown to people.
        text: The text as it stands in the file.
        tree: What the file evaluated to. The tree is only read.
        parseable: The text with ``{{ }}`` filled in or hidden behind tokens, line for line; by
            default ``text``.
        references: What stands behind each token: a key path in the bases, or the ``$NAME`` of an
            environment variable.

    Attributes:
        bases: The files that this one names as its bases, in order.
    """

    def __init__(
        self,
        file: str,
        text: str,
        tree: dict[Any, Any],
        parseable: str | None = None,
        references: Mapping[str, str] | None = None,
    ) -> None:
        self.file = file
        self.text = text
        self.tree = tree
        self.parseable = text if parseable is None else parseable
        self.references = references or {}
        self.bases: tuple[FileSource, ...] = ()
        # Who asks for one value asks for those beside it.
        self._holders: dict[Path, object] = {}  # what stands around a value
        self._places: dict[int | None, Origin] = {}  # by line

    def __getstate__(self) -> dict[str, Any]:
        """Return what the file is; what was found out about it is found out again by whoever asks."""
        return {name: vars(self)[name] for name in _STATE} | {"_holders": {}, "_places": {}}

    def defines(self, path: Path) -> bool:
        """Say whether the file set a value at ``path``."""
        if not path:
            return True
        holder = self._holders.get(path[:-1])
        if holder is None:
            holder = self._holders[path[:-1]] = value_at(self.tree, path[:-1])
        return path[-1] in holder if type(holder) is dict else value_at(holder, path[-1:]) is not ...

    def origin(self, path: Path) -> Origin:
        """Return the place of the value at ``path``."""
        line = self.line(path)
        return self._places.get(line) or self._place(line)

    def _place(self, line: int | None) -> Origin:
        last = None if line is None else min(line, len(self._lines))
        text = "" if last is None else self._lines[last - 1].strip()
        place = self._places[line] = Origin(self.file, last, text)
        return place

    @abstractmethod
    def line(self, path: Path) -> int | None:
        """Return the 1-based line, or None when only the file is known."""

    @abstractmethod
    def uses(self, path: Path) -> list[Use]:
        """Return the variables and inherited values that went into the value at ``path``."""

    def _referenced(self, token: str, rest: Path) -> Use:
        """Return the use of what stands behind a token."""
        name = self.references[token]
        if name.startswith("$"):
            return Use((name,), False)
        keys = [int(key) if key.lstrip("-").isdecimal() else key for key in split_key(name)]
        return Use((*keys, *rest), True)

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines() or [""]


class PythonSource(FileSource):
    """A ``.py`` config, read as ``bindings`` reads it."""

    def line(self, path: Path) -> int | None:
        """Follow ``path`` through assignments, ``dict(...)`` calls, displays and names."""
        return (self._nearest(path)[0].line or None) if path else None

    def _nearest(self, path: Path) -> tuple[Spot, object, bool]:
        """Return the last spot of the trail to ``path``, what stands there, and whether the spot is of that.

        Whoever asks for one key asks for those beside it: what is above them is followed once.
        """
        above = self._above.get(path[:-1])
        if above is None:
            above = self._above[path[:-1]] = self._nearest(path[:-1])
        spot, holder, found = above
        key = path[-1]
        value = holder[key] if type(holder) is dict and key in holder else value_at(holder, (key,))
        part = spot.part(key, holder) if found else None
        if part is None:
            return spot, value, False
        return part if part.older is None else part.fitting(value), value, True

    @cached_property
    def _above(self) -> dict[Path, tuple[Spot, object, bool]]:
        """What is known of the dicts and lists that hold what was asked for, the file first."""
        whole = Parts()
        whole.named.update(self.names)
        return {(): (Spot(0, parts=whole), self.tree, True)}

    def uses(self, path: Path) -> list[Use]:
        """Return what the expression at ``path``, or the nearest one around it, read."""
        spots = trail(self.names, self.tree, path)
        return [self._use(read, 0) for read in reads(spots, path)]

    @cached_property
    def names(self) -> dict[str, Spot]:
        """What each name of the file is bound to at its end."""
        with _no_collection():
            return bindings(ast.parse(self.parseable))

    def _use(self, read: Read, depth: int) -> Use:
        if read.spot is None:
            return self._referenced(read.name, read.path)
        path = (read.name, *read.path)
        last = self.names.get(read.name)
        # Set anew since then, the name no longer says what it was.
        value = value_at(self.tree, path[:1]) if last is not None and last.is_same(read.spot) else ...
        spots = descent(read.spot, value, read.path)
        value = spots[-1].literal() if value is ... else value_at(value, read.path)
        inner = reads(spots, path) if depth < MAX_STEPS else []
        uses = tuple(self._use(each, depth + 1) for each in inner)
        return Use(path, False, self._place(spots[-1].line), value, uses)


class MarkedSource(FileSource):
    """A ``.yaml`` or ``.json`` config, located by the node marks of the YAML parser."""

    def line(self, path: Path) -> int | None:
        """Follow ``path`` through the composed nodes."""
        line = None
        for line, _ in self._steps(path):  # noqa: B007  # the last one is meant
            pass
        return line

    def uses(self, path: Path) -> list[Use]:
        """Return what references and aliases on the way to ``path`` stand for."""
        found = []
        for depth, (_, node) in enumerate(self._steps(path), 1):
            tokens = TOKEN.findall(node.value) if node.id == "scalar" else []
            rest = path[depth:]
            found += [self._referenced(token, rest) for token in tokens]
            first = self._first_paths[id(node)]
            if first != path[:depth]:
                there = (*first, *rest)
                uses = tuple(self.uses(there))
                return [*found, Use(there, False, self.origin(there), value_at(self.tree, there), uses)]
        return found

    def _steps(self, path: Path) -> Iterator[tuple[int, Any]]:
        """Yield the line and the node at each step along ``path``, as far as there are nodes."""
        node = self._root
        for part in path:
            found = None if node is None else self._child(node, part)
            if found is None:
                return
            yield found
            node = found[1]

    def _child(self, node: Any, part: object) -> tuple[int, Any] | None:
        """Return the line and the node of one part."""
        if node.id == "sequence":
            inside = isinstance(part, int) and 0 <= part < len(node.value)
            return (node.value[part].start_mark.line + 1, node.value[part]) if inside else None
        return self._keys(node).get(part)

    def _keys(self, node: Any) -> dict[object, tuple[int, Any]]:
        """Return the line and the node of every key of a mapping, those that ``<<`` merges in included."""
        if id(node) not in self._known_keys:
            own: dict[object, tuple[int, Any]] = {}
            merged: list[Any] = []
            for key, value in node.value if node.id == "mapping" else ():
                if key.tag == MERGE:
                    merged += value.value if value.id == "sequence" else [value]
                else:
                    own[_key(key)] = (key.start_mark.line + 1, value)
            inherited = [self._keys(each) for each in reversed(merged)]  # the first that has a key wins
            self._known_keys[id(node)] = {
                key: found for keys in [*inherited, own] for key, found in keys.items()
            }
        return self._known_keys[id(node)]

    @cached_property
    def _known_keys(self) -> dict[int, dict[object, tuple[int, Any]]]:
        """The keys of each mapping that was asked for; a file may have thousands, each asked for."""
        return {}

    @cached_property
    def _root(self) -> Any:
        try:
            return yaml.compose(_as_yaml(self.parseable), Loader=SafeLoader)
        except yaml.YAMLError:
            return None

    @cached_property
    def _first_paths(self) -> dict[int, Path]:
        """The path at which each node first stands: an alias is the same node once more."""
        found: dict[int, Path] = {}
        todo: list[tuple[Any, Path]] = [(self._root, ())]
        while todo:
            node, path = todo.pop()
            if id(node) not in found:
                found[id(node)] = path
                todo += reversed([(child, (*path, key)) for key, child in _marked_children(node)])
        return found


@contextmanager
def _no_collection() -> Iterator[None]:
    """Put off the collection of garbage, for milliseconds.

    A syntax tree is thousands of objects, none of which is garbage before all of them are: each
    collection on the way walks them in vain.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _as_yaml(text: str) -> str:
    """Return JSON, or YAML, with what YAML does not take of JSON in other words; lines stay lines."""
    # Tabs between tokens; inside JSON strings they cannot stand.
    return _SURROGATES.sub(_characters, text.replace("\t", " "))


def _characters(match: re.Match[str]) -> str:
    """Return the characters that JSON writes as halves, such as an emoji; a half alone becomes a ``?``."""
    if match["halves"] is None:
        return match[0]
    characters: str = json.loads(f'"{match[0]}"')
    return characters.encode(errors="replace").decode()


def _key(node: Any) -> object:
    """Return what a node is as a key: the text itself, or what YAML reads it as, such as a number."""
    if node.id == "sequence":
        return tuple(_key(item) for item in node.value)
    if node.tag in TEXTS:
        return node.value
    return SafeLoader.yaml_constructors[node.tag](SafeLoader(""), node)


def _marked_children(node: Any) -> list[tuple[object, Any]]:
    if node.id == "mapping":
        return [(_key(key), value) for key, value in node.value]
    return list(enumerate(node.value)) if node.id == "sequence" else []
