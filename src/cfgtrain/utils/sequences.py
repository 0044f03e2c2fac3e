"""Lists, tuples and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any, TypeVar

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
    """Say whether ``seq`` is a sequence, or a ``seq_type``, of nothing but ``expected_type``.

    An empty one is; a set is no sequence; a str is a sequence of str.
    """
    kind: type[Any] = Sequence if seq_type is None else seq_type
    return isinstance(seq, kind) and all(isinstance(item, expected_type) for item in seq)


def is_list_of(seq: object, expected_type: Types) -> bool:
    """Say whether ``seq`` is a list of nothing but ``expected_type``."""
    return is_seq_of(seq, expected_type, list)


def is_tuple_of(seq: object, expected_type: Types) -> bool:
    """Say whether ``seq`` is a tuple of nothing but ``expected_type``."""
    return is_seq_of(seq, expected_type, tuple)


def iter_cast(inputs: Iterable[Any], dst_type: type[Any], return_type: type[Any] | None = None) -> Any:
    """Convert every item by ``dst_type``, lazily, or at once into a ``return_type``.

    Raises:
        ArgumentTypeError: ``inputs`` cannot be iterated over, or ``dst_type`` is no type.
    """
    if not isinstance(inputs, Iterable):
        raise ArgumentTypeError(f"What is cast can be iterated over; {inputs!r} cannot.")
    if not isinstance(dst_type, type):
        raise ArgumentTypeError(f"Items are cast to a type, not to {dst_type!r}.")
    cast = map(dst_type, inputs)
    return cast if return_type is None else return_type(cast)


def list_cast(inputs: Iterable[Any], dst_type: type[T]) -> list[T]:
    """Convert every item by ``dst_type`` into a list."""
    cast: list[T] = iter_cast(inputs, dst_type, list)
    return cast


def tuple_cast(inputs: Iterable[Any], dst_type: type[T]) -> tuple[T, ...]:
    """Convert every item by ``dst_type`` into a tuple."""
    cast: tuple[T, ...] = iter_cast(inputs, dst_type, tuple)
    return cast


def slice_list(in_list: list[T], lens: int | list[int]) -> list[list[T]]:
    """Cut a list into pieces.

    Args:
        in_list: Not changed.
        lens: The length of each piece, or one length for all.

    Raises:
        ArgumentTypeError: ``lens`` is neither an int nor a list of int.
        ArgumentError: The lengths do not add up to that of the list.
    """
    if isinstance(lens, int):
        if lens <= 0 or len(in_list) % lens:
            raise ArgumentError(f"A list of {len(in_list)} cannot be cut into pieces of {lens}.")
        lens = [lens] * (len(in_list) // lens)
    if not is_list_of(lens, int):
        raise ArgumentTypeError(f"lens is an int or a list of int, not {lens!r}.")
    if sum(lens) != len(in_list) or min(lens, default=0) < 0:
        raise ArgumentError(f"Pieces of {lens} do not make up a list of {len(in_list)}.")
    items = iter(in_list)
    return [[next(items) for _ in range(size)] for size in lens]


def concat_list(in_list: Iterable[Iterable[T]]) -> list[T]:
    """Join lists into one."""
    return list(chain.from_iterable(in_list))


def to_ntuple(n: int) -> Callable[[Any], Any]:
    """Return a function that repeats what is no iterable ``n`` times, and leaves an iterable as it is."""

    def parse(x: Any) -> Any:
        return x if isinstance(x, Iterable) else tuple(repeat(x, n))

    return parse


to_1tuple, to_2tuple, to_3tuple, to_4tuple = (to_ntuple(n) for n in range(1, 5))
