from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cfgtrain.data.datasets.classification import (
    ClassificationDataset,
    ImageArrays,
    ImageFiles,
    indices_in_split,
    known_classes,
)
from cfgtrain.data.datasets.packed_strings import PackedStrings
from cfgtrain.errors import ArgumentError, ArgumentTypeError

# Two child processes read all samples of a dataset, as loader workers do, and tell how much memory became their own.
FORKING = """
import gc, json, os, sys
from pathlib import Path
import numpy as np
from cfgtrain.data.datasets.classification import ImageFiles

class Plain:
    def __init__(self, paths, labels):
        self.root, self.samples = Path("/data"), list(zip(paths, labels))
    def __getitem__(self, index):
        path, label = self.samples[index]
        return {"img_path": str(self.root / path), "gt_label": label}

def private():
    fields = (line.split() for line in open("/proc/self/smaps_rollup") if line.startswith("Private_Dirty"))
    return sum(int(field[1]) for field in fields) / 1024

count = 300_000
paths = [f"class_{i % 1000:04}/a_longer_name_of_an_image_file_{i:08}.jpeg" for i in range(count)]
labels = [i % 1000 for i in range(count)]
if sys.argv[1] == "packed":
    dataset = ImageFiles(Path("/data"), paths, map(str, range(1000)), labels)
else:
    dataset = Plain(paths, labels)
del paths, labels
grown = []
for _ in range(2):
    reader, writer = os.pipe()
    if not os.fork():
        gc.disable()  # it writes to all objects of the process, whatever the dataset is
        before = private()
        for i in range(count):
            dataset[i]
        os.write(writer, json.dumps(private() - before).encode())
        os._exit(0)
    grown.append(json.loads(os.read(reader, 100)))
    os.wait()
print(json.dumps(grown))
"""


def arrays(labels: Any, classes: Sequence[str] = ("a", "b", "c"), **args: Any) -> ImageArrays:
    return ImageArrays(np.zeros((len(labels), 2, 2), np.uint8), classes, labels, **args)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
@pytest.mark.parametrize(("kind", "least", "most"), [("packed", 0, 5), ("plain", 30, 1000)])
def test_workers_share_the_annotations(kind: str, least: float, most: float) -> None:
    """Reading 300,000 samples adds less than 5 MB to each worker; with a list of str it adds tens."""
    done = subprocess.run([sys.executable, "-c", FORKING, kind], capture_output=True, text=True, check=True)
    grown = json.loads(done.stdout)
    assert all(least <= each <= most for each in grown), grown


@pytest.mark.parametrize("texts", [[], [""], ["a", "", "bc/d"], ["ä/ß", "x" * 1000], [os.fsdecode(b"a\xff")]])
def test_packed_strings_are_the_texts(texts: list[str]) -> None:
    """They have the length and the items of the list, with negative indices and bytes that are not valid text."""
    packed = PackedStrings(texts)
    assert len(packed) == len(texts)
    assert list(packed) == texts
    assert [packed[i - len(texts)] for i in range(len(texts))] == texts
    with pytest.raises(IndexError):
        packed[len(texts)]


def test_a_sample_goes_through_the_pipeline() -> None:
    """The pipeline gets the image, a copy, and the label as an int."""
    dataset = arrays([2, 0], pipeline=[lambda results: {**results, "seen": True}])
    dataset[0]["img"][:] = 9
    assert dataset.images.max() == 0
    assert dataset[0]["seen"]
    assert (type(dataset[0]["gt_label"]), dataset[0]["gt_label"]) == (int, 2)


def test_iteration_ends() -> None:
    """A dataset can be iterated, since an index beyond its end is an IndexError."""
    assert [sample["gt_label"] for sample in arrays([2, 0])] == [2, 0]  # type: ignore[attr-defined]


def test_several_labels_are_a_vector() -> None:
    """With several labels, gt_label is a float32 vector and the counts are per class."""
    dataset = arrays([[1, 0, 1], [0, 0, 1]])
    assert dataset[0]["gt_label"].dtype == np.float32
    assert dataset[0]["gt_label"].tolist() == [1, 0, 1]
    assert dataset.counts == {"a": 1, "b": 0, "c": 2}


