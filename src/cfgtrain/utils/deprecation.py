"""Support for deprecated argument names, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from cfgtrain.errors import ArgumentError

__all__ = ["deprecated_api_warning"]

Function = TypeVar("Function", bound=Callable[..., Any])


def deprecated_api_warning(
    name_dict: Mapping[str, str], cls_name: str | None = None
) -> Callable[[Function], Function]:
    """Return a decorator that accepts deprecated argument names and issues a DeprecationWarning for each.

    Args:
        name_dict: Deprecated names and their new names, ``{old: new}``.
        cls_name: Name of the class of a decorated method, for messages.

    Raises:
        ArgumentError: When the decorated function is called: an argument is given under both names.
    """

    def decorate(function: Function) -> Function:
        shown = function.__name__ if cls_name is None else f"{cls_name}.{function.__name__}"

        @wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            for old, new in name_dict.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise ArgumentError(
                        f"{shown} got both {old!r} and {new!r}, but {old!r} is the deprecated name of {new!r}."
                    )
                message = f"The argument {old!r} of {shown} is deprecated: use {new!r}."
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return cast("Function", renamed)

    return decorate
