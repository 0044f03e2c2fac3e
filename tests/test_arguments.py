"""Checks of arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.arguments import (
    check_choice,
    check_divisor,
    check_integer,
    check_number,
    check_numbers,
    check_pair,
    check_positive,
    check_type,
    count_items,
)
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


@pytest.mark.parametrize("value", [["a"], {}, np.array(["a", "b"])])
def test_a_choice_that_cannot_be_hashed(value: Any) -> None:
    """A list, dict or array is not one of the choices."""
    with pytest.raises(ArgumentError, match="mode must be 'a' or 'b', not"):
        check_choice("mode", value, ("a", "b"))


def test_divisors() -> None:
    """A number that does not divide another one raises an error with the nearest ones that do."""
    check_divisor("groups", 3, 12, "the 12 channels")
    with pytest.raises(ArgumentError, match="groups must divide the 12 channels, which 5 does not") as caught:
        check_divisor("groups", 5, 12, "the 12 channels")
    assert caught.value.hint == "It can be 1, 2, 3, 4, 6 or 12."
    assert caught.value.argument == ("groups",)
    with pytest.raises(ArgumentError, match="It can be 2, 4, 8, 16, 32 or 64") as caught:
        check_divisor("heads", 48, 256, "embed_dims, 256", ("arch", "heads"))
    assert caught.value.argument == ("arch", "heads")


def test_finite() -> None:
    """An infinite number is only refused where a finite one is required."""
    assert check_number("angle", float("inf")) == float("inf")
    assert check_number("angle", np.float32(-2.5), finite=True) == -2.5
    with pytest.raises(ArgumentError, match="angle must be finite, not -inf"):
        check_number("angle", float("-inf"), finite=True)


@pytest.mark.parametrize("value", [0, -1, 0.0, float("inf"), float("nan")])
def test_not_positive(value: float) -> None:
    """A number that is not positive and finite raises an error."""
    with pytest.raises(ArgumentError, match="scale must be positive and finite"):
        check_positive("scale", value)


@pytest.mark.parametrize("value", [True, "1", None, [1]])
def test_not_a_positive_number(value: Any) -> None:
    """What is not a number raises a type error."""
    with pytest.raises(ArgumentTypeError, match="scale must be a number"):
        check_positive("scale", value)


@pytest.mark.parametrize(
    ("value", "pair"),
    [(3, (3, 3)), ((3, 4), (3, 4)), ([3, 4], (3, 4)), (np.array([3, 4]), (3, 4)), (np.int64(3), (3, 3))],
)
def test_pair(value: Any, pair: tuple[int, int]) -> None:
    """A number stands for both items of a pair; lists and arrays are pairs too."""
    checked = check_pair("divisor", value, integers=True)
    assert checked == pair
    assert [type(each) for each in checked] == [int, int]
    assert check_pair("factor", 0.5) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ([1, 2], 2),
        ((), 0),
        (np.zeros((3, 2)), 3),
        (range(4), 4),
        (np.array(5), None),
        (np.float32(5), None),
        (5, None),
        (None, None),
        ("ab", None),
        (b"ab", None),
    ],
)
def test_number_of_items(value: Any, count: int | None) -> None:
    """Sequences and arrays have a number of items; numbers, arrays without axes and texts have none."""
    assert count_items(value) == count


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ArgumentError, "divisor must be at least 1, not 0"),
        ((1, 0), ArgumentError, r"divisor\[1\] must be at least 1, not 0"),
        ((1, 2, 3), ArgumentError, r"divisor must be 2 integers \(h, w\), not \(1, 2, 3\)"),
        (2.5, ArgumentTypeError, r"divisor must be an integer, not 2.5"),
        (True, ArgumentTypeError, r"divisor must be an integer, not True"),
        ("12", ArgumentTypeError, r"divisor must be one integer or two \(h, w\), not '12'"),
        (None, ArgumentTypeError, r"divisor must be one integer or two \(h, w\), not None"),
    ],
)
def test_not_a_pair(value: Any, error: type[Exception], message: str) -> None:
    """The message says which item is wrong, or what a pair is."""
    with pytest.raises(error, match=message):
        check_pair("divisor", value, "(h, w)", integers=True, minimum=1)
