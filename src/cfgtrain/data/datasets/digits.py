"""Handwritten digits: 1,797 real 8x8 images that come with cfgtrain."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from cfgtrain.arguments import check_choice
from cfgtrain.data.transforms.compose import Compose
from cfgtrain.metrics.classification import accuracy
from cfgtrain.registries import DATASETS

__all__ = ["Digits"]

Split = Literal["train", "val", "test"]

# Of every ten images of a class, in file order: six to train on, two to choose by, two to test on.
_SPLITS = {"train": (0, 1, 3, 5, 6, 8), "val": (2, 7), "test": (4, 9)}


@DATASETS.register_module()
class Digits:
    """Optical recognition of handwritten digits (Alpaydin & Kaynak, UCI, 1998).

    Samples are dicts of ``img``, an (8, 8) uint8 array of 0 to 255, and ``gt_label``, 0 to 9,
    after the pipeline. The parts are fixed and stratified: each digit is split 6 : 2 : 2.

    Args:
        split: Which part.
        pipeline: Configs of transforms, or callables.
    """

    CLASSES = tuple("0123456789")

    def __init__(self, split: Split = "train", pipeline: Sequence[Any] = ()) -> None:
        check_choice("split", split, _SPLITS)
        self.split = split
        self.pipeline = Compose(pipeline)
        with np.load(str(files("cfgtrain.data.datasets") / "digits.npz"), allow_pickle=False) as packed:
            images, labels = packed["images"], packed["labels"]
        chosen = _part(labels, _SPLITS[split])
        # Stored as counts of inked pixels, 0 to 16.
        self.images = (images[chosen].astype(np.uint16) * 255 // 16).astype(np.uint8)  # (N, 8, 8)
        self.labels = [int(label) for label in labels[chosen]]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        return self.pipeline({"img": self.images[index], "gt_label": self.labels[index]})

    def evaluate(
        self, results: Sequence[Any], metric: str = "accuracy", logger: Any = None
    ) -> dict[str, float]:
        """Score predictions for the whole part.

        Args:
            results: N vectors of one score per class, in the order of the data set.
            metric: ``"accuracy"``, a share from 0 to 1.
            logger: Unused; part of the contract of data sets.

        Raises:
            ArgumentError: Another metric is asked for.
        """
        (name,) = self.score_names(metric)
        return {name: accuracy(results, self.labels)}

    @staticmethod
    def score_names(metric: str = "accuracy") -> list[str]:
        """Return the names of what ``evaluate`` gives, so that others are refused before the run.

        Raises:
            ArgumentError: There is no such metric.
        """
        check_choice("metric", metric, ["accuracy"])
        return [metric]


def _part(labels: np.ndarray[Any, Any], tenths: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return the indices of the samples whose rank within their class falls on ``tenths``."""
    ranks = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = labels == label
        ranks[members] = np.arange(members.sum())
    return np.flatnonzero(np.isin(ranks % 10, tenths))
