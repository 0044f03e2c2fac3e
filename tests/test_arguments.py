from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cfgtrain.arguments import check_choice, check_number, check_pair, check_positive
from cfgtrain.errors import ArgumentError, ArgumentTypeError


@pytest.mark.parametrize("value", [["a"], {}, np.array(["a", "b"])])
def test_a_choice_that_cannot_be_hashed(value: Any) -> None:
    """A list, dict or array is not one of the choices."""
    with pytest.raises(ArgumentError, match="mode must be 'a' or 'b', not"):
        check_choice("mode", value, ("a", "b"))


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
