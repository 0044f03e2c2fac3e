"""Import modules and objects that are named by strings."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, cast

from cfgtrain.errors import ArgumentTypeError, ConfigImportError, close_names

__all__ = ["import_modules_from_strings", "import_object", "near_paths"]


def import_modules_from_strings(
    imports: str | Sequence[str] | None, allow_failed_imports: bool = False
) -> ModuleType | list[ModuleType | None] | None:
    """Import the named module or modules.

    Args:
        imports: One dotted name or a list of them; nothing is imported for None or ``""``.
        allow_failed_imports: Whether a module that is not there is a warning and None; one that
            fails in another way is an error all the same.

    Returns:
        The module for a str, a list in the same order for a list.

    Raises:
        ArgumentTypeError: ``imports`` is neither a str nor a list of str.
        ConfigImportError: A module cannot be imported; the cause is chained.
    """
    if not imports:
        return None
    if isinstance(imports, str):
        return _import(imports, allow_failed_imports)
    if not isinstance(imports, (list, tuple)) or not all(isinstance(name, str) for name in imports):
        raise ArgumentTypeError(f"custom_imports names a module or a list of modules, not {imports!r}.")
    return [_import(name, allow_failed_imports) for name in imports]


def import_object(path: str) -> Callable[..., Any] | None:
    """Return what can be called at a full import path, or None where there is no such thing.

    ``torch.nn.GELU`` is a class of a module, ``pathlib.Path.cwd`` a method of a class.

    Raises:
        Exception: What a module on the way raises when it is imported.
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
    """Return how far an import path leads, and the paths that it may have been meant to be.

    ``"torch.nn.Gelu"`` leads as far as ``"torch.nn"``, where ``"torch.nn.GELU"`` is near;
    ``"trch.nn.GELU"`` leads nowhere, ``""``.
    """
    parts = path.split(".")
    reached, found = 0, None
    for end, part in enumerate(parts, 1):
        try:
            deeper = getattr(found, part, None) or _import_if_there(".".join(parts[:end]))
        except Exception:  # it is there, but broken: what it holds cannot be told
            break
        if deeper is None:
            break
        reached, found = end, deeper
    if reached == len(parts):
        return path, []
    begin, wrong, rest = ".".join(parts[:reached]), parts[reached], parts[reached + 1 :]
    # Of all modules there are, one that is only somewhat alike was hardly meant.
    nearest = close_names(wrong, _names_in(found), cutoff=0.6 if begin else 0.75)
    return begin, [".".join(filter(None, (begin, name, *rest))) for name in nearest]


def _names_in(found: Any) -> list[str]:
    """Return the public names of a module, with its sub-modules, or class; of nothing, all top-level modules."""
    if found is None:
        names = {*sys.stdlib_module_names, *(each.name for each in pkgutil.iter_modules())}
    else:
        below = pkgutil.iter_modules(getattr(found, "__path__", []))
        names = {*dir(found), *(each.name for each in below)}
    return sorted(name for name in names if not name.startswith("_"))


def _import_if_there(name: str) -> ModuleType | None:
    """Import a module; None if it, or a package on the way to it, is not there."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise


def _import(name: str, allow_failure: bool) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception as error:  # the module's own code may fail in any way
        message = _explain(name, error)
        if not (allow_failure and isinstance(error, ImportError)):
            raise ConfigImportError(message) from error
        warnings.warn(f"{message} It is skipped, as allow_failed_imports says.", UserWarning, stacklevel=3)
        return None


def _explain(name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
        begin, near = near_paths(name)
        if near:
            listed = " or ".join(map(repr, near))
            return f"There is no module {error.name!r} to import. Did you mean {listed}?"
        if begin:
            return f"There is no module {error.name!r} to import: {begin!r} does not hold it."
        first = cast("list[str]", [entry or "." for entry in sys.path[:2]])
        return (
            f"There is no module {error.name!r} to import. Install it, or put its folder on PYTHONPATH; "
            f"the search begins in {', '.join(first)}."
        )
    return f"The module {name!r} cannot be imported: {type(error).__name__}: {error}{_raised_at(error)}."


def _raised_at(error: Exception) -> str:
    """Return the file and line that raised, "" for a SyntaxError, which says so itself."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = (__file__, importlib.__file__)
    inside = [frame for frame in frames if frame.filename not in ours and not frame.filename.startswith("<")]
    return f" ({inside[-1].filename}:{inside[-1].lineno})" if inside else ""
