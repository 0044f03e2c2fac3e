"""Find where classes and functions are defined, from the objects or from their names alone."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from cfgtrain.introspection.signatures import callable_name

__all__ = ["Definition", "find_definition", "place_of", "source_place"]

MAX_FILES = 2000  # files that are read in one search
MAX_ENTRIES = 1000  # entries of one folder that are searched: larger folders contain data
MAX_FOLDERS = 2000
MAX_BYTES = 1 << 20  # bytes of a file that are read
_NOT_CODE = {"__pycache__", "node_modules", "site-packages", "work_dirs"}


class Definition(NamedTuple):
    """A class or function in a source file.

    Attributes:
        file: The file.
        line: The 1-based line of its ``class`` or ``def``.
        names: The names under which the file registers it, if it does.
        module: The name of the module for an import, or None if it cannot be imported.
        imported: Whether the file has been imported.
    """

    file: Path
    line: int
    names: tuple[str, ...]
    module: str | None
    imported: bool

    def __str__(self) -> str:
        return f"{_shown(self.file)}:{self.line}"


def place_of(target: Callable[..., Any]) -> str:
    """Return ``"Cat at file:line"`` for a class or function, or its import path if it is not in a file."""
    file, line = source_place(target)
    if file is None:
        inner = target.func if isinstance(target, partial) else target
        return f"{getattr(inner, '__module__', '?')}.{callable_name(target)}"
    return f"{callable_name(target)} at {file}:{line}"


def source_place(target: Callable[..., Any]) -> tuple[str | None, int | None]:
    """Return file and line of a class, function or partial, or two None if it is not in a Python file."""
    inner = inspect.unwrap(target.func if isinstance(target, partial) else target)
    try:
        return inspect.getsourcefile(cast("Any", inner)), inspect.getsourcelines(inner)[1] or 1
    except (TypeError, OSError):
        return None, None


def find_definition(name: str, folder: Path | None = None) -> Definition | None:
    """Search source files for the class or function that is named, or registered as, ``name``.

    The current folder, ``sys.path[0]`` and ``folder`` are searched level by level, at most 2,000
    files. Nothing is imported. A definition that is registered in a file that has not
    been imported is preferred.
    """
    tops = dict.fromkeys(path.absolute() for path in (Path.cwd(), Path(sys.path[0] or "."), folder) if path)
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    found: list[Definition] = []
    for file in islice(_python_files(tops), MAX_FILES):
        for line, names in _definitions(file, name):
            found.append(Definition(file, line, names, _module_name(file, tops), str(file) in loaded))
            if name in names and not found[-1].imported:
                return found[-1]
    return min(found, key=lambda each: (each.imported, not each.names), default=None)


def _python_files(tops: Iterable[Path]) -> Iterator[Path]:
    """Yield the Python files below some folders, level by level."""
    waiting, seen = deque(tops), 0
    done: set[Path] = set()
    while waiting and seen < MAX_FOLDERS:
        folder = waiting.popleft()
        if folder in done:
            continue
        done.add(folder)
        seen += 1
        try:
            with os.scandir(folder) as entries:
                held: list[os.DirEntry[str]] = sorted(
                    islice(entries, MAX_ENTRIES), key=lambda entry: entry.name
                )
        except OSError:
            continue
        if any(entry.name == "pyvenv.cfg" for entry in held):
            continue
        for entry in held:
            if entry.name.endswith(".py") and entry.is_file():
                yield folder / entry.name
            elif entry.is_dir(follow_symlinks=False) and not _is_hidden(entry.name):
                waiting.append(folder / entry.name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _NOT_CODE


def _definitions(file: Path, name: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line and the registered names of each definition or registration of ``name`` in a file."""
    try:
        with file.open("rb") as source:
            text = source.read(MAX_BYTES)
        if name.encode() not in text:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those in the file do not concern the user here
            tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = tuple(each for item in node.decorator_list for each in _registered(item, node.name))
            top = isinstance(node, ast.ClassDef) or node in tree.body
            if name in names or (node.name == name and top):
                yield node.lineno, names
        elif isinstance(node, ast.Expr) and name in (names := tuple(_registered(node.value, ""))):
            yield node.lineno, names


def _registered(node: ast.AST, default: str) -> list[str]:
    """Return the names that ``register_module(...)`` registers, if ``node`` is such a call."""
    call = node if isinstance(node, ast.Call) else None
    function = call.func if call is not None else node
    if not (isinstance(function, ast.Attribute) and function.attr == "register_module"):
        return []
    given = {word.arg: word.value for word in call.keywords} if call is not None else {}
    name = given.get("name") or (call.args[0] if call is not None and call.args else None)
    if name is None and "module" in given:
        return [ast.unparse(given["module"]).rpartition(".")[2]]
    items = name.elts if isinstance(name, ast.List | ast.Tuple) else [name]
    stated = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return stated or [default]


def _module_name(file: Path, tops: Iterable[Path]) -> str | None:
    """Return the module name of a file on ``sys.path`` or in a top folder, or None."""
    for entry in (*map(Path, sys.path), *tops):
        folder = entry.absolute()
        if file.is_relative_to(folder):
            parts = list(file.relative_to(folder).with_suffix("").parts)
            parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
            if all(part.isidentifier() for part in parts):
                return ".".join(parts)
    return None


def _shown(file: Path) -> str:
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
