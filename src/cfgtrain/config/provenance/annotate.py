"""A config as Python source, with the origin of the values on each line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from keyword import iskeyword
from typing import TYPE_CHECKING, NamedTuple

from cfgtrain.config.dump import check_markers, check_names
from cfgtrain.config.key_paths import KeyPath
from cfgtrain.config.pretty import pretty_python
from cfgtrain.config.provenance.dependencies import leaves
from cfgtrain.errors import ConfigValueError
from cfgtrain.origin import Origin

if TYPE_CHECKING:
    from cfgtrain.config.config import Config

INDENT = "    "
# The functions that the text calls. A key with such a name would hide the function, so it comes last.
CALLED = ("float", "complex", "set", "frozenset", "dict", "globals")
# Narrower than a page: the origins are to the right.
WIDTH = 64


class Line(NamedTuple):
    """One line of the text.

    Attributes:
        text: Without a line break.
        origin: Of every value on it; None for a bracket, and where it is not known.
    """

    text: str
    origin: Origin | None


def annotated(cfg: Config, path: KeyPath = ()) -> Iterator[Line]:
    """Yield the lines of a config, or of the part at ``path``, which load back equal.

    A dict or list is on one line if it fits there and has one origin.

    Raises:
        ConfigKeyError: A key would be lost when the text is read.
    """
    value = cfg._cfg_dict
    check_names(() if path else value)
    for key in path:
        value = value[key]
    check_markers(value, path)
    if not isinstance(value, Mapping):
        yield from _lines(cfg, "", value, path, "")
        return
    names = [key for key in value if _is_name(key) and key not in CALLED]
    for key in names:
        yield from _lines(cfg, f"{key} = ", value[key], (*path, key), "")
    odd = sorted((key for key in value if key not in names), key=CALLED.__contains__)
    for key in odd:
        yield from _lines(cfg, f"globals()[{key!r}] = ", value[key], (*path, key), "")


def _lines(cfg: Config, before: str, value: object, path: KeyPath, after: str) -> Iterator[Line]:
    texts = python_lines(value)
    origins = {cfg.origin(leaf) for leaf in leaves(value, path)}
    parts = _parts(value)
    fits = len(texts) == 1 and len(before + texts[0] + after) <= WIDTH and len(origins) == 1
    if fits or not parts:
        first, *rest = texts
        origin = origins.pop()
        texts = [before + first, *rest]
        texts[-1] += after
        yield from (Line(text, None if i else origin) for i, text in enumerate(texts))
        return
    opening, closing = _brackets(value)
    indent = before[: len(before) - len(before.lstrip())]
    yield Line(before + opening, None)
    for key, word, part in parts:
        yield from _lines(cfg, indent + INDENT + word, part, (*path, key), ",")
    yield Line(indent + closing + after, None)


def _parts(value: object) -> list[tuple[object, str, object]]:
    """Return the key, the words before it and the value of each part of a dict or list."""
    if isinstance(value, Mapping):
        call = _is_call(value)
        return [(key, f"{key}=" if call else f"{key!r}: ", part) for key, part in value.items()]
    return [(i, "", part) for i, part in enumerate(value)] if isinstance(value, (list, tuple)) else []


def _brackets(value: object) -> tuple[str, str]:
    if isinstance(value, Mapping):
        return ("dict(", ")") if _is_call(value) else ("{", "}")
    return ("[", "]") if isinstance(value, list) else ("(", ")")


def _is_call(value: Mapping[object, object]) -> bool:
    return all(map(_is_name, value))


def _is_name(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier() and key.isascii() and not iskeyword(key)


def one_line(value: object, width: int) -> str:
    """Return a value as Python on one line, cut where it is longer than ``width``."""
    text = ""
    for line in python_lines(value):
        text += line.strip() if text[-1:] in "([{" else f" {line.strip()}"
    return text if len(text) <= width else f"{text[: width - 3]}..."


def python_lines(value: object) -> list[str]:
    """Return the lines of a value as Python; an object that has no literal is shown by its repr."""
    try:
        text = pretty_python({"_": value}).removeprefix("_ = ").removesuffix("\n")
    except ConfigValueError:  # a custom object, which has no literal
        return [repr(value).replace("\n", " ")]
    return text.split("\n")
