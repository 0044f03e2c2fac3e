"""Checks and conversions of lists, tuples and other sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any, TypeVar

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "concat_list",
    "is_list_of",
    "is_seq_of",
    "is_tuple_of",
    "iter_cast",
    "list_cast",
    "slice_list",
    "to_1tuple",
    "to_2tuple",
    "to_3tuple",
    "to_4tuple",
    "to_ntuple",
    "tuple_cast",
]

T = TypeVar("T")
Types = type[Any] | tuple[type[Any], ...]


def is_seq_of(seq: object, expected_type: Types, seq_type: type[Any] | None = None) -> bool:
    """Return whether ``seq`` is a sequence whose items are all of ``expected_type``.

    The result is True for an empty sequence. A str is a sequence of str, and a set is not a sequence.

    Args:
        seq: The object to check.
        expected_type: Type of the items, or a tuple of types.
        seq_type: Type of the sequence; any sequence by default.
    """
    kind: type[Any] = Sequence if seq_type is None else seq_type
    return isinstance(seq, kind) and all(isinstance(item, expected_type) for item in seq)


def is_list_of(seq: object, expected_type: Types) -> bool:
    """Return whether ``seq`` is a list whose items are all of ``expected_type``."""
    return is_seq_of(seq, expected_type, list)


def is_tuple_of(seq: object, expected_type: Types) -> bool:
    """Return whether ``seq`` is a tuple whose items are all of ``expected_type``."""
    return is_seq_of(seq, expected_type, tuple)


def iter_cast(inputs: Iterable[Any], dst_type: type[Any], return_type: type[Any] | None = None) -> Any:
    """Convert every item of an iterable to a type.

    Args:
        inputs: The iterable.
        dst_type: Type of the converted items.
        return_type: Type of the returned collection. If None, an iterator that converts lazily is returned.

    Raises:
        ArgumentTypeError: ``inputs`` is not iterable, or ``dst_type`` is not a type.
    """
    check_type("inputs", inputs, Iterable, "iterable")
    check_type("dst_type", dst_type, type, "a type")
    cast = map(dst_type, inputs)
    return cast if return_type is None else return_type(cast)


def list_cast(inputs: Iterable[Any], dst_type: type[T]) -> list[T]:
    """Return a list with every item converted to ``dst_type``; see ``iter_cast``."""
    cast: list[T] = iter_cast(inputs, dst_type, list)
    return cast


def tuple_cast(inputs: Iterable[Any], dst_type: type[T]) -> tuple[T, ...]:
    """Return a tuple with every item converted to ``dst_type``; see ``iter_cast``."""
    cast: tuple[T, ...] = iter_cast(inputs, dst_type, tuple)
    return cast


def slice_list(in_list: list[T], lens: int | list[int]) -> list[list[T]]:
    """Split a list into consecutive pieces.

    Args:
        in_list: The list, which is not changed.
        lens: The length of each piece, or one length for all pieces.

    Raises:
        ArgumentTypeError: ``lens`` is neither an int nor a list of int.
        ArgumentError: The lengths do not add up to the length of the list, or one is negative.
    """
    if isinstance(lens, int):
        if lens <= 0 or len(in_list) % lens:
            raise ArgumentError(f"A list of {len(in_list)} items cannot be split into pieces of {lens}.")
        lens = [lens] * (len(in_list) // lens)
    if not is_list_of(lens, int):
        raise ArgumentTypeError(f"lens must be an int or a list of int, not {lens!r}.")
    if sum(lens) != len(in_list) or min(lens, default=0) < 0:
        raise ArgumentError(f"The lengths {lens} do not add up to a list of {len(in_list)} items.")
    items = iter(in_list)
    return [[next(items) for _ in range(size)] for size in lens]


def concat_list(in_list: Iterable[Iterable[T]]) -> list[T]:
    """Concatenate lists into one list."""
    return list(chain.from_iterable(in_list))


def to_ntuple(n: int) -> Callable[[Any], Any]:
    """Return a function that turns a value into a tuple of ``n`` copies; iterables are returned unchanged."""

    def parse(x: Any) -> Any:
        return x if isinstance(x, Iterable) else tuple(repeat(x, n))

    return parse


to_1tuple, to_2tuple, to_3tuple, to_4tuple = (to_ntuple(n) for n in range(1, 5))
