"""A YAML or JSON config as a source of values: the lines of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from yaml.nodes import MappingNode, Node, SequenceNode

from cfgtrain.config.key_paths import KeyPath, value_at
from cfgtrain.config.provenance.file_source import Dependency, FileSource
from cfgtrain.config.templates import TOKEN
from cfgtrain.config.yaml_reader import YamlDocument, parse_yaml
from cfgtrain.errors import ConfigError

__all__ = ["YamlSource"]


class YamlSource(FileSource):
    """A ``.yaml`` or ``.json`` config, located by the nodes of the YAML reader."""

    def line(self, path: KeyPath) -> int | None:
        """Follow ``path`` through the nodes."""
        line = None
        for line, _ in self._steps(path):  # noqa: B007  # the last one is meant
            pass
        return line

    def uses(self, path: KeyPath) -> list[Dependency]:
        """Return the targets of the references and aliases along ``path``."""
        found = []
        for depth, (_, node) in enumerate(self._steps(path), 1):
            tokens = TOKEN.findall(node.value) if node.id == "scalar" else []
            rest = path[depth:]
            found += [self._referenced(token, rest) for token in tokens]
            first = self._first_paths[node]
            if first != path[:depth]:
                there = (*first, *rest)
                uses = tuple(self.uses(there))
                return [
                    *found,
                    Dependency(there, False, self.origin(there), value_at(self.tree, there), uses),
                ]
        return found

    def _steps(self, path: KeyPath) -> Iterator[tuple[int, Any]]:
        """Yield the line and the node at each step along ``path``, as far as there are nodes."""
        node: Any = self.document.root
        for part in path:
            if isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
                node = marked = node.value[part]
            elif isinstance(node, MappingNode) and part in self.document.entries[node]:
                marked, node = self.document.entries[node][part]
            else:
                return
            yield marked.start_mark.line + 1, node

    @cached_property
    def document(self) -> YamlDocument:
        """The parsed ``parseable``; a loader that has parsed it already sets it."""
        try:
            return parse_yaml(self.parseable, self.file)
        except ConfigError:  # JSON that YAML does not read, such as a very long key
            return YamlDocument(None, None, {})

    @cached_property
    def _first_paths(self) -> dict[Node, KeyPath]:
        """The path of the first occurrence of each node: an alias is the same node again."""
        found: dict[Node, KeyPath] = {}
        todo: list[tuple[Any, KeyPath]] = [(self.document.root, ())]
        while todo:
            node, path = todo.pop()
            if node not in found:
                found[node] = path
                todo += reversed([(child, (*path, key)) for key, child in self._children(node)])
        return found

    def _children(self, node: Any) -> list[tuple[object, Any]]:
        """Return the keys or indices of a node and the nodes there, in the order of the text."""
        if isinstance(node, MappingNode):
            entries = self.document.entries[node].items()  # in which the merged ones come first
            ordered = sorted(entries, key=lambda entry: entry[1][0].start_mark.index)
            return [(key, value) for key, (_, value) in ordered]
        return list(enumerate(node.value)) if isinstance(node, SequenceNode) else []
