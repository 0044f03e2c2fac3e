"""Find the line of a config file that set a value.

A Python file is parsed a second time for this, on the first question only, so that a plain
load does not pay for it. What cannot be read off the text (a value that a function returned)
is given the nearest line that can: the assignment it came out of, or the file alone.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from yaml.nodes import MappingNode, Node, SequenceNode

from cfgtrain.config.bindings import bindings
from cfgtrain.config.key_paths import Path, has_path, split_key, value_at
from cfgtrain.config.spots import Parts, Read, Spot, descent, reads, trail
from cfgtrain.config.templates import TOKEN
from cfgtrain.config.yaml_reader import YamlDocument, parse_yaml
from cfgtrain.errors import ConfigError
from cfgtrain.origin import Origin

# How many variables are followed back one through another.
MAX_STEPS = 8

_STATE = ("file", "text", "tree", "parseable", "references", "bases")


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

    def __getstate__(self) -> dict[str, Any]:
        """Return what the file is; what was found out about it is found out again by whoever asks."""
        return {name: vars(self)[name] for name in _STATE}

    def defines(self, path: Path) -> bool:
        """Say whether the file set a value at ``path``."""
        return has_path(self.tree, path)

    def origin(self, path: Path) -> Origin:
        """Return the place of the value at ``path``."""
        return self._place(self.line(path))

    def _place(self, line: int | None) -> Origin:
        if line is None:
            return Origin(self.file, None, "")
        line = min(line, len(self._lines))
        return Origin(self.file, line, self._lines[line - 1].strip())

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
    """A ``.yaml`` or ``.json`` config, located by the nodes of the YAML reader.

    Args:
        document: What the YAML reader made of ``parseable``, where that is known already.
    """

    def __init__(
        self,
        file: str,
        text: str,
        tree: dict[Any, Any],
        parseable: str | None = None,
        references: Mapping[str, str] | None = None,
        document: YamlDocument | None = None,
    ) -> None:
        super().__init__(file, text, tree, parseable, references)
        if document is not None:
            self._document = document

    def line(self, path: Path) -> int | None:
        """Follow ``path`` through the nodes."""
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
            first = self._first_paths[node]
            if first != path[:depth]:
                there = (*first, *rest)
                uses = tuple(self.uses(there))
                return [*found, Use(there, False, self.origin(there), value_at(self.tree, there), uses)]
        return found

    def _steps(self, path: Path) -> Iterator[tuple[int, Any]]:
        """Yield the line and the node at each step along ``path``, as far as there are nodes."""
        node: Any = self._document.root
        for part in path:
            if isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
                node = marked = node.value[part]
            elif isinstance(node, MappingNode) and part in self._document.entries[node]:
                marked, node = self._document.entries[node][part]
            else:
                return
            yield marked.start_mark.line + 1, node

    @cached_property
    def _document(self) -> YamlDocument:
        try:
            return parse_yaml(self.parseable, self.file)
        except ConfigError:  # JSON that YAML does not read, such as a very long key
            return YamlDocument(None, None, {})

    @cached_property
    def _first_paths(self) -> dict[Node, Path]:
        """The path at which each node first stands: an alias is the same node once more."""
        found: dict[Node, Path] = {}
        todo: list[tuple[Any, Path]] = [(self._document.root, ())]
        while todo:
            node, path = todo.pop()
            if node not in found:
                found[node] = path
                todo += reversed([(child, (*path, key)) for key, child in self._children(node)])
        return found

    def _children(self, node: Any) -> list[tuple[object, Any]]:
        """Return the keys or indices of a node and the nodes there, in the order of the text."""
        if isinstance(node, MappingNode):
            entries = self._document.entries[node].items()  # in which the merged ones come first
            ordered = sorted(entries, key=lambda entry: entry[1][0].start_mark.index)
            return [(key, value) for key, (_, value) in ordered]
        return list(enumerate(node.value)) if isinstance(node, SequenceNode) else []
