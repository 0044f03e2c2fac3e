"""Import modules by name, for ``custom_imports``."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import cast

from cfgtrain.errors import ArgumentTypeError, ConfigImportError
from cfgtrain.introspection.imports import import_failure, missing_module_hint, near_paths

__all__ = ["import_modules_from_strings"]


def import_modules_from_strings(
    imports: str | Sequence[str] | None, allow_failed_imports: bool = False
) -> ModuleType | list[ModuleType | None] | None:
    """Import one module or several.

    Args:
        imports: A dotted module name, or a list of them. If it is None or empty, nothing is imported.
        allow_failed_imports: Whether an ImportError becomes a warning, with None in place of the module.
            Other errors in a module are raised in any case.

    Returns:
        The module if ``imports`` is a str, a list of modules in the same order if it is a list, and None if it
        is empty.

    Raises:
        ArgumentTypeError: ``imports`` is neither a str nor a list of str.
        ConfigImportError: A module cannot be imported. The cause is chained.
    """
    if not imports:
        return None
    if isinstance(imports, str):
        return _import(imports, allow_failed_imports)
    if not isinstance(imports, (list, tuple)) or not all(isinstance(name, str) for name in imports):
        raise ArgumentTypeError(f"imports must be a module name or a list of them, not {imports!r}.")
    return [_import(name, allow_failed_imports) for name in imports]


def _import(name: str, allow_failure: bool) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the module's own code may fail in any way
        message = _explain(name, error)
        if not (allow_failure and isinstance(error, ImportError)):
            raise ConfigImportError(message, hint=missing_module_hint(error)) from error
        warnings.warn(
            f"{message} It is skipped, because allow_failed_imports is set.", UserWarning, stacklevel=3
        )
        return None


def _explain(name: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
        begin, near = near_paths(name)
        if near:
            listed = " or ".join(map(repr, near))
            return f"No module named {error.name!r}. Did you mean {listed}?"
        if begin:
            return f"No module named {error.name!r}: {begin!r} does not contain it."
        first = cast("list[str]", [entry or "." for entry in sys.path[:2]])
        return (
            f"No module named {error.name!r}. Install it, or add its folder to PYTHONPATH. "
            f"The first folders searched are {', '.join(first)}."
        )
    return f"The module {name!r} cannot be imported: {import_failure(error)}."
