"""Decorators for functions that need a package or a program which may be missing."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from cfgtrain.errors import PrerequisiteError

__all__ = ["check_prerequisites", "requires_executable", "requires_package"]

Function = TypeVar("Function", bound=Callable[..., Any])

MESSAGE = (
    'Prerequisites "{}" are required in method "{}" but not found, please install them first.'  # MMCV's words
)


def check_prerequisites(
    prerequisites: str | Sequence[str], checker: Callable[[str], bool], msg_tmpl: str = MESSAGE
) -> Callable[[Function], Function]:
    """Return a decorator that looks, at each call, for what a function needs.

    Args:
        prerequisites: One name or several.
        checker: Says whether one is there.
        msg_tmpl: Filled with the names that are missing and the name of the function.

    Raises:
        PrerequisiteError: At the call, when something is missing; the message is printed too.
    """
    names = [prerequisites] if isinstance(prerequisites, str) else list(prerequisites)

    def decorate(function: Function) -> Function:
        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            missing = [name for name in names if not checker(name)]
            if missing:
                message = msg_tmpl.format(", ".join(missing), function.__name__)
                print(message)
                raise PrerequisiteError(message)
            return function(*args, **kwargs)

        return cast("Function", checked)

    return decorate


def requires_package(prerequisites: str | Sequence[str]) -> Callable[[Function], Function]:
    """Return a decorator for a function that needs Python packages, named as they are imported."""
    return check_prerequisites(prerequisites, _can_be_imported)


def requires_executable(prerequisites: str | Sequence[str]) -> Callable[[Function], Function]:
    """Return a decorator for a function that needs programs."""
    return check_prerequisites(prerequisites, lambda name: shutil.which(name) is not None)


def _can_be_imported(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
