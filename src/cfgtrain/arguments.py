"""Validation of arguments."""

from __future__ import annotations

from collections.abc import Iterable

from cfgtrain.errors import ArgumentError
from cfgtrain.suggestions import one_of

__all__ = ["check_choice", "check_interval"]


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
        raise ArgumentError(
            f"{name} must be {one_of(known)}, not {value!r}.", near=(str(value), texts), argument=name
        )


def check_interval(name: str, value: object, never: str) -> None:
    """Raise if an argument is not an interval: a positive int, or 0 or -1 for never.

    Args:
        name: Name of the argument.
        value: Its value.
        never: What 0 and -1 mean, for the message.

    Raises:
        ArgumentError: It is an int below -1, or not an int.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < -1:
        raise ArgumentError(f"{name} must be a positive int, or -1 {never}, not {value!r}.", argument=name)
