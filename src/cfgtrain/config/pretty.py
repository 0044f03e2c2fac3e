"""Print a config as the Python source that evaluates to it.

From the leaves up, each value becomes a row: its text on one line or, where that is wider than
a line, one row per part. A container can only be broken if all around it are, so that its
indentation is known when it is: one walk makes the whole text, in time linear in its length.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from keyword import iskeyword
from types import FunctionType
from typing import Any, cast
from unicodedata import normalize

from cfgtrain.config.dict import ConfigDict
from cfgtrain.config.keys import MAX_DEPTH
from cfgtrain.errors import ConfigValueError
from cfgtrain.origin import dotted

WIDTH = 79
INDENT = 4
MAX_NAMES = 10_000  # that are remembered
MAX_SHOWN = 8  # keys of a path, in a message

# What the text calls: a key of that name may only be assigned after the last call.
_CALLED = frozenset({"dict", "float", "complex", "set", "frozenset", "globals"})

# What repr writes as the text should have it, but for floats that have no literal.
_REPR: frozenset[type] = frozenset({str, int, float, bool, type(None), bytes})
_NO_LITERAL = re.compile(r"\b(?:inf|nan)\b")


def pretty_python(tree: Mapping[str, object]) -> str:
    """Return Python source with one ``key = value`` per key of ``tree``, in order.

    Keys that Python cannot assign (``"a b"``, ``"class"``, a number) and those that would hide
    a builtin which the text calls (``"dict"``) come last, in one ``globals().update({...})``.
    Subclasses of dict, list, str and so on print as the plain kind, sets in the order of
    their items' repr.

    Raises:
        ConfigValueError: If a value has no literal (an object, a function), or nests deeper than MAX_DEPTH.
    """
    try:
        text = _printed(tree, _REPR)
        if ("inf" in text or "nan" in text) and _NO_LITERAL.search(
            text
        ):  # or a string that only looks like it
            text = _printed(tree, _REPR - {float})
    except _UnprintableError:
        raise _explained(tree) from None
    # A loader fills in {{ fileDirname }} and the like: what is printed is to stay as it is. Two
    # braces stand side by side in string literals only. One is found many times as fast.
    return text.replace("{{", r"{\x7b") if "{" in text else text


def _printed(tree: Mapping[str, object], plain: frozenset[type]) -> str:
    printer = _printer(plain)
    row, names, known = printer.row, printer.names, printer.known
    rows: list[str] = []
    late: dict[object, object] = {}
    for key, value in tree.items():
        if key in _CALLED or not (key in known or printer.learn((key,))):
            late[key] = value
        else:
            rows.append(row(f"{names[key][:-1]} = ", value, 0))
    if late:
        text = printer.joined("globals().update({", printer.display(late, 1), "})", late.values(), 0)
        rows.append(text)
    return "\n".join(rows) + "\n"


def _edges(level: int) -> tuple[str, str, str, int]:
    """Return what ends a line at ``level``, before a part, between two, and the room for a part."""
    outer = "\n" + " " * (INDENT * level)
    inner = outer + " " * INDENT
    return outer, inner, f",{inner}", WIDTH - len(inner)  # the comma takes the place of the newline


_EDGES = [_edges(level) for level in range(MAX_DEPTH + 2)]


class _Printer:
    """Makes the rows of a text.

    Args:
        plain: The types that repr writes as they should be.

    Attributes:
        names: ``key=`` by key, of keys that were found to be names.
        known: These keys.
        row: Returns the row of a value; takes what stands before it on the line, the value,
            and how many steps the line is indented.
    """

    def __init__(self, plain: frozenset[type]) -> None:
        self.plain = plain
        self.names: dict[object, str] = {}
        self.known: set[object] = set()
        self.row = _shortcut(self)

    def joined(self, opening: str, rows: list[str], closing: str, parts: Iterable[Any], level: int) -> str:
        """Return the row of a container: on one line if that is not too wide."""
        comma = "," if closing == ")" and len(rows) == 1 and isinstance(parts, tuple) else ""
        text = f"{opening}{', '.join(rows)}{comma}{closing}"
        return text if len(text) <= WIDTH else self.broken(opening, rows, closing, parts, level)

    def broken(self, opening: str, rows: list[str], closing: str, parts: Iterable[Any], level: int) -> str:
        """Return the row of a container with one line, or more, per part."""
        outer, inner, comma, _ = _EDGES[level]
        return f"{opening}{inner}{comma.join(self.narrowed(rows, parts, level))},{outer}{closing}"

    def narrowed(self, rows: list[str], parts: Iterable[Any], level: int) -> list[str]:
        """Return rows with those broken that are too wide for a line of their own."""
        room = _EDGES[level][3]
        return [
            row if len(row) <= room or "\n" in row else self.fitted(row, part, level + 1)
            for row, part in zip(rows, parts, strict=True)
        ]

    def fitted(self, row: str, value: object, level: int) -> str:
        """Return a row that is too wide for where it stands broken, if its value has parts."""
        plain = type(value) in (list, tuple) and self.plain.issuperset(map(type, cast("list[object]", value)))
        text = repr(value) if plain else self.row("", value, level)
        before = row[: len(row) - len(text)]
        container = self.container(before, value, level)
        return row if container is None else self.broken(*container, level)

    def any_row(self, before: str, value: Any, level: int) -> str:
        """Return what ``row`` returns, of values that have no shortcut there."""
        container = self.container(before, value, level)
        if container is None:
            return before + (_atom(value) or _empty(value))
        return self.joined(*container, level)

    def container(
        self, before: str, value: Any, level: int
    ) -> tuple[str, list[str], str, Iterable[Any]] | None:
        """Return opening, rows, closing and parts of a container, None for anything that has none."""
        if _atom(value) is not None:
            return None
        if level >= MAX_DEPTH:
            raise _UnprintableError
        row = self.row
        if isinstance(value, (dict, Mapping)):
            if not value:
                return None
            if not self.are_names(value):
                return f"{before}{{", self.display(value, level + 1), "}", value.values()
            rows = [row(self.names[key], part, level + 1) for key, part in value.items()]
            return f"{before}dict(", rows, ")", value.values()
        if isinstance(value, (list, tuple)):
            opening, closing = "[]" if isinstance(value, list) else "()"
        elif isinstance(value, (set, frozenset)):
            opening, closing = "{}" if isinstance(value, set) else ("frozenset({", "})")
            value = sorted(value, key=repr)
        else:
            raise _UnprintableError
        rows = [row("", part, level + 1) for part in value]
        return (before + opening, rows, closing, value) if value else None

    def display(self, value: Mapping[Any, Any], level: int) -> list[str]:
        """Return ``'key': text`` for each item."""
        return [self.row(f"{self.one_line(key, level)}: ", part, level) for key, part in value.items()]

    def one_line(self, value: Any, level: int) -> str:
        """Return the text of a value as if there were no end of the line: such are the keys of a display."""
        container = self.container("", value, level)
        if container is None:
            return self.any_row("", value, level)
        opening, _, closing, parts = container
        comma = "," if isinstance(parts, tuple) and len(parts) == 1 else ""
        return f"{opening}{', '.join(self.one_line(part, level + 1) for part in parts)}{comma}{closing}"

    def are_names(self, keys: Iterable[object]) -> bool:
        """Say whether all keys can stand before the ``=`` of a call."""
        return self.known.issuperset(keys) or self.learn(keys)

    def learn(self, keys: Iterable[object]) -> bool:
        """Remember the keys that can stand before the ``=`` of a call; say whether all can."""
        names = [_name(key) for key in keys]
        for name in names:
            if name is not None:
                self.names[name] = f"{name}="
                self.known.add(name)
        return None not in names


_printers: dict[frozenset[type], _Printer] = {}


def _printer(plain: frozenset[type]) -> _Printer:
    """Return the printer of earlier texts: most names stand in a config many times, and in most configs."""
    printer = _printers.get(plain)
    if printer is None or len(printer.names) > MAX_NAMES:
        printer = _printers[plain] = _Printer(plain)
    return printer


def _shortcut(printer: _Printer) -> Callable[[str, Any, int], str]:
    """Return the function that makes one row, quickly for what stands in most configs.

    Printing takes twice as long as ``repr`` does: hence one function for dicts, lists and leaves,
    whose names are looked up neither in an object nor in a module.
    """
    any_row, learn, narrowed = printer.any_row, printer.learn, printer.narrowed
    names, known, plain = printer.names, printer.known, printer.plain
    items, values, width, max_depth, config_dict = dict.items, dict.values, WIDTH, MAX_DEPTH, ConfigDict
    lists, edges = frozenset({list, tuple}), _EDGES

    def row(before: str, value: Any, level: int) -> str:
        kind = type(value)
        if kind in plain:
            return f"{before}{value!r}"
        if not value or level >= max_depth:
            return any_row(before, value, level)
        outer, inner, comma, room = edges[level]
        rows = []
        fits, wide = True, False  # wide: a row that can be broken and has not been may have to be
        if kind is config_dict or kind is dict:
            if not (known.issuperset(value) or learn(value)):
                return any_row(before, value, level)
            opening, closing, parts = "dict(", ")", values(value)
            for key, part in items(value):
                kind = type(part)
                if kind in plain:
                    rows.append(f"{names[key]}{part!r}")
                    continue
                if kind in lists and plain.issuperset(map(type, part)):
                    text = f"{names[key]}{part!r}"
                else:
                    text = row(names[key], part, level + 1)
                if len(text) > room:
                    fits, wide = fits and len(text) <= width, wide or "\n" not in text
                rows.append(text)
        elif kind is list or kind is tuple:
            if plain.issuperset(map(type, value)):
                text = f"{before}{value!r}"
                if len(text) <= width:
                    return text
            if kind is tuple:
                return any_row(before, value, level)
            opening, closing, parts = "[", "]", value
            for part in value:
                text = row("", part, level + 1)
                if len(text) > room:
                    fits, wide = fits and len(text) <= width, wide or "\n" not in text
                rows.append(text)
        else:
            return any_row(before, value, level)
        if fits:
            text = f"{before}{opening}{', '.join(rows)}{closing}"
            if len(text) <= width:
                return text
        if wide:
            rows = narrowed(rows, parts, level)
        return f"{before}{opening}{inner}{comma.join(rows)},{outer}{closing}"

    return row


def _empty(value: object) -> str:
    for kind, text in ((Mapping, "dict()"), (list, "[]"), (tuple, "()"), (set, "set()")):
        if isinstance(value, kind):
            return text
    return "frozenset()"


class _UnprintableError(Exception):
    """A value has no text, or nests too deep."""


def _explained(tree: Mapping[str, object]) -> ConfigValueError:
    """Return the error about the first value that cannot be printed, with its key path."""
    path, value = next(_unprintable(tree, ()))
    problem = "cannot be written in a config"
    if isinstance(value, _CONTAINERS):
        problem = f"nests deeper than {MAX_DEPTH} levels, or holds itself"
    advice = "Use numbers, strings, bytes, None, lists, tuples, sets and dicts"
    if isinstance(value, type | FunctionType) and "<" not in value.__qualname__:
        advice += f", such as the import path {f'{value.__module__}.{value.__qualname__}'!r}"
    shown = f"{reprlib.repr(value)}, of type {type(value).__name__},"
    key = dotted(path) if len(path) <= MAX_SHOWN else dotted(path[:MAX_SHOWN]) + "..."
    return ConfigValueError(f"{shown} {problem}. {advice}.", key=key)


def _unprintable(
    value: Any, path: tuple[object, ...], depth: int = 0
) -> Iterator[tuple[tuple[object, ...], Any]]:
    """Yield the path of each value that has no text, in the order of printing."""
    if _atom(value) is not None:
        return
    if depth > MAX_DEPTH or not isinstance(value, _CONTAINERS):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _unprintable(key, path, depth + 1)
            yield from _unprintable(part, (*path, key), depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from _unprintable(part, (*path, index), depth + 1)
    else:
        for part in sorted(value, key=repr):  # a set has no paths to its parts
            yield from _unprintable(part, path, depth + 1)


_CONTAINERS = (Mapping, list, tuple, set, frozenset)


def _atom(value: object) -> str | None:
    """Return the text of a value without parts, or None."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, str):
        return str.__repr__(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes):
        return bytes.__repr__(value)
    if isinstance(value, complex):
        # The repr of a complex number loses the sign of a zero.
        return f"complex({_float(value.real)}, {_float(value.imag)})"
    return None


def _float(value: float) -> str:
    text = float.__repr__(value)
    return f"float({text!r})" if text[-1] in "fn" else text  # inf, -inf and nan are no literals


def _name(key: object) -> str | None:
    """Return ``key`` as text if ``key = 1`` and ``dict(key=1)`` are Python and keep it."""
    if not isinstance(key, str):
        return None
    name = str.__str__(key)
    if not name.isidentifier() or iskeyword(name) or name == "__debug__":
        return None
    return name if name.isascii() or normalize("NFKC", name) == name else None  # Python normalizes names
