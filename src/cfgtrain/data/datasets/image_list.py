"""Images whose labels are in a file."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cfgtrain.arguments import check_type
from cfgtrain.data.datasets.classification import (
    MAX_CLASSES,
    ImageFiles,
    indices_in_split,
    known_classes,
    logger,
)
from cfgtrain.data.datasets.splits import check_split
from cfgtrain.data.paths import existing_path
from cfgtrain.errors import ArgumentError, FileContentError
from cfgtrain.fileio.content import content_errors, decode_text
from cfgtrain.origin import Origin
from cfgtrain.registries import DATASETS
from cfgtrain.suggestions import listed, one_of, suggest

__all__ = ["ImageList"]


class _Entry(NamedTuple):
    """One image of the file: its path, its label or labels as they are there, and the 1-based line or entry."""

    path: Any
    label: Any
    number: int


@DATASETS.register_module()
class ImageList(ImageFiles):
    """The images that a file lists, with their labels.

    A sample is the result of the pipeline for a dict with ``img_path``, the path of an image, and ``gt_label``, the
    index of its class; with ``multi_label`` a float32 vector of (num_classes,) zeros and ones.

    The suffix of the file says what it contains: ``.csv`` or ``.tsv`` a table with a header, ``.json`` a list of
    objects or an object of labels by path, ``.jsonl`` an object per line, ``.txt`` a path and a label per line,
    separated by a tab or else by the last space. A label is the name of a class, or its index.

    Args:
        ann_file: The file.
        root: Folder that the paths in it are relative to; by default the folder of the file.
        pipeline: Transforms of the samples, each a config or a callable.
        classes: Names of the classes in the order of their indices. By default the classes of the training dataset
            (``metainfo``), or else those in the file: the sorted names, or the indices up to the greatest one.
        multi_label: Whether an image may have any number of labels: a list in JSON, or texts that are separated.
        separator: What separates several labels in a text.
        path_key: Name of the column, or key in JSON, of the paths.
        label_key: Name of the column, or key in JSON, of the labels.
        split: Name of a split, such as ``"train"``: only the images in this part of the file. None: all images.
        fractions: Fraction of the images in each split by its name; by default
            ``dict(train=0.8, val=0.1, test=0.1)``. To which split an image belongs depends only on its path in the file,
            so images that are added do not move others.
        metainfo: That of the training dataset, which ``build_loaders`` passes.

    Raises:
        ArgumentError: A path or a key does not exist, the suffix is unknown, or the split has no image.
        FileContentError: The file is not valid in its format, an image does not exist, or a label is missing or is
            not one of the classes.
    """

    PATHS: ClassVar[tuple[str, ...]] = ("ann_file", "root")

    def __init__(
        self,
        ann_file: str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        pipeline: Sequence[Any] = (),
        classes: Sequence[str] | None = None,
        multi_label: bool = False,
        separator: str = ",",
        path_key: str = "path",
        label_key: str = "label",
        split: str | None = None,
        fractions: Mapping[str, float] | None = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        file = existing_path("ann_file", ann_file, "file")
        folder = file.parent if root is None else existing_path("root", root, "folder")
        fractions = check_split(split, fractions)
        check_type("multi_label", multi_label, bool, "True or False")
        known = known_classes(classes, metainfo)
        entries = list(_read(file, path_key, label_key))
        if not entries:
            raise FileContentError(f"{file} lists no images.", origin=Origin(str(file)))
        _check_paths(entries, folder, file)
        reader = _Labels(file, known, multi_label, separator)
        names, labels = reader.encode(entries)
        indices = indices_in_split([os.fsencode(entry.path) for entry in entries], split, fractions, file)
        paths, labels = [entries[index].path for index in indices], labels[indices]
        place = file if split is None else f"the split {split!r} of {file}"
        super().__init__(folder, paths, names, labels, pipeline)
        self._report_classes(place)
        if multi_label and (unlabelled := int((labels.sum(axis=1) == 0).sum())):
            logger.warning("%d of the %d images of %s have no label.", unlabelled, len(paths), place)


def _read(file: Path, path_key: str, label_key: str) -> Iterator[_Entry]:
    """Yield what a file lists."""
    readers = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".json": _read_json,
        ".jsonl": _read_jsonl,
        ".txt": _read_txt,
    }
    suffix = file.suffix.lower()
    if suffix not in readers:
        raise ArgumentError(
            f"ann_file must be a file with the suffix {one_of(list(readers))}, not {file.name!r}.",
            near=(suffix, list(readers)),
            argument="ann_file",
        )
    text = decode_text(file.read_bytes(), str(file))
    return readers[suffix](text, file, path_key, label_key)


def _read_csv(text: str, file: Path, path_key: str, label_key: str) -> Iterator[_Entry]:
    header = text.partition("\n")[0]
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ";" if ";" in header and "," not in header else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        at = [
            _column(names, key, argument, file)
            for key, argument in ((path_key, "path_key"), (label_key, "label_key"))
        ]
        for row in rows:
            if not row:
                continue
            if len(row) != len(names):
                raise FileContentError(
                    f"The line has {len(row)} fields, and the header has {len(names)}.",
                    origin=Origin(str(file), rows.line_num),
                )
            yield _Entry(row[at[0]], row[at[1]], rows.line_num)
    except csv.Error as error:
        raise FileContentError(
            f"The file is not valid CSV: {error}.", origin=Origin(str(file), rows.line_num)
        ) from error


def _column(names: list[str], key: str, argument: str, file: Path) -> int:
    if key not in names:
        raise ArgumentError(
            f"{file} has no column {key!r}; the columns in its header are {', '.join(map(repr, names)) or 'none'}. "
            f"Name the one to use with {argument}=.",
            near=(key, names),
            argument=argument,
        )
    return names.index(key)


def _read_json(text: str, file: Path, path_key: str, label_key: str) -> Iterator[_Entry]:
    with content_errors(str(file)):
        content = json.loads(text)
    if isinstance(content, dict):
        pairs = (_Entry(path, label, i) for i, (path, label) in enumerate(content.items(), 1))
        yield from pairs
    elif isinstance(content, list):
        for i, each in enumerate(content, 1):
            yield _from_object(each, i, file, path_key, label_key)
    else:
        raise FileContentError(
            "The file must contain a list of objects, or an object of labels by path.",
            origin=Origin(str(file)),
        )


def _read_jsonl(text: str, file: Path, path_key: str, label_key: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise FileContentError(
                f"The line is not valid JSON: {error.msg}.", origin=Origin(str(file), number)
            ) from error
        yield _from_object(value, number, file, path_key, label_key)


def _from_object(value: Any, number: int, file: Path, path_key: str, label_key: str) -> _Entry:
    place = _place(file, number)
    if not isinstance(value, dict):
        raise FileContentError(
            f"An image must be an object with {path_key!r} and {label_key!r}, not {value!r}{place.text}.",
            origin=place.origin,
        )
    for key, argument in ((path_key, "path_key"), (label_key, "label_key")):
        if key not in value:
            raise FileContentError(
                f"The object has no {key!r}, but {', '.join(map(repr, value)) or 'nothing'}{place.text}. "
                f"Name the key to use with {argument}=.",
                near=(key, [*value]),
                origin=place.origin,
            )
    return _Entry(value[path_key], value[label_key], number)


def _read_txt(text: str, file: Path, path_key: str, label_key: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        path, separator, label = line.strip("\n").rpartition("\t" if "\t" in line else " ")
        if not separator:
            raise FileContentError(
                f"The line must be a path and a label, with a space or tab between them, not {line!r}.",
                origin=Origin(str(file), number),
            )
        yield _Entry(path.strip(), label, number)


class _Place(NamedTuple):
    """The place of an entry: its line, or for JSON its number in the text."""

    origin: Origin
    text: str


def _place(file: Path, number: int) -> _Place:
    if file.suffix.lower() == ".json":
        return _Place(Origin(str(file)), f" (entry {number})")
    return _Place(Origin(str(file), number), "")


def _check_paths(entries: Iterable[_Entry], root: Path, file: Path) -> None:
    """Raise if an image does not exist."""
    missing: list[_Entry] = []
    total = 0
    for entry in entries:
        total += 1
        if not isinstance(entry.path, str) or not entry.path.strip():
            place = _place(file, entry.number)
            raise FileContentError(
                f"The path of an image must be a text, not {entry.path!r}{place.text}.", origin=place.origin
            )
        if not os.path.isfile(os.path.join(root, entry.path)):  # noqa: PTH113, PTH118  # faster than a Path for each file
            missing.append(entry)
    if not missing:
        return
    first = missing[0]
    path, place = root / first.path, _place(file, first.number)
    which = (
        f"{len(missing)} of the {total} images do not exist. The first is"
        if len(missing) > 1
        else "An image does not exist:"
    )
    hint = ""
    if path.parent.is_dir():
        hint = suggest(path.name, [each.name for each in path.parent.iterdir()])
    elif len(missing) == total:
        hint = f"The paths are relative to {root}; set root= if they are in another folder."
    raise FileContentError(f"{which} {str(path)!r}{place.text}.", hint=hint, origin=place.origin)


class _Labels:
    """Converts the labels of a file to indices.

    Args:
        file: The file, for messages.
        known: Names of the classes, or None if they are to be found.
        multi_label: Whether an image may have several labels.
        separator: What separates several labels in a text.
    """

    def __init__(self, file: Path, known: tuple[str, ...] | None, multi_label: bool, separator: str) -> None:
        self.file = file
        self.known = known
        self.multi_label = multi_label
        self.separator = separator

    def encode(self, entries: Sequence[_Entry]) -> tuple[tuple[str, ...], np.ndarray[Any, Any]]:
        """Return the names of the classes, and (N,) indices or (N, num_classes) zeros and ones."""
        values = [[self._value(each, entry) for each in self._several(entry)] for entry in entries]
        names = self.known or self._names(entries, values)
        indices = {name: index for index, name in enumerate(names)}
        # With names such as '1' for another index than 1, a text is never an index: it would not be clear which.
        are_numbers = any(_as_index(name) not in (None, index) for name, index in indices.items())
        rows: list[list[int]] = []
        for entry, labels in zip(entries, values, strict=True):
            rows.append([])
            for label in labels:
                index = indices.get(label) if isinstance(label, str) else label
                if index is None and not are_numbers:
                    index = _as_index(label)
                if index is None:
                    raise self._error(
                        entry, f"The label {label!r} is not one of the classes {listed(names)}",
                        near=(str(label), names),
                    )  # fmt: skip
                if not 0 <= index < len(names):
                    raise self._error(
                        entry, f"The label {label!r} is outside the {len(names)} classes, whose indices are 0 to {len(names) - 1}"
                    )  # fmt: skip
                rows[-1].append(index)
        if not self.multi_label:
            return names, np.array([row[0] for row in rows], dtype=np.int64)
        vectors = np.zeros((len(rows), len(names)), dtype=np.uint8)
        for vector, row in zip(vectors, rows, strict=True):
            vector[row] = 1
        return names, vectors

    def _several(self, entry: _Entry) -> list[Any]:
        """Return the labels of an image, as they are in the file."""
        label = entry.label
        if not self.multi_label:
            if isinstance(label, list):
                raise self._error(entry, f"The image has several labels, {label!r}; set multi_label=True")
            return [label]
        if isinstance(label, str):
            return [part for part in map(str.strip, label.split(self.separator)) if part]
        return label if isinstance(label, list) else [label]

    def _value(self, label: Any, entry: _Entry) -> str | int:
        """Return a label as a name or an index."""
        text = label.strip() if isinstance(label, str) else label
        if text is None or text == "":
            raise self._error(entry, f"The image {entry.path!r} has no label")
        if not _is_finite(text) and text not in (self.known or ()):
            hint = (
                f"If it is the name of a class, list {text!r} in classes=." if isinstance(text, str) else ""
            )
            raise self._error(
                entry, f"The image {entry.path!r} has the label {label!r}, which is no class", hint=hint
            )
        if isinstance(text, str):
            return text
        if isinstance(text, float) and text.is_integer():
            return int(text)
        if isinstance(text, bool) or not isinstance(text, int):
            raise self._error(entry, f"A label must be the name or the index of a class, not {label!r}")
        return text

    def _names(self, entries: Sequence[_Entry], values: Sequence[Sequence[str | int]]) -> tuple[str, ...]:
        """Return the names of the classes that occur: of the indices up to the greatest one, or the sorted names."""
        labels = {label for row in values for label in row}
        if not labels:
            raise FileContentError("None of the images has a label.", origin=Origin(str(self.file)))
        indices = {label: label if isinstance(label, int) else _as_index(label) for label in labels}
        are_texts = {label for label in labels if isinstance(label, str)}
        if None not in indices.values():
            numbers = [index for index in indices.values() if index is not None]
            for label, index in indices.items():
                if index is not None and not 0 <= index < MAX_CLASSES:
                    raise self._error(
                        self._entry_of(label, entries, values),
                        f"The label {label!r} is no class index, which begin at 0",
                    )
            return tuple(map(str, range(max(numbers) + 1)))
        if len(are_texts) < len(labels):
            number = next(label for label in labels if not isinstance(label, str))
            raise self._error(
                self._entry_of(number, entries, values),
                f"The label {number!r} is an index, and other images have names such as {min(are_texts)!r}",
            )
        if all(_is_number(text) for text in are_texts):
            odd = min(text for text in are_texts if indices[text] is None)
            raise self._error(
                self._entry_of(odd, entries, values), f"The label {odd!r} is a number, but no class index"
            )
        return tuple(sorted(are_texts))

    @staticmethod
    def _entry_of(
        label: str | int, entries: Sequence[_Entry], values: Sequence[Sequence[str | int]]
    ) -> _Entry:
        return next(entry for entry, row in zip(entries, values, strict=True) if label in row)

    def _error(
        self, entry: _Entry, message: str, near: tuple[str, Sequence[str]] | None = None, hint: str = ""
    ) -> FileContentError:
        place = _place(self.file, entry.number)
        return FileContentError(f"{message}{place.text}.", hint=hint, near=near, origin=place.origin)


def _as_index(label: str | int) -> int | None:
    """Return a text that is an integer, such as '3', or '3.0' as tables with gaps have it; or None."""
    return int(float(label)) if _is_number(label) and float(label).is_integer() else None


def _is_number(label: str | int) -> bool:
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def _is_finite(label: Any) -> bool:
    """Return whether a label is anything but a number, or a text of one, that is infinite or NaN."""
    try:
        return not isinstance(label, str | float) or math.isfinite(float(label))
    except ValueError:
        return True
