"""CIFAR-10 and CIFAR-100, read from the archives in which they are published."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from cfgtrain.arguments import check_choice, check_number
from cfgtrain.data.datasets.classification import ImageArrays, indices_in_split
from cfgtrain.data.datasets.splits import DEFAULT_FRACTIONS
from cfgtrain.data.paths import existing_path
from cfgtrain.errors import ArgumentError, FileContentError
from cfgtrain.origin import Origin
from cfgtrain.registries import DATASETS
from cfgtrain.suggestions import listed

__all__ = ["CIFAR10", "CIFAR100"]

_SIZE = 32  # width and height in pixels
_PIXELS = 3 * _SIZE * _SIZE
_SUFFIXES = (".gz", ".tgz", ".tar", ".bz2", ".xz")  # of archives in a folder
_MAX_LABEL = 255  # in the binary archives a label is a byte


class _Batch(NamedTuple):
    """The content of one file: (N, 3072) pixels, and (N,) labels."""

    pixels: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]


class _CIFAR(ImageArrays):
    """Base of the CIFAR datasets.

    Args:
        root: The archive, a folder with its files, or a folder that contains either.
        split: ``"train"``, ``"val"`` or ``"test"``, the published test images.
        pipeline: Transforms of the samples, each a config or a callable.
        val_fraction: Fraction of the published training images that are the split ``"val"`` and not ``"train"``. To
            which one an image belongs depends only on its content.
    """

    PATHS: ClassVar[tuple[str, ...]] = ("root",)
    _TITLE: ClassVar[str]
    _ARCHIVE: ClassVar[str]  # the beginning of the names of the archives and of the folders in them
    _TRAIN: ClassVar[tuple[str, ...]]  # the files in the python archive; in the binary one they end in .bin
    _TEST: ClassVar[tuple[str, ...]]
    _LABEL_BYTES: ClassVar[int]  # before the pixels of each image in the binary archive

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        pipeline: Sequence[Any] = (),
        val_fraction: float = 0.0,
    ) -> None:
        path = existing_path("root", root)
        check_choice("split", split, DEFAULT_FRACTIONS)
        check_number("val_fraction", val_fraction, 0, 1)
        if split == "val" and val_fraction == 0:
            raise ArgumentError(
                f"{self._TITLE} has no images for validation: set val_fraction to the same fraction, such as 0.1, for "
                "the splits 'train' and 'val'.",
                argument="val_fraction",
            )
        files = _read_files(path, self._ARCHIVE, self._needed(split))
        if files is None:
            raise ArgumentError(
                f"{path} does not contain {self._TITLE}: root must be the archive {self._ARCHIVE}-python.tar.gz or "
                f"{self._ARCHIVE}-binary.tar.gz, the folder with its files, or a folder that contains one of them.",
                argument="root",
            )
        binary = any(name.endswith(".bin") for name in files)
        try:
            names = self._names(files, binary)
            batches = [
                self._binary(name, files[name]) if binary else self._python(name, files[name])
                for name in sorted(files)
                if name.removesuffix(".bin") in (*self._TRAIN, *self._TEST)
            ]
        except FileContentError as error:
            error.origin = Origin(f"{path}, {error.file}")
            raise
        labels = np.concatenate([batch.labels for batch in batches]).astype(np.int64)
        if len(labels) and labels.max() >= len(names):
            raise FileContentError(
                f"The label {labels.max()} is outside the {len(names)} classes {listed(names)}.",
                origin=Origin(str(path)),
            )
        pixels = np.concatenate(
            [batch.pixels for batch in batches]
        )  # (N, 3072), first all red, then green, blue
        indices = np.arange(len(labels))
        if split != "test" and val_fraction:
            fractions = {"train": 1 - val_fraction, "val": val_fraction}
            indices = indices_in_split([row.tobytes() for row in pixels], split, fractions, path)
            pixels, labels = pixels[indices], labels[indices]
        planes = pixels.reshape(-1, 3, _SIZE, _SIZE)
        images = np.ascontiguousarray(planes[:, ::-1].transpose(0, 2, 3, 1))  # (N, 32, 32, 3), BGR
        super().__init__(
            images, names, labels, pipeline, f"{path} ({'test' if split == 'test' else 'train'})", indices
        )
        self._report_classes(f"the split {split!r} of {path}")

    def _needed(self, split: str) -> list[tuple[str, ...]]:
        """Return the names of the files of a split, in the python and in the binary archive."""
        batches = self._TEST if split == "test" else self._TRAIN
        return [
            (*batches, *self._name_files(False)),
            (*(f"{name}.bin" for name in batches), *self._name_files(True)),
        ]

    @classmethod
    @abstractmethod
    def _name_files(cls, binary: bool) -> tuple[str, ...]:
        """Return the names of the files with the names of the classes."""

    @abstractmethod
    def _label_key(self) -> tuple[str, str]:
        """Return the keys of the labels and of their names in the python archive."""

    @abstractmethod
    def _label_column(self) -> tuple[int, str]:
        """Return the column of the labels and the file of their names in the binary archive."""

    def _names(self, files: Mapping[str, bytes], binary: bool) -> tuple[str, ...]:
        if binary:
            text = files[self._label_column()[1]].decode("utf-8", "replace")
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        file = self._name_files(False)[0]
        names = _unpickled(file, files[file]).get(self._label_key()[1])
        if isinstance(names, list):  # a copy that Python 3 has saved may have bytes
            names = [name.decode("latin1") if isinstance(name, bytes) else name for name in names]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise FileContentError(
                f"{self._label_key()[1]} must be a list of names, not {names!r}.", origin=Origin(file)
            )
        return tuple(names)

    def _python(self, name: str, data: bytes) -> _Batch:
        content = _unpickled(name, data)
        key = self._label_key()[0]
        pixels, labels = content.get("data"), content.get(key)
        is_valid = (
            isinstance(pixels, np.ndarray)
            and pixels.dtype == np.uint8
            and pixels.ndim == 2
            and pixels.shape[1] == _PIXELS
            and isinstance(labels, list)
            and all(type(label) is int and 0 <= label <= _MAX_LABEL for label in labels)
        )
        if not is_valid:
            raise FileContentError(
                f"The file must have 'data', an (N, {_PIXELS}) uint8 array, and {key!r}, a list of N ints.",
                origin=Origin(name),
            )
        return self._checked(name, _Batch(pixels, np.array(labels, dtype=np.int64)))  # type: ignore[arg-type]  # checked above

    def _binary(self, name: str, data: bytes) -> _Batch:
        row = self._LABEL_BYTES + _PIXELS
        if not data or len(data) % row:
            raise FileContentError(
                f"The file is incomplete: {len(data):,} bytes are no multiple of the {row} bytes of an image.",
                origin=Origin(name),
            )
        rows = np.frombuffer(data, np.uint8).reshape(-1, row)
        return self._checked(name, _Batch(rows[:, self._LABEL_BYTES :], rows[:, self._label_column()[0]]))

    @staticmethod
    def _checked(name: str, batch: _Batch) -> _Batch:
        if len(batch.pixels) != len(batch.labels) or not len(batch.labels):
            raise FileContentError(
                f"The file has {len(batch.pixels)} images and {len(batch.labels)} labels.",
                origin=Origin(name),
            )
        return batch


@DATASETS.register_module()
class CIFAR10(_CIFAR):
    """CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009).

    50,000 training and 10,000 test images of ten classes. A sample is the result of the pipeline for a dict with
    ``img``, a (32, 32, 3) uint8 array in the order BGR, and ``gt_label``, an int from 0 to 9. Both published
    archives are read, ``cifar-10-python.tar.gz`` and ``cifar-10-binary.tar.gz``; no code in them is run.

    Args:
        root: The archive, a folder with its files, or a folder that contains either.
        split: ``"train"``, ``"val"`` or ``"test"``, the published test images.
        pipeline: Transforms of the samples, each a config or a callable.
        val_fraction: Fraction of the published training images that are the split ``"val"`` and not ``"train"``. To
            which one an image belongs depends only on its content.

    Raises:
        ArgumentError: The files are not found, or the split is not known.
        FileContentError: A file is damaged, or is not of this dataset.
    """

    _TITLE = "CIFAR-10"
    _ARCHIVE = "cifar-10"
    _TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
    _TEST = ("test_batch",)
    _LABEL_BYTES = 1

    @classmethod
    def _name_files(cls, binary: bool) -> tuple[str, ...]:
        return ("batches.meta.txt",) if binary else ("batches.meta",)

    def _label_key(self) -> tuple[str, str]:
        return "labels", "label_names"

    def _label_column(self) -> tuple[int, str]:
        return 0, "batches.meta.txt"


@DATASETS.register_module()
class CIFAR100(_CIFAR):
    """CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009).

    50,000 training and 10,000 test images of 100 classes in 20 groups. A sample is the result of the pipeline for a
    dict with ``img``, a (32, 32, 3) uint8 array in the order BGR, and ``gt_label``, an int. Both published
    archives are read, ``cifar-100-python.tar.gz`` and ``cifar-100-binary.tar.gz``; no code in them is run.

    Args:
        root: See ``CIFAR10``.
        split: See ``CIFAR10``.
        pipeline: See ``CIFAR10``.
        val_fraction: See ``CIFAR10``.
        label: ``"fine"`` for the 100 classes, or ``"coarse"`` for the 20 groups.

    Raises:
        ArgumentError: The files are not found, or the split or label is not known.
        FileContentError: A file is damaged, or is not of this dataset.
    """

    _TITLE = "CIFAR-100"
    _ARCHIVE = "cifar-100"
    _TRAIN = ("train",)
    _TEST = ("test",)
    _LABEL_BYTES = 2

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        pipeline: Sequence[Any] = (),
        val_fraction: float = 0.0,
        label: Literal["fine", "coarse"] = "fine",
    ) -> None:
        check_choice("label", label, ("fine", "coarse"))
        self.label = label
        super().__init__(root, split, pipeline, val_fraction)

    @classmethod
    def _name_files(cls, binary: bool) -> tuple[str, ...]:
        return ("fine_label_names.txt", "coarse_label_names.txt") if binary else ("meta",)

    def _label_key(self) -> tuple[str, str]:
        return f"{self.label}_labels", f"{self.label}_label_names"

    def _label_column(self) -> tuple[int, str]:
        return ("coarse", "fine").index(self.label), f"{self.label}_label_names.txt"


def _read_files(path: Path, archive: str, needed: list[tuple[str, ...]]) -> dict[str, bytes] | None:
    """Return the content of the files of a split by name, or None if they are not found.

    Args:
        path: The archive, a folder with its files, or a folder that contains either.
        archive: What the names of the archives and of the folders in them begin with.
        needed: Names of the files in each kind of archive.
    """
    if path.is_file():
        return _read_archive(path, needed)
    inner = sorted(each for each in path.iterdir() if each.name.startswith(f"{archive}-"))
    for folder in (path, *(each for each in inner if each.is_dir())):
        for names in needed:
            if all((folder / name).is_file() for name in names):
                return {name: (folder / name).read_bytes() for name in names}
    for file in (each for each in inner if each.is_file() and each.suffix.lower() in _SUFFIXES):
        found = _read_archive(file, needed)
        if found is not None:
            return found
    return None


def _read_archive(path: Path, needed: list[tuple[str, ...]]) -> dict[str, bytes] | None:
    try:
        with tarfile.open(path) as archive:
            members = {Path(each.name).name: each for each in archive.getmembers() if each.isfile()}
            names = next((names for names in needed if members.keys() >= set(names)), None)
            if names is None:
                return None
            files = {name: archive.extractfile(members[name]) for name in names}
            return {name: file.read() for name, file in files.items() if file is not None}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise FileContentError(
            f"The file is not a complete tar archive: {str(error).partition(':')[0].rstrip('.')}.",
            origin=Origin(str(path)),
        ) from error


def _unpickled(name: str, data: bytes) -> dict[str, Any]:
    """Return the dict in a pickle that contains nothing but plain values and NumPy arrays."""
    try:
        content = _PlainUnpickler(io.BytesIO(data), encoding="latin1").load()
    except FileContentError as error:
        raise FileContentError(error.message, origin=Origin(name)) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise FileContentError(
            f"The file is not a complete pickle: {type(error).__name__}: {error}.", origin=Origin(name)
        ) from error
    if not isinstance(content, dict):
        raise FileContentError(
            f"The file must contain a dict, not {type(content).__name__}.", origin=Origin(name)
        )
    return {
        key.decode("latin1") if isinstance(key, bytes) else key: (
            value.array if isinstance(value, _Array) else value
        )
        for key, value in content.items()
    }


def _latin1(text: str, encoding: str) -> bytes:
    """Return bytes that a pickle of an old protocol contains as text; see ``_codecs.encode``."""
    if encoding != "latin1":
        raise FileContentError(f"The pickle contains text in the encoding {encoding!r}.")
    return text.encode("latin1")


class _Dtype:
    """Stands for the dtype uint8 in a pickle, the only one in the published archives."""

    def __init__(self, code: str, *args: Any) -> None:
        if code not in ("u1", "|u1", "B", "uint8"):
            raise FileContentError(
                f"The pickle contains an array of the dtype {code!r}, and only 'u1' is read."
            )

    def __setstate__(self, state: Any) -> None:
        """Ignore the byte order and the alignment, which bytes do not have."""


class _Array:
    """Stands for an array in a pickle; ``array`` is the array, read-only."""

    array: np.ndarray[Any, Any] | None = None

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Set the content: the version, the shape, the dtype, whether the first index varies fastest, and the bytes."""
        _, shape, _, is_fortran, content = state
        content = content.encode("latin1") if isinstance(content, str) else content
        values = np.frombuffer(content, np.uint8)
        self.array = values.reshape(shape, order="F" if is_fortran else "C")


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that creates nothing but plain values and arrays of bytes, so that no code of a file is run.

    Not even NumPy restores the arrays: with a crafted dtype it would take the bytes of a file for addresses of objects.
    """

    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,  # in NumPy 1
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): None,  # an argument of _reconstruct
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the allowed functions."""
        if (module, name) not in self._ALLOWED:
            raise FileContentError(
                f"The pickle contains {module}.{name}, and only plain values and NumPy arrays are read."
            )
        return self._ALLOWED[module, name]
