"""Find the line of a YAML or JSON config that set a value.

A file is parsed a second time for this, on the first question only, so that a plain load
does not pay for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import yaml

from cfgtrain.config.formats import MERGE, TEXTS
from cfgtrain.config.keys import Path, value_at
from cfgtrain.config.provenance.file_source import Dependency, FileSource
from cfgtrain.config.templates import TOKEN
from cfgtrain.fileio.handlers import SafeLoader

# A character that JSON writes in halves; what another backslash escapes is none.
_SURROGATES = re.compile(r"\\\\|(?P<halves>(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})+)")


class MarkedSource(FileSource):
    """A ``.yaml`` or ``.json`` config, located by the node marks of the YAML parser."""

    def line(self, path: Path) -> int | None:
        """Follow ``path`` through the composed nodes."""
        line = None
        for line, _ in self._steps(path):  # noqa: B007  # the last one is meant
            pass
        return line

    def uses(self, path: Path) -> list[Dependency]:
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
                return [
                    *found,
                    Dependency(there, False, self.origin(there), value_at(self.tree, there), uses),
                ]
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
