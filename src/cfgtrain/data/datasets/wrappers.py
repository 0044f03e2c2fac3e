"""Datasets that select, repeat or join the samples of other datasets."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from typing import Any

import numpy as np
from torch.utils.data import Dataset, IterableDataset

from cfgtrain.arguments import check_integer, check_number, check_positive, check_type
from cfgtrain.data.builder import build_dataset, metainfo_of
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import DATASETS
from cfgtrain.suggestions import listed

__all__ = ["ClassBalancedDataset", "ConcatDataset", "RepeatDataset", "Subset"]


class _SelectedSamples(ABC, Dataset[Any]):
    """Base of the datasets whose samples are samples of one or several other datasets.

    They have no ``evaluate``, since it scores predictions for all samples of a dataset; metrics can be used.

    Args:
        datasets: The inner datasets, each a config or a dataset with a length.
        metainfo: That of the training dataset, passed to the inner datasets. By default, that of the first inner
            dataset is passed to the others.

    Attributes:
        datasets: The inner datasets.
    """

    def __init__(self, datasets: Sequence[Any], metainfo: Mapping[str, Any] | None) -> None:
        self.datasets: list[Any] = []
        for each in datasets:
            if isinstance(each, Mapping):
                each = build_dataset(each, metainfo=metainfo)
            if isinstance(each, IterableDataset) or not hasattr(each, "__len__"):
                raise ArgumentTypeError(
                    f"{type(self).__name__} needs datasets with a length, and {type(each).__name__} "
                    f"{'is a stream' if isinstance(each, IterableDataset) else 'has none'}."
                )
            self.datasets.append(each)
            metainfo = metainfo or metainfo_of(each)

    @abstractmethod
    def locate(self, index: int) -> tuple[int, int]:
        """Return the number of the inner dataset that a sample is from, and the index of the sample there."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: int) -> Any:
        number, inner = self._locate(index)
        return self.datasets[number][inner]

    @property
    def metainfo(self) -> dict[str, Any]:
        """That of the first inner dataset; see ``metainfo_of``."""
        return metainfo_of(self.datasets[0])

    @property
    def CLASSES(self) -> Any:  # noqa: N802  # MMCV name
        """The class names of the first inner dataset, or None."""
        return getattr(self.datasets[0], "CLASSES", None)

    @property
    def labels(self) -> np.ndarray[Any, Any] | None:
        """The attribute ``labels`` of the inner datasets for each sample, if they all have it, or None."""
        inner = [dataset.labels for dataset in self.datasets]
        if any(labels is None for labels in inner):
            return None
        located = map(self.locate, range(len(self)))
        return np.array([inner[number][index] for number, index in located])

    def source(self, index: int) -> str:
        """Return where a sample is from, as its inner dataset says it, or else its index there."""
        number, inner = self._locate(index)
        dataset = self.datasets[number]
        if callable(getattr(dataset, "source", None)):
            return str(dataset.source(inner))
        return f"sample {inner} of {type(dataset).__name__}"

    def get_cat_ids(self, index: int) -> list[Any]:
        """Return the classes of a sample (the name of MMCV's projects); see ``ClassBalancedDataset``."""
        number, inner = self._locate(index)
        return _classes_of(self.datasets[number], inner)

    def restore(self, predictions: Any, batch: Any = None) -> tuple[Any, Any]:
        """Return predictions and a batch in the units of the data, as the first inner dataset restores them."""
        restore = getattr(self.datasets[0], "restore", None)
        return (predictions, batch) if restore is None else restore(predictions, batch)

    @cached_property
    def fingerprint(self) -> str | None:
        """A digest of the inner fingerprints and the selection, or None if an inner dataset has none."""
        inner = [getattr(dataset, "fingerprint", None) for dataset in self.datasets]
        if None in inner:
            return None
        digest = blake2b(repr(inner).encode(), digest_size=16)
        located = np.array([self.locate(index) for index in range(len(self))], dtype=np.int64)
        digest.update(located.tobytes())
        return digest.hexdigest()

    def _locate(self, index: int) -> tuple[int, int]:
        return self.locate(range(len(self))[index])  # a negative index counts from the end


@DATASETS.register_module()
class ConcatDataset(_SelectedSamples):
    """The samples of several datasets, one dataset after the other (MMCV's projects' name).

    Args:
        datasets: The datasets, each a config or a dataset.
        metainfo: That of the training dataset.

    Raises:
        ArgumentError: There is no dataset, or their class names differ.
        ArgumentTypeError: A dataset has no length.
    """

    def __init__(self, datasets: Sequence[Any], metainfo: Mapping[str, Any] | None = None) -> None:
        check_type("datasets", datasets, list | tuple, "a list of datasets")
        if not datasets:
            raise ArgumentError("datasets is empty: ConcatDataset needs at least one.", argument="datasets")
        super().__init__(datasets, metainfo)
        names = [metainfo_of(dataset).get("classes") for dataset in self.datasets]
        for number, each in enumerate(names):
            if each is not None and each != names[0]:
                raise ArgumentError(
                    f"The datasets of ConcatDataset must have the same classes: datasets[0] has {listed(names[0] or ())}, "
                    f"and datasets[{number}] has {listed(each)}.",
                    argument="datasets",
                )
        self.ends = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.ends[-1]

    def locate(self, index: int) -> tuple[int, int]:
        """Return the number of the dataset that a sample is from, and the index of the sample there."""
        number = bisect_right(self.ends, index)
        return number, index - (self.ends[number - 1] if number else 0)


