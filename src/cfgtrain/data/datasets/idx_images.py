"""Images in IDX files, the format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cfgtrain.data.datasets.classification import MAX_CLASSES, ImageArrays, indices_in_split, known_classes
from cfgtrain.data.datasets.splits import check_split
from cfgtrain.data.paths import existing_path
from cfgtrain.errors import FileContentError
from cfgtrain.fileio.content import decompress
from cfgtrain.origin import Origin
from cfgtrain.registries import DATASETS
from cfgtrain.suggestions import listed

__all__ = ["IdxImages", "read_idx"]

_DTYPES = {
    0x08: "u1",
    0x09: "i1",
    0x0B: ">i2",
    0x0C: ">i4",
    0x0D: ">f4",
    0x0E: ">f8",
}  # by code in the header
_GZIP = b"\x1f\x8b"


@DATASETS.register_module()
class IdxImages(ImageArrays):
    """The images in an IDX file, and their labels in another one: MNIST, Fashion-MNIST and others in their format.

    A sample is the result of the pipeline for a dict with ``img``, an (H, W) or (H, W, C) uint8 array, and
    ``gt_label``, an int. The files may be compressed with gzip.

    Args:
        images: File of the images.
        labels: File of their labels.
        pipeline: Transforms of the samples, each a config or a callable.
        classes: Names of the classes in the order of their indices. By default the classes of the training dataset
            (``metainfo``), or else the indices up to the greatest label.
        split: Name of a split, such as ``"train"``: only the images in this part of the file. None: all images.
        fractions: Fraction of the images in each split by its name; by default
            ``dict(train=0.8, val=0.1, test=0.1)``. To which split an image belongs depends only on its content.
        metainfo: That of the training dataset, which ``build_loaders`` passes.

    Raises:
        ArgumentError: A file does not exist, or the split has no image.
        FileContentError: A file is not a complete IDX file, they do not belong together, or a label is outside the
            classes.
    """

    PATHS: ClassVar[tuple[str, ...]] = ("images", "labels")
    COLOR_TYPE = "grayscale"  # of files that a model predicts for

    def __init__(
        self,
        images: str | os.PathLike[str],
        labels: str | os.PathLike[str],
        pipeline: Sequence[Any] = (),
        classes: Sequence[str] | None = None,
        split: str | None = None,
        fractions: Mapping[str, float] | None = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        image_file = existing_path("images", images, "file")
        label_file = existing_path("labels", labels, "file")
        fractions = check_split(split, fractions)
        known = known_classes(classes, metainfo)
        pixels, numbers = read_idx(image_file), read_idx(label_file)
        _check_content(image_file, pixels, label_file, numbers)
        greatest, least = int(numbers.max()), int(numbers.min())
        if not known and greatest >= MAX_CLASSES:
            raise FileContentError(
                f"Label {np.flatnonzero(numbers == greatest)[0]} is {greatest}, which is no class index: those begin at 0.",
                origin=Origin(str(label_file)),
            )
        names = known or tuple(map(str, range(greatest + 1)))
        if least < 0 or greatest >= len(names):
            wrong = greatest if least >= 0 else least
            raise FileContentError(
                f"Label {np.flatnonzero(numbers == wrong)[0]} is {wrong}, which is outside the {len(names)} classes "
                f"{listed(names)}, whose indices are 0 to {len(names) - 1}.",
                origin=Origin(str(label_file)),
            )
        indices = indices_in_split([image.tobytes() for image in pixels], split, fractions, image_file)
        if split is not None:
            pixels, numbers = pixels[indices], numbers[indices]
        super().__init__(pixels, names, numbers.astype(np.int64), pipeline, image_file, indices)
        self._report_classes(image_file if split is None else f"the split {split!r} of {image_file}")


def read_idx(file: Path) -> np.ndarray[Any, Any]:
    """Return the array in an IDX file, which may be compressed with gzip.

    Raises:
        FileContentError: It is not a complete IDX file.
    """
    data = file.read_bytes()
    origin = Origin(str(file))
    if data.startswith(_GZIP):
        data = decompress(gzip, data, str(file))
    ndim = data[3] if len(data) > 3 else 0
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES or not ndim:
        raise FileContentError(
            "The file is not an IDX file: it must begin with two zero bytes, the code of a dtype and the number of "
            f"dimensions, and it begins with {data[:4].hex(' ') or 'nothing'}.",
            origin=origin,
        )
    header = 4 + 4 * ndim
    if len(data) < header:
        raise FileContentError(f"The IDX file ends within its header of {header} bytes.", origin=origin)
    shape = tuple(np.frombuffer(data, ">u4", ndim, offset=4).tolist())
    dtype = np.dtype(_DTYPES[data[2]])
    wanted, given = math.prod(shape) * dtype.itemsize, len(data) - header
    if given != wanted:
        state = "incomplete" if given < wanted else "too long"
        raise FileContentError(
            f"The IDX file is {state}: its header says {' x '.join(map(str, shape))} values, which are {wanted:,} "
            f"bytes, and it has {given:,}.",
            origin=origin,
        )
    return np.frombuffer(data, dtype, offset=header).reshape(shape)


def _check_content(
    image_file: Path, images: np.ndarray[Any, Any], label_file: Path, labels: np.ndarray[Any, Any]
) -> None:
    """Raise if two arrays are not images and their labels."""
    if images.ndim == 1 and labels.ndim > 1:
        raise FileContentError(
            f"{image_file} contains labels and {label_file} images: exchange the two.",
            origin=Origin(str(image_file)),
        )
    if images.ndim not in (3, 4) or images.dtype != np.uint8:
        raise FileContentError(
            f"Images must be uint8 of shape (N, H, W) or (N, H, W, C), not {images.dtype} of shape {images.shape}.",
            origin=Origin(str(image_file)),
        )
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise FileContentError(
            f"Labels must be integers of shape (N,), not {labels.dtype} of shape {labels.shape}.",
            origin=Origin(str(label_file)),
        )
    if len(images) != len(labels) or not len(images):
        raise FileContentError(
            f"{image_file} has {len(images)} images, and {label_file} has {len(labels)} labels; they must be as many, "
            "and at least one.",
            origin=Origin(str(label_file)),
        )
