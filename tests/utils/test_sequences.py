"""Tests of the checks and conversions of sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cfgtrain import utils
from cfgtrain.utils import (
    concat_list,
    is_list_of,
    is_seq_of,
    is_tuple_of,
    iter_cast,
    list_cast,
    slice_list,
    to_ntuple,
    tuple_cast,
)


@pytest.mark.parametrize(
    ("seq", "kind", "of", "answer"),
    [
        ([1.0, 2.0, 3.0], float, None, True),
        ([(1,), (2,)], tuple, None, True),
        ((1.0, 2.0), float, list, False),
        ([1, "2"], int, None, False),
        ([1, "2"], (int, str), None, True),
        ([], int, None, True),
        ("abc", str, None, True),
        ({1, 2}, int, None, False),
        (3, int, None, False),
    ],
)
def test_is_seq_of(seq: Any, kind: Any, of: Any, answer: bool) -> None:
    """The sequence must have the requested type, and all items the expected type."""
    assert is_seq_of(seq, kind, of) is answer


def test_is_list_and_is_tuple_of() -> None:
    """A list is not a tuple, and a tuple is not a list."""
    assert (is_list_of([1], int), is_list_of((1,), int), is_tuple_of((1,), int), is_tuple_of([1], int)) == (
        True,
        False,
        True,
        False,
    )


def test_casts() -> None:
    """Items are converted lazily, or at once to a list, a tuple or another collection."""
    assert list_cast(["1", "2"], int) == [1, 2]
    assert tuple_cast([1, 2], str) == ("1", "2")
    assert isinstance(iter_cast([1], str), map)
    assert iter_cast([1, 1], str, set) == {"1"}


@pytest.mark.parametrize(("inputs", "kind"), [(1, str), ([1], ""), ([1], len)])
def test_invalid_casts(inputs: Any, kind: Any) -> None:
    """An argument that is not iterable, or a target that is not a type, raises a TypeError."""
    with pytest.raises(TypeError, match=r"must be (iterable|a type)"):
        iter_cast(inputs, kind)


@pytest.mark.parametrize(
    ("lens", "pieces"),
    [
        ([1, 2, 3], [[0], [1, 2], [3, 4, 5]]),
        (2, [[0, 1], [2, 3], [4, 5]]),
        ([0, 6], [[], [0, 1, 2, 3, 4, 5]]),
    ],
)
def test_slice_list(lens: Any, pieces: Any) -> None:
    """A list is split into pieces of one length or of given lengths; concat_list joins them again."""
    assert slice_list(list(range(6)), lens) == pieces
    assert concat_list(pieces) == list(range(6))


@pytest.mark.parametrize(
    ("lens", "kind"),
    [
        (2.0, TypeError), ([2.0, 4], TypeError), ((3, 3), TypeError),
        ([1, 2], ValueError), ([-1, 7], ValueError), (4, AssertionError), (0, AssertionError),
    ],
)  # fmt: skip
def test_invalid_lengths(lens: Any, kind: type[Exception]) -> None:
    """Lengths of another type, and those that do not add up, raise different errors."""
    with pytest.raises(kind):
        slice_list(list(range(6)), lens)


@pytest.mark.parametrize("n", range(1, 7))
def test_to_ntuple(n: int) -> None:
    """A number is repeated, and an iterable is returned unchanged."""
    repeat: Callable[[Any], Any] = to_ntuple(n)
    assert repeat(2) == (2,) * n
    assert repeat([1, 2, 3]) == [1, 2, 3]
    assert repeat("ab") == "ab"
    if n < 5:
        assert getattr(utils, f"to_{n}tuple")(0.5) == (0.5,) * n