@DATASETS.register_module()
class RepeatDataset(_SelectedSamples):
    """The samples of a dataset several times, which makes an epoch longer (MMCV's projects' name).

    Args:
        dataset: The dataset, or its config.
        times: How often its samples are repeated, at least 1.
        metainfo: That of the training dataset.
    """

    def __init__(self, dataset: Any, times: int, metainfo: Mapping[str, Any] | None = None) -> None:
        self.times = check_integer("times", times, 1)
        super().__init__([dataset], metainfo)

    def __len__(self) -> int:
        return self.times * len(self.datasets[0])

    def locate(self, index: int) -> tuple[int, int]:
        """Return 0 and the index of a sample in the dataset."""
        return 0, index % len(self.datasets[0])


class _Indexed(_SelectedSamples):
    """Base of the datasets that list the indices of their samples in one other dataset.

    Attributes:
        indices: An int64 array (N,).
    """

    indices: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.indices)

    def locate(self, index: int) -> tuple[int, int]:
        """Return 0 and the index of a sample in the dataset."""
        return 0, int(self.indices[index])


@DATASETS.register_module()
class Subset(_Indexed):
    """Some samples of a dataset; exactly one of ``indices``, ``first`` and ``fraction`` is given.

    Args:
        dataset: The dataset, or its config.
        indices: Indices of the samples, in the order of the subset.
        first: The number of samples from the beginning of the dataset, at most all.
        fraction: Fraction of the samples, 0 to 1, taken at equal distances: also from data that is sorted by class.
        metainfo: That of the training dataset.

    Raises:
        ArgumentError: None or several of the three are given, an index is out of range, or no sample is selected.
    """

    def __init__(
        self,
        dataset: Any,
        indices: Sequence[int] | None = None,
        first: int | None = None,
        fraction: float | None = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        given = [
            name
            for name, value in (("indices", indices), ("first", first), ("fraction", fraction))
            if value is not None
        ]
        if len(given) != 1:
            raise ArgumentError(
                f"Subset needs one of indices, first and fraction, not {' and '.join(given) or 'none'}.",
                argument=given[1] if given else (),
            )
        super().__init__([dataset], metainfo)
        size = len(self.datasets[0])
        if indices is not None:
            check_type("indices", indices, list | tuple, "a list of ints")
            numbers = [check_integer("indices", each, -size, size - 1) for each in indices]
            self.indices = np.array([each % size for each in numbers], dtype=np.int64)
        elif first is not None:
            self.indices = np.arange(min(check_integer("first", first, 1), size), dtype=np.int64)
        elif fraction is not None:
            count = round(check_number("fraction", fraction, 0, 1) * size)
            self.indices = np.arange(count, dtype=np.int64) * size // max(count, 1)
        if not len(self.indices):
            raise ArgumentError(
                f"Subset selects none of the {size} samples of {type(self.datasets[0]).__name__}.",
                argument=given[0],
            )


@DATASETS.register_module()
class ClassBalancedDataset(_Indexed):
    """Repeats the samples of rare classes (Gupta et al., "LVIS", 2019; MMCV's projects' name).

    Let f be the fraction of samples of a class. Its repeat factor is max(1, sqrt(oversample_thr / f)), and a sample is
    repeated as often as the greatest repeat factor of its classes says, rounded up. The repetitions of a sample
    follow each other, and the order of the samples is kept. Nothing is random.

    The classes of a sample are known from the method ``get_cat_ids(index)`` of the dataset, as in MMCV's projects, or
    from its attribute ``labels`` or ``targets``, class indices (N,) or zeros and ones (N, num_classes).

    Args:
        dataset: The dataset, or its config.
        oversample_thr: Fraction of samples, above 0, up to which the samples of a class are repeated.
        metainfo: That of the training dataset.

    Raises:
        ArgumentError: ``oversample_thr`` is not positive.
        ArgumentTypeError: The classes of the samples are not known.
    """

    def __init__(
        self, dataset: Any, oversample_thr: float, metainfo: Mapping[str, Any] | None = None
    ) -> None:
        threshold = check_positive("oversample_thr", oversample_thr)
        super().__init__([dataset], metainfo)
        size = len(self.datasets[0])
        classes = [set(_classes_of(self.datasets[0], index)) for index in range(size)]
        counts = Counter(each for of_sample in classes for each in of_sample)
        factors = {each: math.sqrt(threshold * size / count) for each, count in counts.items()}
        repeats = [
            math.ceil(max(1.0, *(factors[each] for each in of_sample))) if of_sample else 1
            for of_sample in classes
        ]
        self.indices = np.repeat(np.arange(size, dtype=np.int64), repeats)


def _classes_of(dataset: Any, index: int) -> list[Any]:
    """Return the classes of a sample.

    Raises:
        ArgumentTypeError: They are not known.
    """
    get_cat_ids = getattr(dataset, "get_cat_ids", None)
    if callable(get_cat_ids):
        return list(get_cat_ids(index))
    for name in ("labels", "targets"):
        labels = getattr(dataset, name, None)
        if labels is not None and hasattr(labels, "__getitem__"):
            label = np.asarray(labels[index])
            if label.ndim == 0 and label.dtype.kind in "iub":
                return [int(label)]
            if label.ndim == 1 and np.isin(label, (0, 1)).all():
                return [int(each) for each in np.flatnonzero(label)]
    raise ArgumentTypeError(
        f"The classes of the samples of {type(dataset).__name__} are not known: it needs a method "
        "get_cat_ids(index) that returns them, or an attribute labels or targets with class indices.",
        argument="dataset",
    )
