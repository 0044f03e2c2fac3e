"""Where a value of a config came from.

A config node (a mapping) may carry a private ``_trace`` that knows its key path and the
origins of its children. Whoever is handed a node, the registry above all, asks through
the functions below and works without it: a plain dict simply has no origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Origin(NamedTuple):
    """One place that set a value.

    Attributes:
        file: Path of the config, or None for a command-line word and for code.
        line: 1-based line in ``file``, or None when only the file is known.
        text: What stands there: the source line, the command-line word.
    """

    file: str | None
    line: int | None
    text: str

    def __str__(self) -> str:
        if self.file is None:
            return self.text
        return self.file if self.line is None else f"{self.file}:{self.line}"


def dotted(path: Iterable[object]) -> str:
    """Join a key path as people write it: ``("data", "pipeline", 1)`` -> ``"data.pipeline[1]"``."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def key_path(node: object, key: object = None) -> str:
    """Return the dotted path of ``node`` in its config, extended by ``key``, or ``""``.

    A node that carries no trace has no known path: then only ``key`` is returned.
    """
    trace = getattr(node, "_trace", None)
    path = tuple(trace.path) if trace is not None else ()
    return dotted(path if key is None else (*path, key))


def where(node: object, key: object = None) -> Origin | None:
    """Return the newest origin of ``node[key]``, or of ``node`` itself, if it is known."""
    trace = getattr(node, "_trace", None)
    if trace is None:
        return None
    found: Origin | None = trace.origin() if key is None else trace.origin(key)
    return found


def describe(node: object, key: object = None) -> str:
    """Return ``"optimizer.lr (configs/a.py:4)"``, as much of it as is known, or ``""``."""
    path, origin = key_path(node, key), where(node, key)
    if origin is None:
        return path
    return f"{path} ({origin})" if path else str(origin)


def at_place(cfg: object, key: object = None) -> str:
    """Return a line of its own, "at key (file:line)", for a config that knows its place, else ""."""
    node = getattr(cfg, "_cfg_dict", cfg)
    place = describe(node, key) if key_path(node) else ""
    return f"\n  at {place}" if place else ""


def folder_of(cfg: object, key: object = None) -> Path | None:
    """Return the folder of the file that set ``cfg[key]``, if that is known."""
    origin = where(getattr(cfg, "_cfg_dict", cfg), key)
    return None if origin is None or origin.file is None else Path(origin.file).absolute().parent
