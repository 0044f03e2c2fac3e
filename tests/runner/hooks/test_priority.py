from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.runner import Priority, get_priority

VALUES = {
    "HIGHEST": 0,
    "VERY_HIGH": 10,
    "HIGH": 30,
    "ABOVE_NORMAL": 40,
    "NORMAL": 50,
    "BELOW_NORMAL": 60,
    "LOW": 70,
    "VERY_LOW": 90,
    "LOWEST": 100,
}


def test_names_and_values() -> None:
    """The nine priorities have the names and values of MMCV."""
    assert {p.name: p.value for p in Priority} == VALUES


@pytest.mark.parametrize("name", VALUES)
def test_name_in_any_case(name: str) -> None:
    """A name in any case and the member of the enum have the same value."""
    assert get_priority(name) == get_priority(name.lower()) == get_priority(Priority[name]) == VALUES[name]


@pytest.mark.parametrize("number", [0, 49, 100])
def test_numbers_are_priorities(number: int) -> None:
    """Any int from 0 to 100 is a priority."""
    assert get_priority(number) == number


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (-1, ValueError, "from 0 to 100, not -1"),
        (101, ValueError, "from 0 to 100, not 101"),
        ("hihg", KeyError, "Did you mean 'HIGH'"),
        (50.0, TypeError, "not 50.0"),
        (None, TypeError, "not None"),
    ],
)
def test_other_values_are_refused(wrong: Any, error: type[Exception], text: str) -> None:
    """Another number, name or type is an error of the type that MMCV raises."""
    with pytest.raises(error, match=text):
        get_priority(wrong)
