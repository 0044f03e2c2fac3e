from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.data.datasets.splits import DEFAULT_FRACTIONS, check_split, in_split, larger_split
from cfgtrain.errors import ArgumentError, ArgumentTypeError

KEYS = [f"class/{i}.jpg" for i in range(1000)]
FRACTIONS = {"train": 0.7, "val": 0.2, "test": 0.1}
EXPECTED = [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]  # of the first keys, in val


def test_splits_divide_the_samples() -> None:
    """Each sample is in one split, about as many as the fractions say, and the order of the fractions is no matter."""
    masks = {name: in_split(KEYS, name, FRACTIONS) for name in FRACTIONS}
    assert sum(mask.astype(int) for mask in masks.values()).tolist() == [1] * len(KEYS)
    assert all(abs(masks[name].mean() - FRACTIONS[name]) < 0.04 for name in FRACTIONS)
    turned = dict(reversed(FRACTIONS.items()))
    assert all((in_split(KEYS, name, turned) == mask).all() for name, mask in masks.items())


def test_the_split_of_a_sample_is_fixed() -> None:
    """It never changes, since results could not be compared otherwise."""
    assert in_split(KEYS[:12], "val", FRACTIONS).astype(int).tolist() == EXPECTED
    assert in_split([key.encode() for key in KEYS[:12]], "val", FRACTIONS).astype(int).tolist() == EXPECTED


def test_defaults() -> None:
    """Without fractions there are three splits; without a split all samples are used."""
    assert check_split(None, None) is None
    assert check_split("val", None) == DEFAULT_FRACTIONS


@pytest.mark.parametrize(
    ("split", "fractions", "told"),
    [
        (None, {"train": 0.5}, "fractions needs split=, the name of one of them: 'train'"),
        ("vla", {"train": 0.5, "val": 0.5}, "split must be one of the fractions, 'train', 'val', not 'vla'. Did you mean 'val'?"),
        ("train", {"train": 0.8, "val": 0.3}, "must sum to at most 1"),
        ("train", {"train": 1.8}, "fractions['train'] must be from 0 to 1, not 1.8"),
    ],
)  # fmt: skip
def test_wrong_splits(split: Any, fractions: Any, told: str) -> None:
    """The message says what would be right."""
    with pytest.raises(ArgumentError) as error:
        check_split(split, fractions)
    assert told in str(error.value)


def test_fractions_of_another_type() -> None:
    """Fractions have names."""
    with pytest.raises(ArgumentTypeError, match="fractions must be a dict such as"):
        check_split("train", (0.8, 0.2))


@pytest.mark.parametrize(
    ("fractions", "split", "told"),
    [
        (DEFAULT_FRACTIONS, "val", "such as with fractions=dict(train=0.7, val=0.2, test=0.1)"),
        (DEFAULT_FRACTIONS, "train", "with fractions=dict(...)"),
        ({"a": 0.5, "b": 0.5}, "b", "with fractions=dict(...)"),
        ({"a": 0.5, "b": 0}, "b", "with fractions=dict(...)"),
    ],
)
def test_advice_on_a_split_that_is_too_small(fractions: Any, split: str, told: str) -> None:
    """The example takes from the greatest split what it adds, where that suffices."""
    assert f"Give {split!r} a greater fraction in all parts of data, {told}, or" in larger_split(
        split, fractions
    )
