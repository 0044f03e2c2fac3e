from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cfgtrain.data import IdxImages
from cfgtrain.errors import ArgumentError, CompressionError, FileContentError

CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}
IMAGES = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.array([1, 0, 2, 1, 0], dtype=np.uint8)

Idx = Callable[..., Path]


def idx_bytes(array: Any) -> bytes:
    code = next(code for dtype, code in CODES.items() if np.dtype(dtype) == array.dtype)
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def idx(tmp_path: Path) -> Idx:
    """Write an array, or bytes, as an IDX file."""

    def call(name: str, content: Any) -> Path:
        data = content if isinstance(content, bytes) else idx_bytes(content)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return tmp_path / name

    return call


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_images_and_labels(suffix: str, idx: Idx) -> None:
    """A sample has its image and its label; the classes are the digits of the indices."""
    dataset = IdxImages(idx("images" + suffix, IMAGES), idx("labels" + suffix, LABELS))
    assert len(dataset) == 5
    assert dataset.CLASSES == ("0", "1", "2")
    assert np.array_equal(dataset[2]["img"], IMAGES[2])
    assert dataset[2]["gt_label"] == 2
    assert dataset.source(2).endswith(f"images{suffix}, image 2")


@pytest.mark.parametrize("dtype", ["i1", ">i2", ">i4"])
def test_labels_of_other_dtypes(dtype: str, idx: Idx) -> None:
    """Labels may be any integers, which are stored with the most significant byte first."""
    dataset = IdxImages(idx("images", IMAGES), idx("labels", LABELS.astype(dtype)))
    assert dataset.labels.tolist() == LABELS.tolist()


def test_color_images(idx: Idx) -> None:
    """A fourth dimension is that of the channels."""
    dataset = IdxImages(idx("images", np.zeros((5, 4, 3, 3), np.uint8)), idx("labels", LABELS))
    assert dataset[0]["img"].shape == (4, 3, 3)


def test_classes(idx: Idx) -> None:
    """They have the given names, or those of the training dataset."""
    files = idx("images", IMAGES), idx("labels", LABELS)
    assert IdxImages(*files, classes=["a", "b", "c"]).counts == {"a": 2, "b": 2, "c": 1}
    assert IdxImages(*files, metainfo={"classes": ["x", "y", "z"]}).CLASSES == ("x", "y", "z")


def test_splits(idx: Idx) -> None:
    """The splits divide the images, and know the numbers of the images in the file."""
    images = np.random.default_rng(0).integers(0, 256, (100, 2, 2), np.uint8)
    labels = np.arange(100, dtype=np.uint8) % 10
    files = idx("images", images), idx("labels", labels)
    train, val = (
        IdxImages(*files, split=split, fractions={"train": 0.9, "val": 0.1}) for split in ("train", "val")
    )
    numbers = [int(each.source(i).rpartition(" ")[2]) for each in (train, val) for i in range(len(each))]
    assert sorted(numbers) == list(range(100))
    assert 80 < len(train) < 98
    assert np.array_equal(val[0]["img"], images[numbers[len(train)]])
    assert val[0]["gt_label"] == numbers[len(train)] % 10
    with pytest.raises(
        ArgumentError, match=r"split must be one of the fractions, 'train', 'val', not 'tests'"
    ):
        IdxImages(*files, split="tests", fractions={"train": 0.9, "val": 0.1})


WHOLE = idx_bytes(IMAGES)


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (WHOLE[:-1], LABELS, "The IDX file is incomplete: its header says 5 x 4 x 3 values, which are 60 bytes, and it has 59."),
        (WHOLE + b"0", LABELS, "The IDX file is too long"),
        (WHOLE[:9], LABELS, "The IDX file ends within its header of 16 bytes."),
        (b"", LABELS, "it begins with nothing"),
        (b"\x89PNG0000", LABELS, "The file is not an IDX file: it must begin with two zero bytes"),
        (b"\0\0\x07\x03" + WHOLE[4:], LABELS, "The file is not an IDX file"),
        (IMAGES.astype(">f4"), LABELS, "Images must be uint8 of shape (N, H, W) or (N, H, W, C), not >f4 of shape (5, 4, 3)"),
        (IMAGES, LABELS.astype(">f4"), "Labels must be integers of shape (N,), not >f4"),
        (IMAGES, np.array([0, 1, 2_000_000_000, 0, 1], ">i4"), "Label 2 is 2000000000, which is no class index"),
        (LABELS, IMAGES, "exchange the two"),
        (IMAGES[:4], LABELS, "has 4 images, and"),
        (IMAGES[:0], LABELS[:0], "at least one"),
    ],
)  # fmt: skip
def test_wrong_files(images: Any, labels: Any, told: str, idx: Idx) -> None:
    """The message says what is wrong, and names the file."""
    with pytest.raises(FileContentError) as error:
        IdxImages(idx("images", images), idx("labels", labels))
    assert told.replace(">f4", "float32") in error.value.message.replace(">f4", "float32")
    assert Path(error.value.file or "").name in ("images", "labels")


@pytest.mark.parametrize("labels", [[1, 0, 3, 1, 0], [1, 0, -1, 1, 0]])
def test_labels_outside_the_classes(labels: list[int], idx: Idx) -> None:
    """They are an error with the number of the label."""
    files = idx("images", IMAGES), idx("labels", np.array(labels, dtype="i1"))
    with pytest.raises(
        FileContentError, match=rf"Label 2 is {labels[2]}, which is outside the 3 classes 'a', 'b', 'c'"
    ):
        IdxImages(*files, classes=["a", "b", "c"])


def test_an_incomplete_compressed_file(idx: Idx, tmp_path: Path) -> None:
    """It is an error that names the file."""
    file = idx("images.gz", IMAGES)
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(CompressionError, match=r"cannot be decompressed[\s\S]*images.gz"):
        IdxImages(file, idx("labels", LABELS))


def test_a_missing_file(idx: Idx) -> None:
    """The nearest name is suggested."""
    file = idx("labels", LABELS)
    with pytest.raises(ArgumentError, match=r"images is .*Did you mean '.*labels'"):
        IdxImages(file.with_name("label"), file)
