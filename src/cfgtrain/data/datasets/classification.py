"""Bases of the datasets of images with labels."""

from __future__ import annotations

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cfgtrain.arguments import check_choice, check_type
from cfgtrain.data.datasets.packed_strings import PackedStrings
from cfgtrain.data.datasets.splits import in_split, larger_split
from cfgtrain.data.transforms.compose import Compose
from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.classification import accuracy
from cfgtrain.metrics.inputs import THRESHOLD
from cfgtrain.suggestions import listed

__all__ = ["ClassificationDataset", "ImageArrays", "ImageFiles"]

logger = logging.getLogger(__name__)

MAX_CLASSES = 1_000_000  # a greater label is probably no class index
_FEW = 0.5  # the part of its expected size below which a split is reported


class ClassificationDataset(ABC):
    """Base of datasets of images with one label each, or with any number of labels.

    A sample is the result of the pipeline for a dict with ``gt_label`` and what ``image`` returns. ``gt_label`` is
    the index of a class, an int, or with several labels a float32 vector of (num_classes,) zeros and ones.

    Args:
        classes: Names of the classes.
        labels: (N,) class indices, or (N, num_classes) zeros and ones if an image may have several labels.
        pipeline: Transforms of the samples, each a config or a callable.

    Attributes:
        CLASSES: Names of the classes, a tuple.
        labels: The labels, as a NumPy array.
        pipeline: The composed transforms.
    """

    CLASSES: tuple[str, ...]

    def __init__(self, classes: Iterable[str], labels: Any, pipeline: Sequence[Any] = ()) -> None:
        self.CLASSES = tuple(classes)
        self.labels = np.asarray(labels)
        self.pipeline = Compose(pipeline)

    @abstractmethod
    def image(self, index: int) -> dict[str, Any]:
        """Return a new dict with the image of a sample, ``img``, or with its path, ``img_path``."""

    @abstractmethod
    def source(self, index: int) -> str:
        """Return where a sample is from, for messages: its file, or its file and its number there."""

    @abstractmethod
    def content(self) -> Iterable[Any]:
        """Return arrays that identify the images; see ``fingerprint``."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        label = self.labels[index]
        gt_label = label.astype(np.float32) if label.ndim else int(label)
        return self.pipeline({**self.image(index), "gt_label": gt_label})

    @property
    def metainfo(self) -> dict[str, Any]:
        """What other datasets and predictions need to know: ``{"classes": [...]}``."""
        return {"classes": list(self.CLASSES)}

    @property
    def counts(self) -> dict[str, int]:
        """Number of images by class."""
        numbers = (
            self.labels.sum(axis=0, dtype=np.int64)
            if self.labels.ndim == 2
            else np.bincount(self.labels, minlength=len(self.CLASSES))
        )
        return dict(zip(self.CLASSES, numbers.tolist(), strict=True))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the classes, the labels and the images, or of the relative paths of images in files."""
        digest = hashlib.blake2b(repr(self.CLASSES).encode("utf-8", "surrogateescape"), digest_size=16)
        for array in (np.asarray(self.labels, np.int64), *self.content()):
            digest.update(repr((array.shape, str(array.dtype))).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def evaluate(
        self, results: Sequence[Any], metric: str = "accuracy", logger: Any = None
    ) -> dict[str, float]:
        """Score predictions for all samples.

        Args:
            results: N vectors with one score per class, in the order of the dataset.
            metric: ``"accuracy"``, from 0 to 1: the top-1 accuracy. If an image may have several labels: the
                fraction of all labels that are predicted, where a score of at least 0.5 means that the image has
                the label.
            logger: Unused; part of the interface of datasets.

        Returns:
            A dict with the score by the name of the metric.

        Raises:
            ArgumentError: The metric is unknown, or the number of results is wrong.
        """
        (name,) = self.score_names(metric)
        if self.labels.ndim == 1:
            return {name: accuracy(results, self.labels)}
        if len(results) != len(self) or not len(self):
            raise ArgumentError(
                f"evaluate() needs one score vector per sample, got {len(results)} scores and {len(self)} labels."
            )
        scores = np.stack([np.asarray(result) for result in results])  # (N, num_classes)
        if scores.shape != self.labels.shape:
            raise ArgumentError(
                f"The results must have one score for each of the {self.labels.shape[1]} classes, "
                f"not the shape {scores.shape[1:]}."
            )
        return {name: float(((scores >= THRESHOLD) == self.labels).mean())}

    @staticmethod
    def score_names(metric: str = "accuracy") -> list[str]:
        """Return the names of the scores that ``evaluate`` returns, for checking a config before the run.

        Raises:
            ArgumentError: The metric is unknown.
        """
        check_choice("metric", metric, ["accuracy"])
        return [metric]

    def _report_classes(self, place: object) -> None:
        """Log a warning if a class has no image, or all images have the same class.

        Args:
            place: Where the images are from.
        """
        counts = self.counts
        empty = [name for name, count in counts.items() if not count]
        if len(counts) - len(empty) == 1:
            (name,) = (name for name, count in counts.items() if count)
            if len(self) == 1:
                logger.warning("There is only one image in %s; its class is %r.", place, name)
            else:
                logger.warning("All %d images of %s are of one class, %r.", len(self), place, name)
        elif empty:
            logger.warning(
                "%d of the %d classes %s no image in %s: %s.",
                len(empty), len(counts), "has" if len(empty) == 1 else "have", place, listed(empty),
            )  # fmt: skip


class ImageFiles(ClassificationDataset):
    """Base of datasets of image files. A sample has ``img_path``, the path of its file.

    Args:
        root: Folder that contains the files.
        paths: N paths, relative to ``root`` or absolute.
        classes: See ``ClassificationDataset``.
        labels: See ``ClassificationDataset``.
        pipeline: See ``ClassificationDataset``.
    """

    def __init__(
        self,
        root: Path,
        paths: Iterable[str],
        classes: Iterable[str],
        labels: Any,
        pipeline: Sequence[Any] = (),
    ) -> None:
        super().__init__(classes, labels, pipeline)
        self.root = root
        self.paths = PackedStrings(paths)
        self._folder = "" if root == Path() else str(root)

    def image(self, index: int) -> dict[str, Any]:
        """Return ``{"img_path": ...}``."""
        return {"img_path": self.source(index)}

    def source(self, index: int) -> str:
        """Return the path of the image."""
        return os.path.join(self._folder, self.paths[index])  # noqa: PTH118  # faster than a Path for each sample

    def content(self) -> Iterable[Any]:
        """Return the paths, relative to the root."""
        return self.paths.arrays


class ImageArrays(ClassificationDataset):
    """Base of datasets whose images are in memory. A sample has ``img``, a copy of its image.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8 images, with the channels in the order BGR.
        classes: See ``ClassificationDataset``.
        labels: See ``ClassificationDataset``.
        pipeline: See ``ClassificationDataset``.
        place: Where they are from: a file or folder.
        indices: (N,) numbers of the images there, 0-based; by default their indices in the dataset.
    """

    def __init__(
        self,
        images: Any,
        classes: Iterable[str],
        labels: Any,
        pipeline: Sequence[Any] = (),
        place: object = "",
        indices: Any = None,
    ) -> None:
        super().__init__(classes, labels, pipeline)
        self.images = images
        self._place = place
        self._indices = np.arange(len(images)) if indices is None else indices

    def image(self, index: int) -> dict[str, Any]:
        """Return ``{"img": ...}``, an (H, W) or (H, W, C) array."""
        return {"img": self.images[index].copy()}

    def source(self, index: int) -> str:
        """Return the file or folder of the image, and its number there."""
        return f"{self._place}, image {self._indices[index]}"

    def content(self) -> Iterable[Any]:
        """Return the images."""
        return (self.images,)


def known_classes(classes: Any, metainfo: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Return the names of the classes that a dataset is told, or None if it has to find them.

    Args:
        classes: The argument of this name: names in their order, or None.
        metainfo: That of the training dataset; its classes are used if ``classes`` is None.

    Raises:
        ArgumentTypeError: ``classes`` is not a list.
        ArgumentError: It is empty, a name is no text or occurs twice, or the training dataset has other classes.
    """
    trained = (metainfo or {}).get("classes")
    if classes is None:
        return None if trained is None else tuple(trained)
    check_type("classes", classes, list | tuple, "a list of names")
    if not classes or not all(isinstance(name, str) and name for name in classes):
        raise ArgumentError(
            f"classes must be a list of names, each a str, not {classes!r}.", argument="classes"
        )
    twice = [name for name in dict.fromkeys(classes) if classes.count(name) > 1]
    if twice:
        raise ArgumentError(f"classes has {listed(twice)} more than once.", argument="classes")
    if trained is not None and list(trained) != list(classes):
        raise ArgumentError(
            f"classes must be those of the training dataset in the same order, {listed(trained)}, "
            f"not {listed(classes)}: the scores of the model are in that order.",
            argument="classes",
        )
    return tuple(classes)


def indices_in_split(
    contents: Sequence[bytes], split: str | None, fractions: Mapping[str, float] | None, place: object
) -> np.ndarray[Any, Any]:
    """Return the indices of the samples in a split; see ``in_split``.

    Args:
        contents: What identifies each sample.
        split: Name of the split, or None for all samples.
        fractions: Fraction of each split by name; None for all samples.
        place: Where the samples are from, for messages.

    Raises:
        ArgumentError: The split has no samples.
    """
    if split is None or fractions is None:
        return np.arange(len(contents))
    indices = np.flatnonzero(in_split(contents, split, fractions))
    if not len(indices):
        raise ArgumentError(
            f"None of the {len(contents)} images of {place} is in the split {split!r}, with the fractions {fractions}.",
            hint=larger_split(split, fractions),
            argument="split",
        )
    if len(indices) < fractions[split] * len(contents) * _FEW:
        logger.warning(
            "Only %d of the %d images of %s %s in the split %r, although its fraction is %g: a hash of each image decides, "
            "so that few images are divided unevenly. %s",
            len(indices), len(contents), place, "is" if len(indices) == 1 else "are", split, fractions[split],
            larger_split(split, fractions),
        )  # fmt: skip
    return indices
