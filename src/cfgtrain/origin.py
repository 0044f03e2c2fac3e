"""Where a value of a config came from.

A config node (a mapping) may carry a private ``_trace`` with its key path and the origins of
its children. Code that receives a node, such as the registry, reads it through the functions
below. They also work for a plain dict, which has no origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict


class Origin(NamedTuple):
    """One place that set a value.

    Attributes:
        file: Path of the config, or None for a command-line argument and for code.
        line: 1-based line in ``file``, or None when only the file is known.
        text: The source line, or the command-line argument.
    """

    file: str | None
    line: int | None = None
    text: str = ""

    def __str__(self) -> str:
        if self.file is None:
            return self.text
        return self.file if self.line is None else f"{self.file}:{self.line}"


class Location(TypedDict):
    """The keyword arguments ``origin`` and ``key`` of an error."""

    origin: Origin | None
    key: str | None


def dotted(path: Iterable[object]) -> str:
    """Join a key path: ``("data", "pipeline", 1)`` -> ``"data.pipeline[1]"``."""
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


def location(cfg: object, key: object = None) -> Location:
    """Return where ``cfg[key]``, or ``cfg`` itself, was set, as keyword arguments for an error.

    ``raise ConfigValueError(message, **location(cfg, "lr"))``. Of a plain dict nothing is known.
    """
    node = getattr(cfg, "_cfg_dict", cfg)
    path = key_path(node, key) if hasattr(node, "_trace") else None
    return {"origin": where(node, key), "key": path or None}


def argument_location(cfg: Any, argument: Sequence[str]) -> Location:
    """Return where an argument was set in a config, or else the dict around it.

    Args:
        cfg: The config of the object.
        argument: Key path of the argument in it; see ``CfgTrainError``.
    """
    for i, part in enumerate(argument):
        if part not in cfg:
            break
        inner = argument[i + 1 : i + 2]
        if not inner or not isinstance(cfg[part], Mapping) or inner[0] not in cfg[part]:
            return location(cfg, part)
        cfg = cfg[part]
    return location(cfg)


def place_text(origin: Origin | None, key: str | None = None) -> str:
    """Return ``"optimizer.lr (configs/a.py:4)"``, as much of it as is known, or ``""``."""
    spot = "" if origin is None else str(origin)
    return f"{key} ({spot})" if key and spot else key or spot


def describe(node: object, key: object = None) -> str:
    """Return the place of ``node[key]``, or of ``node`` itself, in the form of ``place_text``."""
    return place_text(where(node, key), key_path(node, key))


def folder_of(cfg: object, key: object = None) -> Path | None:
    """Return the folder of the file that set ``cfg[key]``, if that is known."""
    origin = where(getattr(cfg, "_cfg_dict", cfg), key)
    return None if origin is None or origin.file is None else Path(origin.file).absolute().parent
