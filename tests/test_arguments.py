"""Checks of arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.arguments import check_integer, check_number, check_numbers, check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers(value: Any) -> None:
    """Integers of Python and NumPy become an int."""
    assert (check_integer("n", value), type(check_integer("n", value))) == (3, int)


@pytest.mark.parametrize("value", [2.5, np.float32(2.5), 3, np.int32(3)])
def test_numbers(value: Any) -> None:
    """Numbers of Python and NumPy become an int or a float."""
    assert check_number("x", value) == value
    assert type(check_number("x", value)) in (int, float)


@pytest.mark.parametrize("value", [[1, 2], (1, 2), np.array([1, 2]), (np.int64(1), np.float64(2))])
def test_sequences(value: Any) -> None:
    """Lists, tuples and arrays become a tuple of Python numbers."""
    numbers = check_numbers("size", value, 2)
    assert numbers == (1, 2)
    assert all(type(each) in (int, float) for each in numbers)


def test_types() -> None:
    """A value of a valid type is returned."""
    assert check_type("n", "x", str | None, "a name or None") == "x"


WRONG = [
    (check_integer, (True,), {}, ArgumentTypeError, "n must be an integer, not True"),
    (check_integer, (2.0,), {}, ArgumentTypeError, "n must be an integer, not 2.0"),
    (check_integer, ("2",), {}, ArgumentTypeError, "n must be an integer, not '2'"),
    (check_integer, (0, 1), {}, ArgumentError, "n must be at least 1, not 0"),
    (check_integer, (9, None, 8), {}, ArgumentError, "n must be at most 8, not 9"),
    (check_integer, (9, 1, 8), {}, ArgumentError, "n must be from 1 to 8, not 9"),
    (check_number, (None,), {}, ArgumentTypeError, "n must be a number, not None"),
    (check_number, (float("nan"),), {}, ArgumentError, "n must be a number, not nan"),
    (check_number, (1j,), {}, ArgumentTypeError, "n must be a number"),
    (check_numbers, (3, 2, "(w, h)"), {}, ArgumentTypeError, r"n must be 2 numbers \(w, h\), not 3"),
    (check_numbers, ("12", 2), {}, ArgumentTypeError, "n must be 2 numbers, not '12'"),
    (check_numbers, ([1], 2), {}, ArgumentError, r"n must be 2 numbers, not \[1\]"),
    (check_numbers, ([1, "2"], 2), {}, ArgumentTypeError, r"n\[1\] must be a number, not '2'"),
    (check_numbers, ([1, 2.5], 2), {"integers": True}, ArgumentTypeError, r"n\[1\] must be an integer"),
    (
        check_numbers,
        ([1, 0], 2),
        {"integers": True, "minimum": 1},
        ArgumentError,
        r"n\[1\] must be at least 1",
    ),
    (check_type, (3, str | None, "a name or None"), {}, ArgumentTypeError, "n must be a name or None, not 3"),
]


@pytest.mark.parametrize(("check", "args", "kwargs", "kind", "message"), WRONG)
def test_wrong_values(check: Any, args: Any, kwargs: Any, kind: Any, message: str) -> None:
    """A wrong type is a TypeError, a wrong value a ValueError, and both name the argument."""
    with pytest.raises(kind, match=message) as caught:
        check("n", *args, **kwargs)
    assert isinstance(caught.value, ValueError)
    assert caught.value.argument == ("n",)
