"""Import modules that are named by strings, as ``custom_imports`` does."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import cast

from cfgtrain.errors import ArgumentTypeError, ConfigImportError
from cfgtrain.introspection.imports import import_failure, near_paths

__all__ = [
    "import_modules_from_strings",
]


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
    return f"The module {name!r} cannot be imported: {import_failure(error)}."
