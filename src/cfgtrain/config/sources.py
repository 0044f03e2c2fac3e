"""Find the line of a config file that set a value.

A file is parsed a second time for this, on the first question only, so that a plain load
does not pay for it. What cannot be read off the text (a value that a function returned)
is given the nearest line that can: the assignment it came out of, or the file alone.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from cfgtrain.config.keys import Path, has_path
from cfgtrain.origin import Origin


class FileSource(ABC):
    """One config file: its text and the values it defined, before any merge.

    Args:
        file: Path as it is shown to people.
        text: The text as it stands in the file.
        tree: What the file evaluated to. The tree is only read.
        parseable: The text with ``{{ }}`` filled in or hidden behind tokens, line for line; by
            default ``text``.
        references: The key path in the bases behind each token.

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

    def defines(self, path: Path) -> bool:
        """Say whether the file set a value at ``path``."""
        return has_path(self.tree, path)

    def origin(self, path: Path) -> Origin:
        """Return the place of the value at ``path``."""
        line = self.line(path)
        return Origin(self.file, line, "" if line is None else self._lines[line - 1].strip())

    @abstractmethod
    def line(self, path: Path) -> int | None:
        """Return the 1-based line, or None when only the file is known."""

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines() or [""]


class PythonSource(FileSource):
    """A ``.py`` config."""

    def line(self, path: Path) -> int | None:
        """Follow ``path`` through assignments, ``dict(...)`` calls, displays and names."""
        if not path:
            return None
        found = self._assignment(str(path[0]), path[1:], before=None)
        return min(found, len(self._lines)) if found is not None else None

    @cached_property
    def _statements(self) -> list[ast.stmt]:
        return list(_flat(ast.parse(self.parseable).body))

    def _assignment(self, name: str, rest: Path, before: ast.stmt | None) -> int | None:
        """Return the line of the last statement that set ``name`` (and ``rest`` below it)."""
        end = len(self._statements) if before is None else self._statements.index(before)
        for statement in reversed(self._statements[:end]):
            for target, value in _settings(statement):
                keys = _target_path(target, name)
                if keys is None or keys != rest[: len(keys)]:
                    continue
                if _is_update(statement) and not self._has(value, rest[len(keys) :], statement):
                    continue
                return self._descend(value, rest[len(keys) :], statement)
        return None

    def _descend(self, node: ast.expr, rest: Path, statement: ast.stmt) -> int:
        """Return the line of the deepest node that can be read off the text."""
        while rest:
            if isinstance(node, ast.Name):
                return self._assignment(node.id, rest, before=statement) or node.lineno
            child = _child(node, rest[0])
            if child is None:
                return self._spread(node, rest, statement) or node.lineno
            node, rest = child, rest[1:]
        return node.lineno

    def _spread(self, node: ast.expr, rest: Path, statement: ast.stmt) -> int | None:
        """Look ``rest`` up in the ``**names`` that ``node`` spreads, last one first."""
        for name in reversed(_spread_names(node)):
            line = self._assignment(name, rest, before=statement)
            if line is not None:
                return line
        return None

    def _has(self, node: ast.expr, rest: Path, statement: ast.stmt) -> bool:
        return not rest or _child(node, rest[0]) is not None


class MarkedSource(FileSource):
    """A ``.yaml`` or ``.json`` config, located by the node marks of the YAML parser."""

    def line(self, path: Path) -> int | None:
        """Follow ``path`` through the composed nodes."""
        node, line = self._root, None
        for part in path:
            if node is None:
                break
            line, node = _marked_child(node, part, line)
        return line

    @cached_property
    def _root(self) -> Any:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            # JSON allows tabs between tokens, which YAML does not; inside JSON strings they cannot stand.
            return yaml.compose(self.text.replace("\t", " "), Loader=loader)
        except yaml.YAMLError:
            return None


def _marked_child(node: Any, part: object, line: int | None) -> tuple[int | None, Any]:
    if node.id == "mapping":
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    elif node.id == "sequence" and isinstance(part, int) and part < len(node.value):
        value = node.value[part]
        return value.start_mark.line + 1, value
    return line, None


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run at the top of the file, in order, through if/for/with/try."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for field in ("body", "orelse", "handlers", "finalbody"):
            for inner in getattr(statement, field, []):
                yield from _flat(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


def _is_update(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr)


def _settings(statement: ast.stmt) -> list[tuple[ast.expr, ast.expr]]:
    """Return the (target, value) pairs of an assignment or an ``x.update(...)``."""
    match statement:
        case ast.Assign(targets=targets, value=value):
            return [(target, value) for target in targets]
        case ast.AnnAssign(target=target, value=value) if value is not None:
            return [(target, value)]
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="update"), args=args) as call):
            return [(target, arg) for arg in args] if args else [(target, call)]
    return []


def _target_path(target: ast.expr, name: str) -> Path | None:
    """Return the keys below ``name`` that ``name["a"][0] = ...`` sets; None for other targets."""
    keys: list[object] = []
    while isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        keys.append(target.slice.value)
        target = target.value
    return tuple(reversed(keys)) if isinstance(target, ast.Name) and target.id == name else None


def _child(node: ast.expr, part: object) -> ast.expr | None:
    """Return the expression for key or index ``part`` of a dict(...), a display, a list."""
    match node:
        case ast.Call(keywords=keywords):
            return next((k.value for k in reversed(keywords) if k.arg == part), None)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(reversed(keys), reversed(values), strict=True)
            return next((v for k, v in pairs if isinstance(k, ast.Constant) and k.value == part), None)
        case ast.List(elts=elts) | ast.Tuple(elts=elts) if isinstance(part, int) and part < len(elts):
            starred = any(isinstance(item, ast.Starred) for item in elts[: part + 1])
            return None if starred else elts[part]
    return None


def _spread_names(node: ast.expr) -> list[str]:
    match node:
        case ast.Call(keywords=keywords):
            values = [k.value for k in keywords if k.arg is None]
        case ast.Dict(keys=keys, values=spread):
            values = [v for k, v in zip(keys, spread, strict=True) if k is None]
        case _:
            values = []
    return [value.id for value in values if isinstance(value, ast.Name)]
