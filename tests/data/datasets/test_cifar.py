"""CIFAR, on archives that are made here in the formats of the published ones."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cfgtrain.data import CIFAR10, CIFAR100
from cfgtrain.errors import ArgumentError, FileContentError

NAMES10 = [f"class{i}" for i in range(10)]
FINE = [f"fine{i}" for i in range(100)]
COARSE = [f"coarse{i}" for i in range(20)]
GENERATOR = np.random.default_rng(0)


def pixels(count: int) -> np.ndarray[Any, Any]:
    return GENERATOR.integers(0, 256, (count, 3072), np.uint8)


def python2_pickle(content: dict[str, Any]) -> bytes:
    """Return a pickle as Python 2 writes it, in which each str is text of one byte per character: protocol 2.

    The published archives are such pickles, with arrays whose bytes are a str too.
    """

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value
            if len(value) < 256
            else b"T" + struct.pack("<i", len(value)) + value
        )

    def dump(value: Any) -> bytes:
        if isinstance(value, str):
            return text(value.encode())
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, list):
            return b"](" + b"".join(map(dump, value)) + b"e"
        if isinstance(value, dict):
            return b"}(" + b"".join(dump(key) + dump(each) for key, each in value.items()) + b"u"
        shape = b"(" + b"".join(dump(size) for size in value.shape) + b"t"
        dtype = (
            b"cnumpy\ndtype\n("
            + text(b"u1")
            + dump(0)
            + dump(1)
            + b"tR("
            + dump(3)
            + text(b"|")
            + b"NNN"
            + dump(-1) * 2
            + dump(0)
            + b"tb"
        )
        made = (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + dump(0) + b"t" + text(b"b") + b"tR"
        )
        return made + b"(" + dump(1) + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"

    return b"\x80\x02" + dump(content) + b"."


def archive_files(
    kind: str, number: int, batches: dict[str, tuple[Any, list[int], list[int]]]
) -> dict[str, bytes]:
    """Return the files of an archive from the pixels and the labels of each batch."""
    files: dict[str, bytes] = {}
    dump = python2_pickle if kind == "python2" else lambda content: pickle.dumps(content, protocol=2)
    if kind == "binary":
        for name, (data, labels, coarse) in batches.items():
            heads = [
                [label] if number == 10 else [group, label]
                for label, group in zip(labels, coarse, strict=True)
            ]
            files[f"{name}.bin"] = b"".join(
                bytes(head) + row.tobytes() for head, row in zip(heads, data, strict=True)
            )
        if number == 10:
            files["batches.meta.txt"] = "\n".join([*NAMES10, "", ""]).encode()
        else:
            files["fine_label_names.txt"] = "\n".join([*FINE, ""]).encode()
            files["coarse_label_names.txt"] = "\n".join([*COARSE, ""]).encode()
        return files
    for name, (data, labels, coarse) in batches.items():
        keys = {"labels": labels} if number == 10 else {"fine_labels": labels, "coarse_labels": coarse}
        files[name] = dump({"batch_label": name, "data": data, **keys})
    if number == 10:
        files["batches.meta"] = dump({"num_cases_per_batch": 10000, "label_names": NAMES10, "num_vis": 3072})
    else:
        files["meta"] = dump({"fine_label_names": FINE, "coarse_label_names": COARSE})
    return files


def write_archive(file: Path, folder: str, files: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


TRAIN10 = {f"data_batch_{i}": (pixels(4), [i, 0, 9, i], [0] * 4) for i in range(1, 6)}
TEST10 = {"test_batch": (pixels(3), [7, 8, 9], [0] * 3)}
ALL100 = {"train": (pixels(6), [0, 99, 5, 5, 6, 7], [0, 19, 1, 1, 2, 3]), "test": (pixels(2), [3, 4], [5, 6])}


@pytest.mark.parametrize("kind", ["python2", "python3", "binary"])
@pytest.mark.parametrize("form", ["archive", "folder", "folder with the archive", "folder with the folder"])
def test_cifar10(kind: str, form: str, tmp_path: Path) -> None:
    """Both archives are read, packed or not: the images are BGR, in the order of the batches."""
    files = archive_files(kind, 10, {**TRAIN10, **TEST10})
    inner = "cifar-10-batches-bin" if kind == "binary" else "cifar-10-batches-py"
    root = tmp_path / "data"
    if "archive" in form:
        root.mkdir()
        packed = write_archive(root / "cifar-10-any.tar.gz", inner, files)
        root = packed if form == "archive" else root
    else:
        (root / inner).mkdir(parents=True)
        for name, content in files.items():
            (root / inner / name).write_bytes(content)
        root = root / inner if form == "folder" else root
    train, test = CIFAR10(root), CIFAR10(root, split="test")
    assert tuple(NAMES10) == train.CLASSES
    assert train.labels.tolist() == [label for _, labels, _ in TRAIN10.values() for label in labels]
    assert test.labels.tolist() == [7, 8, 9]
    red, green, blue = TEST10["test_batch"][0][1].reshape(3, 32, 32)
    assert np.array_equal(test[1]["img"], np.stack([blue, green, red], axis=-1))
    assert test.source(1) == f"{root} (test), image 1"


@pytest.mark.parametrize("kind", ["python2", "python3", "binary"])
def test_cifar100(kind: str, tmp_path: Path) -> None:
    """It has fine and coarse labels, with their own names."""
    root = write_archive(tmp_path / "cifar-100.tar.gz", "cifar-100-python", archive_files(kind, 100, ALL100))
    fine, coarse = CIFAR100(root), CIFAR100(root, label="coarse")
    assert (fine.labels.tolist(), fine.CLASSES[99]) == ([0, 99, 5, 5, 6, 7], "fine99")
    assert (coarse.labels.tolist(), coarse.CLASSES[19]) == ([0, 19, 1, 1, 2, 3], "coarse19")
    assert CIFAR100(root, split="test").labels.tolist() == [3, 4]


def test_a_validation_split(tmp_path: Path) -> None:
    """val_fraction divides the training images, and leaves the test images as they are."""
    root = write_archive(
        tmp_path / "cifar-10.tar.gz",
        "cifar-10-batches-py",
        archive_files("python3", 10, {**TRAIN10, **TEST10}),
    )
    train, val = (CIFAR10(root, split, val_fraction=0.3) for split in ("train", "val"))
    both = {each[i]["img"].tobytes() for each in (train, val) for i in range(len(each))}
    assert len(both) == len(train) + len(val) == 20
    assert len(CIFAR10(root, "test", val_fraction=0.3)) == 3
    with pytest.raises(ArgumentError, match="CIFAR-10 has no images for validation: set val_fraction"):
        CIFAR10(root, "val")


def test_a_copy_with_bytes(tmp_path: Path) -> None:
    """A copy that Python 3 has saved with bytes as keys and names is read, beside other files of the folder."""
    files = archive_files("python3", 10, {**TRAIN10, **TEST10})
    meta = {b"label_names": [name.encode() for name in NAMES10]}
    data, labels, _ = TEST10["test_batch"]
    files["batches.meta"] = pickle.dumps(meta, protocol=2)
    files["test_batch"] = pickle.dumps({b"data": np.asfortranarray(data), b"labels": labels}, protocol=2)
    write_archive(tmp_path / "cifar-10-python.tar.gz", "x", files)
    (tmp_path / "cifar-10-notes.txt").write_text("no archive")
    dataset = CIFAR10(tmp_path, "test")
    assert list(dataset.CLASSES) == NAMES10
    assert dataset.labels.tolist() == labels
    assert np.array_equal(dataset[1]["img"], data[1].reshape(3, 32, 32)[::-1].transpose(1, 2, 0))


class Malicious:
    def __reduce__(self) -> Any:
        return os.mkdir, ("broken_in",)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    """A pickle with anything but plain values and arrays is an error that names the function and the file."""
    files = archive_files("python3", 10, {**TRAIN10, **TEST10})
    files["data_batch_2"] = pickle.dumps({"data": Malicious()})
    root = write_archive(tmp_path / "cifar-10.tar.gz", "x", files)
    with pytest.raises(
        FileContentError,
        match=r"contains posix.mkdir, and only plain values[\s\S]*cifar-10.tar.gz, data_batch_2",
    ):
        CIFAR10(root)
    assert not Path("broken_in").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x80\x02}", "The file is not a complete pickle"),
        (pickle.dumps([1]), "The file must contain a dict, not list."),
        (pickle.dumps({"data": pixels(2), "labels": [1]}, 2), "The file has 2 images and 1 labels."),
        (pickle.dumps({"data": pixels(2)[:, :9], "labels": [1, 2]}, 2), "The file must have 'data', an (N, 3072) uint8 array"),
        (pickle.dumps({"data": pixels(1), "fine_labels": [1]}, 2), "and 'labels', a list of N ints"),
        (pickle.dumps({"data": pixels(1), "labels": [10]}, 2), "The label 10 is outside the 10 classes"),
        (pickle.dumps({"data": pixels(1), "labels": [10**30]}, 2), "and 'labels', a list of N ints"),
        (pickle.dumps({"data": pixels(1).astype(float), "labels": [1]}, 2), "an array of the dtype 'f8', and only 'u1' is read"),
        (pickle.dumps({"data": np.array([None]), "labels": [1]}, 2), "an array of the dtype 'O8', and only 'u1' is read"),
    ],
)  # fmt: skip
def test_damaged_batches(content: bytes, told: str, tmp_path: Path) -> None:
    """The message says what is wrong."""
    files = archive_files("python3", 10, {**TRAIN10, **TEST10}) | {"test_batch": content}
    with pytest.raises(FileContentError) as error:
        CIFAR10(write_archive(tmp_path / "cifar-10.tar.gz", "x", files), split="test")
    assert told in str(error.value)


def test_an_incomplete_binary_batch(tmp_path: Path) -> None:
    """Its size is no multiple of that of an image."""
    files = archive_files("binary", 10, {**TRAIN10, **TEST10})
    files["test_batch.bin"] = files["test_batch.bin"][:-1]
    with pytest.raises(FileContentError, match="9,218 bytes are no multiple of the 3073 bytes of an image"):
        CIFAR10(write_archive(tmp_path / "cifar-10.tar.gz", "x", files), split="test")


def test_another_archive(tmp_path: Path) -> None:
    """A file or folder without the files of the dataset is an error that says what root must be."""
    root = write_archive(tmp_path / "cifar-100.tar.gz", "x", archive_files("python3", 100, ALL100))
    for path in (root, tmp_path):
        with pytest.raises(
            ArgumentError, match=r"does not contain CIFAR-10: root must be the archive cifar-10-python"
        ):
            CIFAR10(path)


def test_an_incomplete_archive(tmp_path: Path) -> None:
    """It is an error that names the archive."""
    root = write_archive(
        tmp_path / "cifar-10.tar.gz", "x", archive_files("python3", 10, {**TRAIN10, **TEST10})
    )
    root.write_bytes(root.read_bytes()[:-2000])
    with pytest.raises(FileContentError, match=r"not a complete tar archive[\s\S]*cifar-10.tar.gz"):
        CIFAR10(root)
