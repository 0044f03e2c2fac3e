"""Print a config as the Python source that evaluates to it.

A value becomes a row of tokens, one walk over them sums up the width of every bracketed
group, and a second writes each group on one line where it fits, else one item per line.
Nothing is measured twice and nothing calls itself: the time is linear in the length of
the text, and deep configs need no deep stack.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from keyword import iskeyword
from types import FunctionType
from typing import Literal, NamedTuple
from unicodedata import normalize

from cfgtrain.errors import ConfigValueError
from cfgtrain.origin import dotted

WIDTH = 79
INDENT = 4
# Also where a value that holds itself ends. Python reads back at most 200 brackets within each other.
MAX_DEPTH = 500

# What the text calls: a key of that name may only be assigned after the last call.
_CALLED = frozenset({"dict", "float", "complex", "set", "frozenset", "globals"})


class _Token(NamedTuple):
    """A piece of the text; groups stand between "open" and "close", commas between their items."""

    kind: Literal["text", "open", "comma", "close"]
    text: str


class _Item(NamedTuple):
    """A value still to be printed, and where it stands; a key of None adds nothing to the path."""

    value: object
    key: object = None
    outer: _Item | None = None
    depth: int = 0

    def inner(self, value: object, key: object = None) -> _Item:
        return _Item(value, key, self, self.depth + 1)

    def key_path(self) -> str:
        keys: list[object] = []
        item: _Item | None = self
        while item is not None:
            keys.append(item.key)
            item = item.outer
        return dotted(key for key in reversed(keys) if key is not None)


_Row = list[_Token | _Item]


def pretty_python(tree: Mapping[str, object]) -> str:
    """Return Python source with one ``key = value`` per key of ``tree``, in order.

    Keys that Python cannot assign (``"a b"``, ``"class"``, a number) and those that would hide
    a builtin which the text calls (``"dict"``) come last, in one ``globals().update({...})``.
    Subclasses of dict, list, str and so on print as the plain kind, sets in the order of
    their items' repr.

    Raises:
        ConfigValueError: If a value has no literal (an object, a function), or nests deeper than MAX_DEPTH.
    """
    parts: list[str] = []
    late: dict[object, object] = {}
    for key, value in tree.items():
        name = _name(key)
        if name is None or name in _CALLED:
            late[key] = value
        else:
            parts.append(_layout(_tokens([_Token("text", f"{name} = "), _Item(value, key)])))
    if late:
        parts.append(_layout(_tokens(_display(_Item(late), late, "globals().update({", "})"))))
    return "\n".join(parts) + "\n"


def _tokens(row: _Row) -> Iterator[_Token]:
    """Yield the tokens of ``row`` in reading order."""
    todo = row[::-1]
    while todo:
        step = todo.pop()
        if isinstance(step, _Token):
            yield step
        else:
            todo.extend(reversed(_expand(step)))


def _expand(item: _Item) -> _Row:
    """Return the tokens of one value, its parts still as items."""
    value = item.value
    text = _atom(value)
    if text is not None:
        return [_Token("text", text)]
    if item.depth > MAX_DEPTH:
        raise _unprintable(item, f"nests deeper than {MAX_DEPTH} levels, or holds itself")
    if isinstance(value, Mapping):
        return _mapping(item, value)
    if isinstance(value, list):
        return _group("[", [[item.inner(part, index)] for index, part in enumerate(value)], "]")
    if isinstance(value, tuple):
        closing = ",)" if len(value) == 1 else ")"
        return _group("(", [[item.inner(part, index)] for index, part in enumerate(value)], closing)
    if isinstance(value, set | frozenset):
        return _set(item, value)
    raise _unprintable(item, "cannot be written in a config")


def _mapping(item: _Item, value: Mapping[object, object]) -> _Row:
    names = [_name(key) for key in value]
    if None in names:
        return _display(item, value, "{", "}")
    pairs = zip(names, value.items(), strict=True)
    rows: list[_Row] = [[_Token("text", f"{name}="), item.inner(part, key)] for name, (key, part) in pairs]
    return _group("dict(", rows, ")")


def _display(item: _Item, value: Mapping[object, object], opening: str, closing: str) -> _Row:
    colon = _Token("text", ": ")
    rows: list[_Row] = [[item.inner(key), colon, item.inner(part, key)] for key, part in value.items()]
    return _group(opening, rows, closing)


def _set(item: _Item, value: set[object] | frozenset[object]) -> _Row:
    kind = "set" if isinstance(value, set) else "frozenset"
    if not value:
        return [_Token("text", f"{kind}()")]
    rows: list[_Row] = [[item.inner(part)] for part in sorted(value, key=repr)]
    return _group("{", rows, "}") if kind == "set" else _group("frozenset({", rows, "})")


def _group(opening: str, rows: Iterable[_Row], closing: str) -> _Row:
    group: _Row = [_Token("open", opening)]
    for row in rows:
        group += [*row, _Token("comma", ", ")]
    if len(group) == 1:
        return [_Token("text", opening + closing)]
    return [*group[:-1], _Token("close", closing)]


def _atom(value: object) -> str | None:
    """Return the text of a value without parts, or None."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, str):
        return _inert(str.__repr__(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes):
        return _inert(bytes.__repr__(value))
    if isinstance(value, complex):
        # The repr of a complex number loses the sign of a zero.
        return f"complex({_float(value.real)}, {_float(value.imag)})"
    return None


def _float(value: float) -> str:
    text = float.__repr__(value)
    return f"float({text!r})" if text[-1] in "fn" else text  # inf, -inf and nan are no literals


def _inert(literal: str) -> str:
    # A loader fills in {{ fileDirname }} and the like: what is printed is to stay as it is.
    return literal.replace("{{", r"{\x7b")


def _name(key: object) -> str | None:
    """Return ``key`` as text if ``key = 1`` and ``dict(key=1)`` are Python and keep it."""
    if not isinstance(key, str):
        return None
    name = str.__str__(key)
    usable = name.isidentifier() and not iskeyword(name) and name != "__debug__"
    return name if usable and normalize("NFKC", name) == name else None  # Python normalizes names


def _unprintable(item: _Item, problem: str) -> ConfigValueError:
    value = item.value
    advice = "Use numbers, strings, bytes, None, lists, tuples, sets and dicts"
    if isinstance(value, type | FunctionType) and "<" not in value.__qualname__:
        advice += f", such as the import path {f'{value.__module__}.{value.__qualname__}'!r}"
    shown = f"{reprlib.repr(value)}, of type {type(value).__name__},"
    return ConfigValueError(f"{shown} {problem}. {advice}.", key=item.key_path())


def _layout(pieces: Iterable[_Token]) -> str:
    """Join tokens, breaking each group that does not fit into one item per line."""
    tokens = list(pieces)
    widths = _widths(tokens)
    out: list[str] = []
    column = level = flat = 0  # level: broken groups around this token; flat: groups on one line around it
    for index, (kind, text) in enumerate(tokens):
        if kind == "open" and (flat or column + widths[index] + bool(level) <= WIDTH):
            flat += 1
        elif kind == "close" and flat:
            flat -= 1
        elif kind != "text" and not flat:
            level += {"open": 1, "comma": 0, "close": -1}[kind]
            text = _broken(kind, text, " " * (INDENT * level))
            column = 0
        out.append(text)
        column += len(text.rpartition("\n")[2])
    return "".join(out)


def _widths(tokens: list[_Token]) -> dict[int, int]:
    """Return, by the index of each "open", the width of its group on one line."""
    widths: dict[int, int] = {}
    opened: list[int] = []
    end = 0
    for index, (kind, text) in enumerate(tokens):
        if kind == "open":
            opened.append(index)
            widths[index] = -end
        end += len(text)
        if kind == "close":
            widths[opened.pop()] += end
    return widths


def _broken(kind: str, text: str, indent: str) -> str:
    if kind == "open":
        return f"{text}\n{indent}"
    return f",\n{indent}" + (text.removeprefix(",") if kind == "close" else "")
