"""Validation of arguments."""

from __future__ import annotations

from collections.abc import Iterable

from cfgtrain.errors import ArgumentError
from cfgtrain.suggestions import one_of

__all__ = ["check_choice"]


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise if an argument is not one of some values.

    Args:
        name: Name of the argument.
        value: Its value.
        choices: The valid values.

    Raises:
        ArgumentError: ``value`` is not in ``choices``.
    """
    known = tuple(choices)
    if value not in known:
        texts = [str(each) for each in known if isinstance(each, str)]
        raise ArgumentError(f"{name} must be {one_of(known)}, not {value!r}.", near=(str(value), texts))
