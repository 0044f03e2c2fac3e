from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from cfgtrain.data import Digits
from cfgtrain.errors import ArgumentError

SIZES = {"train": 1083, "val": 359, "test": 355}
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
SUMS = {"train": 5377135, "val": 1784844, "test": 1766773}  # of all pixels


@pytest.fixture(scope="module")
def parts() -> dict[str, Digits]:
    return {split: Digits(split) for split in SIZES}


def test_sizes(parts: dict[str, Digits]) -> None:
    """The splits have fixed sizes, 1,797 in total."""
    assert {split: len(part) for split, part in parts.items()} == SIZES
    assert sum(SIZES.values()) == 1797


@pytest.mark.parametrize("split", SIZES)
def test_splits_are_stratified(parts: dict[str, Digits], split: str) -> None:
    """Each split has ten classes, in the proportions of the whole dataset to within one sample."""
    counts = Counter(parts[split].labels)
    whole = sum((Counter(part.labels) for part in parts.values()), Counter())
    assert sorted(counts) == list(range(10))
    assert all(abs(counts[label] - SHARES[split] * whole[label]) < 1 for label in whole)


def test_splits_are_disjoint(parts: dict[str, Digits]) -> None:
    """No image is in two splits."""
    images = {split: {image.tobytes() for image in part.images} for split, part in parts.items()}
    assert images["train"].isdisjoint(images["val"] | images["test"])
    assert images["val"].isdisjoint(images["test"])


def test_splits_are_fixed(parts: dict[str, Digits]) -> None:
    """The splits never change, since results could not be compared otherwise."""
    assert {split: int(part.images.sum()) for split, part in parts.items()} == SUMS
    assert parts["train"].labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_image_dtype_and_range(parts: dict[str, Digits]) -> None:
    """Images are (8, 8) uint8 arrays that use the whole range."""
    images = parts["train"].images
    assert images.shape == (SIZES["train"], 8, 8)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)


def test_pipeline() -> None:
    """A sample is a dict of image and label after the pipeline, and the stored images are not changed."""
    digits = Digits("val", pipeline=[{"type": "Normalize", "mean": 255, "std": 1}])
    sample = digits[3]
    assert set(sample) == {"img", "gt_label"}
    assert sample["gt_label"] == digits.labels[3]
    assert sample["img"].max() <= 0
    assert digits.images[3].max() > 0


def test_evaluate(parts: dict[str, Digits]) -> None:
    """Predictions are scored by their accuracy over the whole split."""
    part: Any = parts["val"]
    right = np.eye(10)[part.labels]
    assert part.evaluate(list(right)) == {"accuracy": 1.0}
    assert part.evaluate(list(np.roll(right, 1, axis=1))) == {"accuracy": 0.0}
    with pytest.raises(ArgumentError, match="358 scores and 359 labels"):
        part.evaluate(list(right[1:]))
    with pytest.raises(ArgumentError, match="metric must be 'accuracy', not 'mAP'"):
        part.evaluate(list(right), metric="mAP")


def test_unknown_split() -> None:
    """An unknown split raises an error with a suggestion."""
    with pytest.raises(ArgumentError, match=r"not 'trian'. Did you mean 'train'"):
        Digits("trian")


def test_classes() -> None:
    """The dataset has class names, which are stored in checkpoints."""
    assert tuple("0123456789") == Digits.CLASSES
