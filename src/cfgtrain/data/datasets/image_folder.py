"""Images in folders, one per class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cfgtrain.data.datasets.classification import ImageFiles, indices_in_split, known_classes, logger
from cfgtrain.data.datasets.splits import check_split
from cfgtrain.data.paths import existing_path
from cfgtrain.errors import ArgumentError
from cfgtrain.image.io import IMAGE_SUFFIXES
from cfgtrain.registries import DATASETS
from cfgtrain.suggestions import listed

__all__ = ["ImageFolder"]

_PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}


@DATASETS.register_module()
class ImageFolder(ImageFiles):
    """The images in a folder that has a subfolder for each class.

    A sample is the result of the pipeline for a dict with ``img_path``, the path of an image, and ``gt_label``, the
    index of its class. The images of a class are all files with the suffix of an image format below its folder.
    Hidden files and folders, whose names begin with a dot, are ignored. The order is that of the sorted paths.

    Args:
        root: The folder.
        pipeline: Transforms of the samples, each a config or a callable.
        classes: Names of the classes in the order of their indices. By default the classes of the training dataset
            (``metainfo``), or else the sorted names of the subfolders.
        split: Name of a split, such as ``"train"``: only the images in this part of the folder. None: all images.
        fractions: Fraction of the images in each split by its name; by default
            ``dict(train=0.8, val=0.1, test=0.1)``. To which split an image belongs depends only on its path relative to
            ``root``, so images that are added do not move others.
        metainfo: That of the training dataset, which ``build_loaders`` passes.

    Raises:
        ArgumentError: The folder or an image in a subfolder of it is missing, a subfolder with images is not one of
            the classes, or the split has no image.
    """

    PATHS: ClassVar[tuple[str, ...]] = ("root",)

    def __init__(
        self,
        root: str | os.PathLike[str],
        pipeline: Sequence[Any] = (),
        classes: Sequence[str] | None = None,
        split: str | None = None,
        fractions: Mapping[str, float] | None = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        folder = existing_path("root", root, "folder")
        fractions = check_split(split, fractions)
        known = known_classes(classes, metainfo)
        found = _Found(folder)
        if not found.images or (known is None and _are_parts(found.folders)):
            raise ArgumentError(_no_images(folder, found), argument="root")
        with_images = list(dict.fromkeys(path.partition("/")[0] for path in found.images))
        names = tuple(found.folders) if known is None else known
        unknown = [name for name in with_images if name not in names]
        if unknown:
            raise ArgumentError(
                f"{folder} has images in {listed(unknown)}, which {'is' if len(unknown) == 1 else 'are'} not among "
                f"the classes {listed(names)}.",
                near=(unknown[0], names),
                argument="root",
            )
        if found.outside:
            logger.warning(
                "%d images are in %s itself and not in the folder of a class, so they are not used: %s.",
                len(found.outside), folder, listed(found.outside),
            )  # fmt: skip
        names_of_files = [os.fsencode(path) for path in found.images]
        paths = [found.images[index] for index in indices_in_split(names_of_files, split, fractions, folder)]
        indices = {name: index for index, name in enumerate(names)}
        labels = np.fromiter((indices[path.partition("/")[0]] for path in paths), np.int64, len(paths))
        super().__init__(folder, paths, names, labels, pipeline)
        self._report_classes(folder if split is None else f"the split {split!r} of {folder}")


class _Found:
    """The content of a folder.

    Attributes:
        folders: Sorted names of its subfolders.
        images: Sorted relative paths of the images in them, with ``/``.
        outside: Names of the images in the folder itself.
        suffixes: How many other files there are, by suffix.
        num_folders: Number of all folders below it.
    """

    def __init__(self, root: Path) -> None:
        self.folders: list[str] = []
        self.images: list[str] = []
        self.outside: list[str] = []
        self.suffixes: Counter[str] = Counter()
        self.num_folders = 0
        for entry in _entries(root):
            if entry.is_dir():
                self.folders.append(entry.name)
                self._add(entry.path, entry.name, frozenset({os.path.realpath(root)}))
            elif self._is_image(entry.name):
                self.outside.append(entry.name)
        self.images.sort()

    def _add(self, folder: str, relative: str, above: frozenset[str]) -> None:
        """Add the images in a subfolder, and in those below it."""
        real = os.path.realpath(folder)
        if real in above:
            return  # a link to a folder around it
        self.num_folders += 1
        for entry in _entries(folder):
            path = f"{relative}/{entry.name}"
            if entry.is_dir():
                self._add(entry.path, path, above | {real})
            elif self._is_image(entry.name):
                self.images.append(path)

    def _is_image(self, name: str) -> bool:
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  # much faster than a Path for each file
        if suffix in IMAGE_SUFFIXES:
            return True
        self.suffixes[suffix or "no suffix"] += 1
        return False


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder in sorted order, without hidden ones."""
    with os.scandir(folder) as entries:
        yield from sorted((each for each in entries if each.name[0] != "."), key=lambda each: each.name)


def _are_parts(folders: Sequence[str]) -> bool:
    """Return whether the names of folders are those of the parts of a dataset, not of classes."""
    return len(folders) > 1 and _PARTS.issuperset(name.lower() for name in folders)


def _no_images(folder: Path, found: _Found) -> str:
    """Return the message for a folder without images where they are expected."""
    if found.images:
        parts = ", ".join(f"root={str(folder / name)!r}" for name in found.folders)
        return (
            f"{folder} contains the parts of a dataset, not its classes: use {parts} for the parts of data."
        )
    if found.outside:
        return (
            f"The {len(found.outside)} images in {folder} are not in folders: ImageFolder needs a folder for each "
            "class. For images whose labels are in a file, use ImageList."
        )
    if not found.folders:
        where = "It has no folders, and ImageFolder needs one for each class"
    else:
        where = f"Searched {found.num_folders} folders, {listed(found.folders)}"
        where += f", with those below them, for files that end in {', '.join(IMAGE_SUFFIXES)}"
    others = ", ".join(f"{count} {suffix}" for suffix, count in found.suffixes.most_common(3))
    return f"There are no images in {folder}. {where}.{f' Other files: {others}.' if others else ''}"
