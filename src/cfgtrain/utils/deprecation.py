"""Old names that go on working, with a warning."""

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
    """Return a decorator that takes old argument names, and says with a DeprecationWarning what they are now.

    Args:
        name_dict: New names by old ones.
        cls_name: Of the class that a method belongs to, for the message.

    Raises:
        ArgumentError: At the call, when an argument is given under both names.
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
                        f"{shown} got both {old!r} and {new!r}: the first is the old name of the second."
                    )
                message = f"{old!r} of {shown} is deprecated: its name is {new!r}."
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return cast("Function", renamed)

    return decorate
