"""The paths in the configs of datasets: where they are looked for, and what is wrong with them.

A dataset class names its arguments that are paths in the class attribute ``PATHS``. A relative path is looked for in
the current folder, then in the folder of the config file that set it. ``~`` is the home folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError, ConfigValueError
from cfgtrain.origin import folder_of, location
from cfgtrain.registries import DATASETS
from cfgtrain.registry.projects import registry_for
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.suggestions import close_names, listed, one_of

__all__ = ["existing_path", "path_problems", "resolve_paths"]


def resolve_paths(cfg: Any, absolute: bool = False) -> None:
    """Replace relative paths in the config of a dataset that are found in the folder of their config file.

    The absolute path takes their place, so that the config means the same in another place. The configs of inner
    datasets, ``dataset`` and ``datasets``, are included. Nothing else is changed.

    Args:
        cfg: Config of a dataset; changed in place.
        absolute: Whether to replace the paths that are found in the current folder, too.
    """
    for node, key in _settings(cfg):
        folder = folder_of(node, key)
        value = node[key]
        found = [_found(each, folder, absolute) for each in _paths(value)]
        if found != _paths(value):
            # Not through the config's own method, which would record this line as the origin of the value.
            dict.__setitem__(node, key, type(value)(found) if isinstance(value, list | tuple) else found[0])


def path_problems(cfg: Any) -> Iterator[ConfigValueError]:
    """Yield an error for each path in the config of a dataset that does not exist."""
    for node, key in _settings(cfg):
        folder = folder_of(node, key)
        for path in _paths(node[key]):
            if not path or not Path(_found(path, folder)).expanduser().exists():
                message, hint = _missing(key, path, folder)
                yield ConfigValueError(message, hint=hint, **location(node, key))


def existing_path(name: str, value: Any, kind: Literal["file", "folder", "any"] = "any") -> Path:
    """Return an argument that is the path of a file or a folder.

    Args:
        name: Name of the argument.
        value: Its value; a relative path is relative to the current folder.
        kind: What it must be.

    Raises:
        ArgumentTypeError: ``value`` is not a path.
        ArgumentError: It does not exist, or is of the other kind.
    """
    path = Path(check_type(name, value, str | PathLike, "a path")).expanduser()
    if not fspath(value) or not path.exists():
        message, hint = _missing(name, fspath(value), None)
        raise ArgumentError(message, hint=hint, argument=name)
    if kind != "any" and path.is_dir() != (kind == "folder"):
        other = "file" if kind == "folder" else "folder"
        raise ArgumentError(f"{name} must be a {kind}, and {path} is a {other}.", argument=name)
    return path


def _settings(cfg: Any) -> Iterator[tuple[Any, str]]:
    """Yield the dict and the key of each path in the config of a dataset, and of those inside it."""
    if not isinstance(cfg, Mapping) or "type" not in cfg:
        return
    target: Any = None
    with suppress(Exception):  # a type that cannot be found is reported where the dataset is checked or built
        target, _ = resolve_cfg(cfg, registry_for(cfg, DATASETS))
    for key in getattr(target, "PATHS", ()):
        if cfg.get(key) is not None:
            yield cfg, key
    yield from _settings(cfg.get("dataset"))
    several = cfg.get("datasets")
    for each in several if isinstance(several, list | tuple) else ():
        yield from _settings(each)


def _paths(value: Any) -> list[str]:
    """Return the paths of the file system in an argument, which is one path or a list of them."""
    several = value if isinstance(value, list | tuple) else [value]
    paths = [fspath(each) for each in several if isinstance(each, str | PathLike)]
    return [path for path in paths if "://" not in path] if len(paths) == len(several) else []


def _found(path: str, folder: Path | None, absolute: bool = False) -> str:
    """Return a path where it exists: as it is, or in the folder of its config; if nowhere, as it is."""
    if not path:
        return path
    here = Path(path).expanduser()
    if here.exists():
        return str(here.absolute()) if absolute and not here.is_absolute() else path
    return str(folder / path) if folder is not None and (folder / path).exists() else path


def _missing(name: str, path: str, folder: Path | None) -> tuple[str, str]:
    """Return the message for a path that does not exist, and a hint with the nearest names that do."""
    if not path:
        return f"{name} is empty: it must be a path. Write '.' for the current folder.", ""
    full = Path(path).expanduser()
    if full.is_absolute():
        return f"{name} is {path!r}, which does not exist.", _nearest(full, Path())
    folders = list(dict.fromkeys([Path.cwd(), *([folder] if folder is not None else [])]))
    message = f"{name} is {path!r}, which exists neither in {' nor in '.join(map(str, folders))}."
    if len(folders) == 1:
        message = f"{name} is {path!r}, which does not exist in {folders[0]}."
    return message, next(filter(None, (_nearest(full, each) for each in folders)), "")


def _nearest(path: Path, base: Path) -> str:
    """Return which names there are where the first part of a path is missing."""
    parts: Sequence[str] = path.parts
    at = next((i for i in range(len(parts)) if not (base / Path(*parts[: i + 1])).exists()), len(parts) - 1)
    parent = Path(*parts[:at])
    try:
        names = sorted(each.name for each in (base / parent).iterdir() if not each.name.startswith("."))
    except OSError:
        return ""
    near = [str(parent / name) for name in close_names(parts[at], names)]
    if near:
        return f"Did you mean {one_of(near)}?"
    if not names or parent in (Path(), Path(path.anchor)):
        return ""  # the folder itself, or that of the whole system, has little to do with the path
    return f"{str(parent)!r} contains {listed(names)}."