def test_metainfo_and_counts() -> None:
    """The names of the classes are for other datasets, and each class is counted."""
    dataset = arrays([2, 0, 2])
    assert dataset.metainfo == {"classes": ["a", "b", "c"]}
    assert dataset.counts == {"a": 1, "b": 0, "c": 2}


def test_accuracy() -> None:
    """It is the fraction of samples whose label has the highest score."""
    scores = [np.array([0, 0, 1.0]), np.array([0, 1.0, 0])]
    assert arrays([2, 0]).evaluate(scores) == {"accuracy": 0.5}


def test_accuracy_of_several_labels() -> None:
    """It is the fraction of all labels that are predicted, with a threshold of 0.5."""
    dataset = arrays([[1, 0, 1], [0, 0, 1]])
    assert dataset.evaluate([[0.9, 0.4, 0.5], [0.6, 0.1, 0.2]]) == {"accuracy": pytest.approx(4 / 6)}
    with pytest.raises(ArgumentError, match="one score for each of the 3 classes, not the shape \\(2,\\)"):
        dataset.evaluate([[0.9, 0.4], [0.6, 0.1]])


def test_wrong_metric_and_number_of_results() -> None:
    """Both are errors; the metric is known without a dataset."""
    with pytest.raises(ArgumentError, match="metric must be 'accuracy'"):
        ClassificationDataset.score_names("acuracy")
    with pytest.raises(ArgumentError, match="got 1 scores and 2 labels"):
        arrays([2, 0]).evaluate([[0, 0, 1]])


def test_the_fingerprint_identifies_the_data() -> None:
    """It is the same for the same data in another folder, and differs with a path, a label or a class."""

    def print_of(
        root: str = "a", paths: Sequence[str] = ("x", "yz"), classes: str = "ab", labels: Any = (0, 1)
    ) -> str:
        return ImageFiles(Path(root), paths, classes, labels).fingerprint

    assert print_of() == print_of(root="b")
    others = [
        print_of(paths=("xy", "z")),
        print_of(classes="ac"),
        print_of(labels=(1, 1)),
        print_of(labels=(1, 0)),
    ]
    assert len({print_of(), *others}) == 5


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([1], "There is only one image in here; its class is 'b'."),
        ([1, 1], "All 2 images of here are of one class, 'b'."),
        ([1, 2], "1 of the 3 classes has no image in here: 'a'."),
        ([0, 1, 2], None),
    ],
)
def test_classes_that_are_not_there_are_told(
    labels: list[int], told: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A class without an image, or a single class, is a warning."""
    with caplog.at_level(logging.WARNING, "cfgtrain"):
        arrays(labels)._report_classes("here")
    assert caplog.messages == ([told] if told else [])


def test_known_classes() -> None:
    """They are the argument, or else those of the training dataset, which must be the same."""
    assert known_classes(None, None) is None
    assert known_classes(None, {"classes": ["a", "b"]}) == ("a", "b")
    assert known_classes(["a", "b"], {"classes": ["a", "b"]}) == ("a", "b")
    with pytest.raises(ArgumentError, match="must be those of the training dataset in the same order"):
        known_classes(["b", "a"], {"classes": ["a", "b"]})
    with pytest.raises(ArgumentError, match="'a' more than once"):
        known_classes(["a", "b", "a"], None)
    with pytest.raises(ArgumentTypeError, match="classes must be a list of names"):
        known_classes("ab", None)
    with pytest.raises(ArgumentError, match="each a str"):
        known_classes(["a", 1], None)


def test_a_split_that_is_too_small_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """With few images a split may be far smaller than its fraction: the warning says what to do."""
    fractions = {"train": 0.5, "val": 0.5}
    contents = [b"%d.png" % i for i in range(100)]
    of_val, of_train = (indices_in_split(contents, split, fractions, "here") for split in ("val", "train"))
    assert not caplog.messages
    few = [contents[i] for i in (*of_train[:9], of_val[0])]
    assert len(indices_in_split(few, "val", fractions, "here")) == 1
    (told,) = caplog.messages
    assert told.startswith(
        "Only 1 of the 10 images of here is in the split 'val', although its fraction is 0.5:"
    )
    assert "Give 'val' a greater fraction in all parts of data, with fractions=dict(...)" in told
