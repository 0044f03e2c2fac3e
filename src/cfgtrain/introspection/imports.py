"""Import objects by path, and find similar paths for a wrong one."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from cfgtrain.suggestions import close_names

__all__ = ["import_failure", "import_object", "missing_module_hint", "near_paths"]

_PACKAGE = Path(__file__).parents[1]


def import_object(path: str) -> Callable[..., Any] | None:
    """Return the class or function at a full import path, or None if there is none.

    ``torch.nn.GELU`` is a class of a module, ``pathlib.Path.cwd`` a method of a class.

    Raises:
        Exception: Any exception that a module of the path raises when it is imported.
    """
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return None
    for end in range(len(parts) - 1, 0, -1):
        found: Any = _import_if_there(".".join(parts[:end]))
        if found is not None:
            for part in parts[end:]:
                found = getattr(found, part, None)
            return found if callable(found) else None
    return None


def near_paths(path: str) -> tuple[str, list[str]]:
    """Return the part of an import path that exists, and similar paths.

    For ``"torch.nn.Gelu"`` the part is ``"torch.nn"``, and ``"torch.nn.GELU"`` is similar.
    For ``"trch.nn.GELU"`` the part is ``""``.
    """
    parts = path.split(".")
    reached, found = 0, None
    for end, part in enumerate(parts, 1):
        try:
            deeper = getattr(found, part, None) or _import_if_there(".".join(parts[:end]))
        except Exception:  # the module exists but cannot be imported
            break
        if deeper is None:
            break
        reached, found = end, deeper
    if reached == len(parts):
        return path, []
    begin, wrong, rest = ".".join(parts[:reached]), parts[reached], parts[reached + 1 :]
    # There are many top-level modules, so these have to be more similar.
    nearest = close_names(wrong, _names_in(found), cutoff=0.6 if begin else 0.75)
    return begin, [".".join(filter(None, (begin, name, *rest))) for name in nearest]


def import_failure(error: BaseException) -> str:
    """Return the type, text and place of an exception that a module raised when it was imported.

    The place is the line of the user's code that was executed last, or else of a library.
    """
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if _is_outside(Path(each.filename))]
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    users = [each for each in frames if not any(map(Path(each.filename).is_relative_to, libraries))]
    place = f" ({(users or frames)[-1].filename}:{(users or frames)[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def missing_module_hint(error: BaseException) -> str:
    """Return what to do if MMCV or MMEngine was not found, or ``""``."""
    missing = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    if missing.partition(".")[0] == "mmcv":
        return "With --compat mmcv, import mmcv imports cfgtrain."
    if missing.partition(".")[0] == "mmengine":
        return "cfgtrain migrate converts configs in the style of MMEngine."
    return ""


def _is_outside(file: Path) -> bool:
    """Return whether a source file belongs neither to cfgtrain nor to the import system."""
    return file.is_file() and not file.is_relative_to(_PACKAGE) and file != Path(str(importlib.__file__))


def _names_in(found: Any) -> list[str]:
    """Return the public names of a module and its submodules, or of a class; for None, all top-level modules."""
    if found is None:
        names = {*sys.stdlib_module_names, *(each.name for each in pkgutil.iter_modules())}
    else:
        below = pkgutil.iter_modules(getattr(found, "__path__", []))
        names = {*dir(found), *(each.name for each in below)}
    return sorted(name for name in names if not name.startswith("_"))


def _import_if_there(name: str) -> ModuleType | None:
    """Import a module; return None if it, or a package that it is in, does not exist."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise
