"""Validation of arguments."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.suggestions import one_of

__all__ = [
    "check_choice",
    "check_divisor",
    "check_integer",
    "check_interval",
    "check_number",
    "check_numbers",
    "check_pair",
    "check_positive",
    "check_type",
    "count_items",
]

# int and float are the faster checks; the abstract classes include the types of NumPy
_INTEGERS = (int, Integral)
_NUMBERS = (int, float, Real)


def check_choice(name: str, value: Any, choices: Iterable[object]) -> None:
    """Raise if an argument is not one of some values.

    Args:
        name: Name of the argument.
        value: Its value.
        choices: The valid values.

    Raises:
        ArgumentError: ``value`` is not in ``choices``.
    """
    known = tuple(choices)
    if not isinstance(value, Hashable) or value not in known:  # an array has no truth value for `in`
        texts = [str(each) for each in known if isinstance(each, str)]
        raise ArgumentError(
            f"{name} must be {one_of(known)}, not {value!r}.", near=(str(value), texts), argument=name
        )


def check_divisor(
    name: str, value: int, number: int, meaning: str, argument: str | tuple[str, ...] = (), **place: Any
) -> None:
    """Raise if an argument does not divide a number, with the nearest values that do.

    Args:
        name: Name of the argument.
        value: Its value, a positive int.
        number: What it must divide, a positive int.
        meaning: What the number is, for the message, such as ``the 16 channels``.
        argument: Key path of the argument in a config; by default its name.
        **place: Where it is in a config, if that does not follow from the argument; see ``cfgtrain.origin.location``.

    Raises:
        ArgumentError: ``number`` is not a multiple of ``value``.
    """
    if number % value == 0:
        return
    divisors = [each for each in range(1, number + 1) if number % each == 0]
    near = sorted(sorted(divisors, key=lambda each: abs(each - value))[:6])
    raise ArgumentError(
        f"{name} must divide {meaning}, which {value} does not.",
        hint=f"It can be {one_of(near)}.",
        argument=argument or name,
        **place,
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


def check_integer(name: str, value: Any, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return an argument as an int. NumPy integers are accepted; bools, and floats such as 2.0, are not.

    Args:
        name: Name of the argument.
        value: Its value.
        minimum: The least valid value.
        maximum: The greatest valid value.

    Raises:
        ArgumentTypeError: ``value`` is not an integer.
        ArgumentError: It is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, _INTEGERS):
        raise ArgumentTypeError(f"{name} must be an integer, not {value!r}.", argument=name)
    _check_range(name, value, minimum, maximum)
    return int(value)


def check_number(
    name: str,
    value: Any,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    finite: bool = False,
) -> float:
    """Return an argument as a Python number. NumPy numbers are accepted; bools and NaN are not.

    Args:
        name: Name of the argument.
        value: Its value.
        minimum: The least valid value.
        maximum: The greatest valid value.
        finite: Whether the value must be finite.

    Returns:
        An int if ``value`` is an integer, else a float.

    Raises:
        ArgumentTypeError: ``value`` is not a number.
        ArgumentError: It is NaN or out of range, or infinite with ``finite``.
    """
    if isinstance(value, bool) or not isinstance(
        value, int | float | Real
    ):  # the first two are the faster checks
        raise ArgumentTypeError(f"{name} must be a number, not {value!r}.", argument=name)
    if math.isnan(value):
        raise ArgumentError(f"{name} must be a number, not nan.", argument=name)
    if finite and math.isinf(value):
        raise ArgumentError(f"{name} must be finite, not {value!r}.", argument=name)
    _check_range(name, value, minimum, maximum)
    return int(value) if isinstance(value, Integral) else float(value)


def check_positive(name: str, value: Any) -> float:
    """Return an argument that is a positive and finite number, such as a scale factor, as a Python number.

    Args:
        name: Name of the argument.
        value: Its value.

    Raises:
        ArgumentTypeError: ``value`` is not a number.
        ArgumentError: It is not positive and finite.
    """
    if isinstance(value, Real) and not 0 < float(value) < math.inf:
        raise ArgumentError(f"{name} must be positive and finite, not {value!r}.", argument=name)
    return check_number(name, value)


def check_numbers(
    name: str,
    value: Any,
    length: int,
    meaning: str = "",
    *,
    integers: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
) -> tuple[float, ...]:
    """Return an argument that is a sequence of numbers as a tuple of Python numbers.

    Lists, which JSON and YAML give, and one-dimensional arrays are accepted like tuples.

    Args:
        name: Name of the argument.
        value: Its value.
        length: The number of items.
        meaning: What the items mean, for the message, such as ``(w, h)``.
        integers: Whether the items must be integers.
        minimum: The least valid item.
        maximum: The greatest valid item.

    Raises:
        ArgumentTypeError: ``value`` is not a sequence, or an item is not a number.
        ArgumentError: It does not have ``length`` items, or an item is out of range.
    """
    items = value.tolist() if hasattr(value, "tolist") else value
    is_sequence = isinstance(items, Sequence) and not isinstance(items, str | bytes)
    if not is_sequence or len(items) != length:
        error = ArgumentError if is_sequence else ArgumentTypeError
        what = f"{length} {'integers' if integers else 'numbers'}{' ' * bool(meaning)}{meaning}"
        raise error(f"{name} must be {what}, not {value!r}.", argument=name)
    check: Any = check_integer if integers else check_number
    try:
        return tuple(check(f"{name}[{i}]", item, minimum, maximum) for i, item in enumerate(items))
    except ArgumentError as error:
        error.argument = (name,)
        raise


def check_pair(
    name: str,
    value: Any,
    meaning: str = "",
    *,
    integers: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
) -> tuple[float, float]:
    """Return an argument that is one number for both of two things, or a pair of numbers, as a pair.

    Args:
        name: Name of the argument.
        value: Its value, a number or a sequence of two.
        meaning: What the two items mean, for the message, such as ``(w, h)``.
        integers: Whether the numbers must be integers.
        minimum: The least valid number.
        maximum: The greatest valid number.

    Raises:
        ArgumentTypeError: ``value`` is neither a number nor a sequence of numbers.
        ArgumentError: It does not have two items, or a number is out of range.
    """
    if isinstance(value, Real):
        one = check_integer(name, value) if integers else check_number(name, value)
        _check_range(name, one, minimum, maximum)
        return one, one
    kind = "integer" if integers else "number"
    if count_items(value) is None:
        raise ArgumentTypeError(
            f"{name} must be one {kind} or two{' ' * bool(meaning)}{meaning}, not {value!r}.", argument=name
        )
    first, second = check_numbers(
        name, value, 2, meaning, integers=integers, minimum=minimum, maximum=maximum
    )
    return first, second


def count_items(value: Any) -> int | None:
    """Return the number of items of a sequence or array, or None for anything else, such as a number or a str."""
    if isinstance(value, str | bytes) or not hasattr(value, "__len__") or getattr(value, "shape", None) == ():
        return None
    return len(value)


def check_type(name: str, value: Any, kinds: Any, what: str) -> Any:
    """Return an argument that is of a certain type.

    Args:
        name: Name of the argument.
        value: Its value.
        kinds: A type, or types that are joined by ``|``.
        what: The same in words, for the message, such as ``a path or None``.

    Raises:
        ArgumentTypeError: ``value`` is of none of the types.
    """
    if not isinstance(value, kinds):
        raise ArgumentTypeError(f"{name} must be {what}, not {value!r}.", argument=name)
    return value


def _check_range(name: str, value: Any, minimum: float | None, maximum: float | None) -> None:
    if (minimum is None or value >= minimum) and (maximum is None or value <= maximum):
        return
    if maximum is None:
        allowed = f"at least {minimum}"
    elif minimum is None:
        allowed = f"at most {maximum}"
    else:
        allowed = f"from {minimum} to {maximum}"
    raise ArgumentError(f"{name} must be {allowed}, not {value}.", argument=name)
