"""Handwritten digits: 1,797 images of 8x8 pixels that are included in cfgtrain."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from cfgtrain.arguments import check_choice
from cfgtrain.data.datasets.classification import ImageArrays
from cfgtrain.registries import DATASETS

__all__ = ["Digits"]

Split = Literal["train", "val", "test"]

# Which of every ten images of a class, in the order of the file, belong to each split.
_SPLITS = {"train": (0, 1, 3, 5, 6, 8), "val": (2, 7), "test": (4, 9)}


@DATASETS.register_module()
class Digits(ImageArrays):
    """Optical recognition of handwritten digits (Alpaydin & Kaynak, UCI, 1998).

    A sample is the result of the pipeline for a dict with ``img``, an (8, 8) uint8 array with values from 0 to
    255, and ``gt_label``, an int from 0 to 9. The splits are fixed and stratified: the samples of each digit are
    divided 6:2:2.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``.
        pipeline: Transforms of the samples, each a config or a callable.

    Raises:
        ArgumentError: The split is unknown.
    """

    CLASSES = tuple("0123456789")
    COLOR_TYPE = "grayscale"  # of files that a model predicts for

    def __init__(self, split: Split = "train", pipeline: Sequence[Any] = ()) -> None:
        check_choice("split", split, _SPLITS)
        self.split = split
        with np.load(str(files("cfgtrain.data.datasets") / "digits.npz"), allow_pickle=False) as packed:
            images, labels = packed["images"], packed["labels"]
        chosen = _split_indices(labels, _SPLITS[split])
        # The file contains the number of black pixels in 4x4 blocks, 0 to 16.
        images = (images[chosen].astype(np.uint16) * 255 // 16).astype(np.uint8)  # (N, 8, 8)
        super().__init__(
            images, self.CLASSES, labels[chosen].astype(np.int64), pipeline, "digits.npz", chosen
        )


def _split_indices(labels: np.ndarray[Any, Any], tenths: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return the indices of the samples whose rank within their class, modulo 10, is in ``tenths``."""
    ranks = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = labels == label
        ranks[members] = np.arange(members.sum())
    return np.flatnonzero(np.isin(ranks % 10, tenths))
