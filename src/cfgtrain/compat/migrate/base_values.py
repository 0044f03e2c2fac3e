"""The values of bases that a Python config of MMEngine names as ``_base_.name``.

In cfgtrain, and in MMCV 1.x, such a value is written ``{{ _base_.name }}``. MMEngine executes a config with the merged bases
as the variable ``_base_``, so that any code can use it, and even change the bases.
"""

from __future__ import annotations

import ast
import os.path
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cfgtrain.compat.migrate.lazy_configs import imported_bases
from cfgtrain.config.bases import BASE, literal_bases, locate_base
from cfgtrain.errors import ConfigError, ConfigNotFoundError

_NAME = re.compile(r"[\w-]+")


class BaseValue(NamedTuple):
    """A value of the bases that a config names.

    Attributes:
        line: The 1-based line.
        shown: The expression, such as ``_base_.model.depth``.
        column: Where it begins in the line, in UTF-8 bytes.
        end: Where it ends.
        path: Its key path, as a placeholder contains it; ``""`` if it cannot be written as one.
        hint: What to write instead, if there is no path.
    """

    line: int
    shown: str
    column: int
    end: int
    path: str
    hint: str = ""

    @property
    def placeholder(self) -> str:
        """How it is written in cfgtrain."""
        return f"{{{{ {BASE}.{self.path} }}}}"


@dataclass
class _File:
    """A Python config that was read.

    Attributes:
        tree: Its syntax tree.
        values: The values of bases that it names.
        bases: The absolute paths of its bases, as far as they are written out.
    """

    tree: ast.Module
    values: list[BaseValue]
    bases: list[str] = field(default_factory=list)


class ConfigTexts:
    """Reads Python configs with their bases, and has the texts that the loader can read.

    Attributes:
        changed: The texts in which values of bases are placeholders, by absolute path.
    """

    def __init__(self) -> None:
        self.changed: dict[str, str] = {}
        self._files: dict[str, _File | None] = {}

    def values(self, path: str) -> list[BaseValue]:
        """Return the values of bases that a config names."""
        file = self._read(path)
        return [] if file is None else file.values

    def bases(self, path: str) -> list[str]:
        """Return the absolute paths of the bases of a config, as far as they are written out."""
        file = self._read(path)
        return [] if file is None else file.bases

    def check_bases(self, path: str) -> None:
        """Raise if the bases of a config name values in a way that the loader cannot read.

        Raises:
            ConfigError: The message has the place.
        """
        for base in self._all_bases(path, (path,)):
            for value in self.values(base):
                if not value.path:
                    raise ConfigError(f"{os.path.relpath(base)}:{value.line}: {value.shown} cannot be read.")

    def helpers(self, path: str) -> set[str]:
        """Return the variables that a config, or one of its bases, both sets and reads."""
        found: set[str] = set()
        for each in (path, *self._all_bases(path, (path,))):
            file = self._read(each)
            if file is not None:
                names = [node for node in ast.walk(file.tree) if isinstance(node, ast.Name)]
                read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
                found |= read & {node.id for node in names if isinstance(node.ctx, ast.Store)}
        return found

    def _all_bases(self, path: str, chain: tuple[str, ...]) -> Iterator[str]:
        for base in self.bases(path):
            if base not in chain:
                yield base
                yield from self._all_bases(base, (*chain, base))

    def _read(self, path: str) -> _File | None:
        """Return a file; None if it is no Python file or cannot be read, which the loader says."""
        if path not in self._files:
            self._files[path] = None
            with suppress(OSError, ValueError, SyntaxError):
                if path.endswith(".py"):
                    text = Path(path).read_text(encoding="utf-8-sig")
                    tree = ast.parse(text)
                    self._files[path] = _File(tree, base_values(text, tree), list(_bases(tree, path)))
                    self._change(path, text)
        return self._files[path]

    def _change(self, path: str, text: str) -> None:
        values = self.values(path)
        if any(value.path for value in values):
            self.changed[path] = with_placeholders(text, values)


def base_values(text: str, tree: ast.Module) -> list[BaseValue]:
    """Return the values of bases that the code of a config names, by their places.

    Args:
        text: The text; its line ends are newlines.
        tree: Its syntax tree.
    """
    if BASE not in text:
        return []
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    lines = [line.encode() for line in text.split("\n")]
    found = [
        _value(node, parents, lines)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == BASE and isinstance(node.ctx, ast.Load)
    ]
    return sorted(value for value in found if value is not None)


def with_placeholders(text: str, values: list[BaseValue]) -> str:
    """Return the text of a config with placeholders for the values of bases."""
    lines = text.split("\n")
    for value in sorted(values, reverse=True):
        if value.path:
            line = lines[value.line - 1].encode()
            new = line[: value.column] + value.placeholder.encode() + line[value.end :]
            lines[value.line - 1] = new.decode()
    return "\n".join(lines)


def _value(name: ast.Name, parents: dict[int, ast.AST], lines: list[bytes]) -> BaseValue | None:
    """Return the value that begins with ``_base_``, or None if it is a placeholder already."""
    node: ast.expr = name
    keys: list[str | int] = []
    while True:
        parent = parents[id(node)]
        if isinstance(parent, ast.Attribute):
            above = parents[id(parent)]
            if isinstance(above, ast.Call) and above.func is parent:
                break  # a method of the value
            keys.append(parent.attr)
        elif isinstance(parent, ast.Subscript) and parent.value is node:
            try:
                keys.append(ast.literal_eval(parent.slice))
            except ValueError:
                break
        else:
            break
        node = parent
    line, end_line, end = node.lineno, node.end_lineno or node.lineno, node.end_col_offset or 0
    before, after = lines[line - 1][: node.col_offset].rstrip(), lines[end_line - 1][end:].lstrip()
    if before.endswith(b"{{") and after.startswith(b"}}"):
        return None
    hint = _problem(node, keys, parents)
    if line != end_line and not hint:
        hint = "Write it on one line."
    path = "" if hint else "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)[1:]
    return BaseValue(line, ast.unparse(node), node.col_offset, end, path, hint)


def _problem(node: ast.expr, keys: list[str | int], parents: dict[int, ast.AST]) -> str:
    """Return what to write instead of an expression that is no placeholder, or ``""``."""
    parent = parents[id(node)]
    call = parents[id(parent)] if isinstance(parent, ast.Attribute) else None
    is_changed = isinstance(call, ast.Call) and isinstance(parents[id(call)], ast.Expr)
    if is_changed or not isinstance(getattr(node, "ctx", None), ast.Load):
        key = keys[0] if keys else "name"
        return f"It changes the base. Write what it sets in this file, as in {key} = dict(...)."
    while not isinstance(parent, ast.stmt):
        if isinstance(parent, ast.JoinedStr):
            return "Write the value, or a string with {{ _base_.name }} in it."
        parent = parents[id(parent)]
    is_path = bool(keys) and isinstance(keys[0], str)
    if not is_path or not all(isinstance(key, int) or _NAME.fullmatch(str(key)) for key in keys):
        return "Write the value of the base in its place."
    return ""


def _bases(tree: ast.Module, path: str) -> Iterator[str]:
    yield from imported_bases(tree, path)
    named = literal_bases(tree)
    for name in [named] if isinstance(named, str) else named if isinstance(named, (list, tuple)) else ():
        with suppress(ConfigNotFoundError, TypeError):
            yield locate_base(name, os.path.dirname(path))
