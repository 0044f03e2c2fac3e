"""Print a config as Python source that evaluates to the config.

Each value becomes a row, built from the leaves up: its text on one line, unless that is wider than
any line may be, and the rows of its parts. The rows are then written from the top down, with
one line per part where one line would be too wide. Both steps take linear time in the length of the text.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Collection, Iterator, Mapping
from keyword import iskeyword
from types import FunctionType
from typing import Any, NamedTuple
from unicodedata import normalize

from cfgtrain.config.key_paths import MAX_DEPTH
from cfgtrain.errors import ConfigValueError
from cfgtrain.origin import dotted

WIDTH = 79
INDENT = 4
MAX_SHOWN = 8  # keys of a path, in a message

# Names that the text calls: a key of such a name may only be assigned after the last call.
_CALLED = frozenset({"dict", "float", "complex", "set", "frozenset", "globals", "range"})


def pretty_python(tree: Mapping[str, object]) -> str:
    """Return Python source with one ``key = value`` per key of ``tree``, in order.

    Keys that Python cannot assign to (``"a b"``, ``"class"``, a number) and keys that would hide
    a builtin that the text calls (``"dict"``) come last, in one ``globals().update({...})``.
    Subclasses of dict, list, str and so on are printed as the builtin type, sets in the order of
    the repr of their items.

    Raises:
        ConfigValueError: A value has no literal (an object, a function), or nests deeper than MAX_DEPTH.
    """
    lines: list[str] = []
    late: dict[object, object] = {}
    try:
        for key, value in tree.items():
            name = _name(key)
            if name is None or name in _CALLED:
                late[key] = value
            else:
                _write(_row(f"{name} = ", value), lines)
        if late:
            _write(_joined("globals().update({", _items(late, 0), "})"), lines)
    except _UnprintableError:
        raise _explained(tree) from None
    # Escape two opening braces, so that a loader does not take them for a placeholder. They can
    # occur in string literals only.
    return ("\n".join(lines) + "\n").replace("{{", r"{\x7b")


class _Row(NamedTuple):
    """A value as text.

    Attributes:
        text: The whole value on one line, with the text before it; None if that is wider than a line.
        opening: The line before the parts.
        parts: The parts, one per line, if the value does not fit on one line; empty for a leaf.
        closing: The line after the parts.
    """

    text: str | None
    opening: str = ""
    parts: Collection[_Row] = ()
    closing: str = ""


def _write(row: _Row, lines: list[str], level: int = 0, comma: str = "") -> None:
    """Append the lines of a row to ``lines``."""
    indent = " " * (INDENT * level)
    fits = row.text is not None and len(indent + row.text + comma) <= WIDTH
    if fits or not row.parts:
        lines.append(f"{indent}{row.text}{comma}")
        return
    lines.append(indent + row.opening)
    for part in row.parts:
        _write(part, lines, level + 1, ",")
    lines.append(indent + row.closing + comma)


def _row(before: str, value: Any, level: int = 0, width: int = WIDTH) -> _Row:
    """Return the row of a value.

    Args:
        before: The text before the value on its line, such as ``"lr="``.
        value: The value.
        level: The number of containers that it is in.
        width: The width of the widest text that is kept.

    Raises:
        _UnprintableError: The value has no text, or nests deeper than MAX_DEPTH.
    """
    text = _atom(value)
    if text is not None:
        return _Row(before + text)
    if level >= MAX_DEPTH or not isinstance(value, _CONTAINERS):
        raise _UnprintableError
    if not value:
        return _Row(before + _empty(value))
    if isinstance(value, Mapping):
        names = [_name(key) for key in value]
        if None in names:
            return _joined(f"{before}{{", _items(value, level, width), "}", width)
        parts = [
            _row(f"{name}=", part, level + 1, width) for name, part in zip(names, value.values(), strict=True)
        ]
        return _joined(f"{before}dict(", parts, ")", width)
    if isinstance(value, (set, frozenset)):
        opening, closing = ("{", "}") if isinstance(value, set) else ("frozenset({", "})")
        value = sorted(value, key=repr)
    else:
        opening, closing = "[]" if isinstance(value, list) else "()"
    parts = [_row("", part, level + 1, width) for part in value]
    return _joined(before + opening, parts, closing, width, is_tuple=isinstance(value, tuple))


def _items(value: Mapping[Any, Any], level: int, width: int = WIDTH) -> list[_Row]:
    """Return a row ``'key': value`` for each item. A key is always on one line."""
    keys = [_row("", key, level + 1, sys.maxsize).text for key in value]
    return [_row(f"{key}: ", part, level + 1, width) for key, part in zip(keys, value.values(), strict=True)]


def _joined(
    opening: str, parts: Collection[_Row], closing: str, width: int = WIDTH, is_tuple: bool = False
) -> _Row:
    """Return the row of a container."""
    texts = [part.text for part in parts if part.text is not None]
    text = None
    if len(texts) == len(parts):  # no part is too wide already
        comma = "," if is_tuple and len(parts) == 1 else ""
        text = f"{opening}{', '.join(texts)}{comma}{closing}"
    return _Row(text if text is not None and len(text) <= width else None, opening, parts, closing)


def _empty(value: object) -> str:
    for kind, text in ((Mapping, "dict()"), (list, "[]"), (tuple, "()"), (set, "set()")):
        if isinstance(value, kind):
            return text
    return "frozenset()"


class _UnprintableError(Exception):
    """A value has no text, or nests too deeply."""


def _explained(tree: Mapping[str, object]) -> ConfigValueError:
    """Return the error about the first value that cannot be printed, with its key path."""
    path, value = next(_unprintable(tree, ()))
    problem = "cannot be written in a config"
    if isinstance(value, _CONTAINERS):
        problem = f"nests deeper than {MAX_DEPTH} levels, or contains itself"
    advice = "Use numbers, strings, bytes, None, lists, tuples, sets, ranges and dicts"
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
        for part in sorted(value, key=repr):  # the items of a set have no paths
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
    if isinstance(value, range):  # such as gpu_ids, which scripts of MMCV's time set
        return repr(value)
    return None


def _float(value: float) -> str:
    text = float.__repr__(value)
    return f"float({text!r})" if text[-1] in "fn" else text  # inf, -inf and nan are not literals


def _name(key: object) -> str | None:
    """Return ``key`` as text if ``key = 1`` and ``dict(key=1)`` are valid Python and keep its spelling."""
    if not isinstance(key, str):
        return None
    name = str.__str__(key)
    if not name.isidentifier() or iskeyword(name) or name == "__debug__":
        return None
    return name if name.isascii() or normalize("NFKC", name) == name else None  # Python normalizes names
