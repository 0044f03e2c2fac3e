"""Numbers of random transforms that are given as a range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cfgtrain.arguments import check_number, check_numbers
from cfgtrain.errors import ArgumentError

__all__: list[str] = []  # what the package exports

Range = float | Sequence[float]


def checked_range(
    name: str, value: Any, minimum: float | None = None, maximum: float | None = None
) -> tuple[float, float]:
    """Return a number or a range as a range.

    Raises:
        ArgumentError: It is neither, out of range, or the lower end is the greater one.
    """
    if not is_range(value):
        number = check_number(name, value, minimum, maximum)
        return number, number
    low, high = check_numbers(name, value, 2, "(low, high)", minimum=minimum, maximum=maximum)
    if low > high:
        raise ArgumentError(f"{name} must be (low, high), not {value!r}.", argument=name)
    return low, high


def is_range(value: Any) -> bool:
    """Return whether an argument is a sequence, and not a number."""
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)


def draw(limits: tuple[float, float]) -> float:
    """Draw a number from a range with NumPy's global random generator, which is not used if both ends are equal."""
    low, high = limits
    return low if low == high else float(np.random.uniform(low, high))
