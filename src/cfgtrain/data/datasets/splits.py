"""Stable splits: which part a sample belongs to depends on its name alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cfgtrain.arguments import check_number, check_type
from cfgtrain.errors import ArgumentError

__all__ = ["DEFAULT_FRACTIONS", "check_split", "in_split"]

DEFAULT_FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}
_ROUNDING = 1e-9  # by which the sum of fractions such as 0.8, 0.1 and 0.1 may differ from 1


def check_split(split: Any, fractions: Any) -> Mapping[str, float] | None:
    """Return the fractions of all splits, after checking them and the split; None if all samples are used.

    Args:
        split: Name of one of the splits, or None for all samples.
        fractions: Fraction, 0 to 1, of the samples in each split by its name, or None for ``DEFAULT_FRACTIONS``.

    Raises:
        ArgumentError: Only fractions are given, the split is not one of those of the fractions, or a fraction or
            their sum is out of range.
    """
    check_type("split", split, str | None, "the name of a split or None")
    check_type("fractions", fractions, Mapping | None, "a dict such as dict(train=0.8, val=0.1, test=0.1)")
    if split is None and fractions is None:
        return None
    if not fractions:
        fractions = DEFAULT_FRACTIONS
    if split is None:
        raise ArgumentError(
            f"fractions needs split=, the name of one of them: {', '.join(map(repr, fractions))}.",
            argument="fractions",
        )
    for name, fraction in fractions.items():
        check_number(f"fractions[{name!r}]", fraction, 0, 1)
    if sum(fractions.values()) > 1 + _ROUNDING:
        raise ArgumentError(
            f"The fractions must sum to at most 1, and {dict(fractions)} sum to {sum(fractions.values()):g}.",
            argument="fractions",
        )
    if split not in fractions:
        names = [str(name) for name in fractions]
        raise ArgumentError(
            f"split must be one of the fractions, {', '.join(map(repr, names))}, not {split!r}.",
            near=(split, names),
            argument="split",
        )
    return dict(fractions)


def larger_split(split: str, fractions: Mapping[str, float]) -> str:
    """Return what to do about a split with too few samples: an example of greater fractions."""
    largest = max(fractions, key=lambda name: fractions[name])
    doubled = {
        **fractions,
        largest: fractions[largest] - fractions[split],
        split: 2 * fractions[split],
    }
    example = ", ".join(f"{name}={fraction:.3g}" for name, fraction in doubled.items())
    is_possible = largest != split and doubled[largest] > doubled[split] > 0
    how = f"such as with fractions=dict({example})" if is_possible else "with fractions=dict(...)"
    return f"Give {split!r} a greater fraction in all parts of data, {how}, or use separate files."


def in_split(keys: Iterable[str | bytes], split: str, fractions: Mapping[str, float]) -> np.ndarray[Any, Any]:
    """Return which samples belong to a split.

    A hash of the key of a sample is a number from 0 to 1, and each split has an interval of these numbers. So a
    sample stays in its split when others are added or removed. The order of ``fractions`` does not matter.

    Args:
        keys: N keys of samples, such as the relative paths of files, or what they contain.
        split: Name of the split.
        fractions: Fraction of each split by name; see ``check_split``.

    Returns:
        (N,) bools.
    """
    return in_interval(positions(keys), split, fractions)


def positions(keys: Iterable[str | bytes]) -> np.ndarray[Any, Any]:
    """Return the number of each key that decides to which split it belongs, (N,), from 0 to 1, without 1."""
    return np.array([_hash(key) for key in keys], dtype=np.float64)


def in_interval(
    numbers: np.ndarray[Any, Any], split: str, fractions: Mapping[str, float]
) -> np.ndarray[Any, Any]:
    """Return which of the samples belong to a split, (N,) bools, by their numbers of ``positions``."""
    begin = sum(fraction for name, fraction in fractions.items() if name < split)
    end = begin + fractions[split]
    if end > 1 - _ROUNDING:
        end = 1.0
    return (numbers >= begin) & (numbers < end)


def _hash(key: str | bytes) -> float:
    """Return a number from 0 to 1, without 1."""
    content = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    digest = hashlib.blake2b(content, digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
