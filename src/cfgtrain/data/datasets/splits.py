"""The split of one dataset into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Literal

import numpy as np

from cfgtrain.arguments import check_choice, check_numbers
from cfgtrain.errors import ArgumentError

__all__ = ["SPLITS", "Split", "check_split", "content_splits"]

Split = Literal["train", "val", "test"]
SPLITS = ("train", "val", "test")


def check_split(split: str | None, fractions: Sequence[float]) -> tuple[float, ...]:
    """Return the fractions of the three splits, after checking them and the split.

    Args:
        split: One of ``SPLITS``, or None for all samples.
        fractions: Fractions of train, val and test, from 0 to 1, whose sum is 1.

    Raises:
        ArgumentError: The split is unknown, or the fractions are not valid.
    """
    if split is not None:
        check_choice("split", split, SPLITS)
    numbers = check_numbers("fractions", fractions, 3, "(train, val, test)", minimum=0, maximum=1)
    if abs(sum(numbers) - 1) > 1e-6:
        raise ArgumentError(
            f"The fractions of train, val and test must add up to 1, and {fractions!r} add up to {sum(numbers):g}.",
            argument="fractions",
        )
    return numbers


def content_splits(
    contents: Iterable[bytes], fractions: Sequence[float]
) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return the split of each sample, as its index in ``SPLITS``, which depends only on the content of the sample.

    It does not change when other samples are added, removed or moved, and equal samples are in the same split, so
    that a copy of a training sample is never a test sample. So the splits have about the given fractions of the
    samples, not exactly.

    Args:
        contents: The content of each sample.
        fractions: Fractions of train, val and test, whose sum is 1.

    Returns:
        An array (N,).
    """
    hashes = b"".join(blake2b(content, digest_size=8).digest() for content in contents)
    positions = np.frombuffer(hashes, dtype="<u8") / 2.0**64  # evenly distributed from 0 to 1
    first, second, _ = accumulate(fractions)
    return np.searchsorted([first, second], positions, side="right").astype(np.uint8)
