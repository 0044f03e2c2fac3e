"""Decorators for functions that require packages or programs."""

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
    'Prerequisites "{}" are required in method "{}" but not found, please install them first.'  # MMCV's text
)


def check_prerequisites(
    prerequisites: str | Sequence[str], checker: Callable[[str], bool], msg_tmpl: str = MESSAGE
) -> Callable[[Function], Function]:
    """Return a decorator that checks the prerequisites of a function at each call.

    Args:
        prerequisites: One name or several.
        checker: Function that returns whether a prerequisite is available.
        msg_tmpl: Message with two ``{}``, for the missing prerequisites and the name of the function.

    Raises:
        PrerequisiteError: When the decorated function is called: a prerequisite is missing. The message is
            printed as well.
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
    """Return a decorator for a function that requires Python packages, given by their import names."""
    return check_prerequisites(prerequisites, _can_be_imported)


def requires_executable(prerequisites: str | Sequence[str]) -> Callable[[Function], Function]:
    """Return a decorator for a function that requires programs on ``PATH``."""
    return check_prerequisites(prerequisites, lambda name: shutil.which(name) is not None)


def _can_be_imported(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
