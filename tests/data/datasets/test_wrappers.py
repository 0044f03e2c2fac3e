from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from cfgtrain.check.data import data_problems
from cfgtrain.config import Config
from cfgtrain.data.builder import build_dataset, metainfo_of
from cfgtrain.data.datasets.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset, Subset
from cfgtrain.errors import ArgumentError, ArgumentTypeError

CSV = {"type": "Table", "path": "t.csv", "targets": "y"}


class Letters:
    """Letters as samples, with a class each."""

    CLASSES = ("common", "rare")

    def __init__(self, text: str = "abcdefgh", rare: str = "h") -> None:
        self.text = text
        self.labels = np.array([int(each in rare) for each in text])

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, index: int) -> str:
        return self.text[index]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("x,y\n1,u\n2,v\n3,u\n4,u\n")
    Path("u.csv").write_text("x,y\n10,v\n")


def test_concat() -> None:
    """The samples of several datasets follow each other."""
    joined = ConcatDataset([Letters("ab"), Letters("cde")])
    assert [joined[i] for i in range(5)] == list("abcde")
    assert joined[-1] == "e"
    assert joined.source(3) == "sample 1 of Letters"
    with pytest.raises(IndexError):
        joined[5]


def test_concat_tables(table: None) -> None:
    """The second table is encoded by the statistics and classes of the first one."""
    joined = build_dataset({"type": "ConcatDataset", "datasets": [CSV, {**CSV, "path": "u.csv"}]})
    assert len(joined) == 5
    assert float(joined[4]["inputs"]) == pytest.approx((10 - 2.5) / np.std([1, 2, 3, 4]))
    assert int(joined[4]["targets"]) == 1
    assert metainfo_of(joined)["classes"] == ["u", "v"]
    assert joined.CLASSES == ("u", "v")
    assert joined.source(4) == "u.csv, line 2"


def test_metainfo_reaches_the_inner_datasets(table: None) -> None:
    """The statistics of the training dataset are passed through wrappers."""
    train = build_dataset({"type": "RepeatDataset", "times": 2, "dataset": CSV})
    cfg = {"type": "Subset", "first": 1, "dataset": {"type": "Table", "path": "u.csv"}}
    test = build_dataset(cfg, metainfo=metainfo_of(train))
    assert float(test[0]["inputs"]) == pytest.approx((10 - 2.5) / np.std([1, 2, 3, 4]))


def test_restore(table: None) -> None:
    """Predictions are restored to the units of the inner dataset; without units they are kept."""
    Path("t.csv").write_text("x,y\n1,10\n2,30\n")
    subset = Subset(CSV, first=1)
    assert subset.restore(torch.ones(1, 1))[0].tolist() == [[30]]
    assert Subset(Letters(), first=1).restore("p", "b") == ("p", "b")


def test_repeat() -> None:
    """The samples are repeated, one pass after the other."""
    repeated = RepeatDataset(Letters("abc"), times=2)
    assert [repeated[i] for i in range(len(repeated))] == list("abcabc")
    assert repeated.CLASSES == ("common", "rare")


@pytest.mark.parametrize(
    ("args", "letters"),
    [
        ({"indices": [3, 0, -1]}, "dah"),
        ({"first": 3}, "abc"),
        ({"first": 100}, "abcdefgh"),
        ({"fraction": 0.5}, "aceg"),
        ({"fraction": 1}, "abcdefgh"),
        ({"fraction": 0.25}, "ae"),
    ],
)
def test_subset(args: dict[str, Any], letters: str) -> None:
    """Indices, the first samples, or samples at equal distances are selected."""
    subset = Subset(Letters(), **args)
    assert [subset[i] for i in range(len(subset))] == list(letters)


def test_class_balanced() -> None:
    """Samples of a class with fraction f are repeated ceil(sqrt(threshold / f)) times, others not at all."""
    balanced = ClassBalancedDataset(Letters(), oversample_thr=0.5)  # rare: f = 1/8, sqrt(4) = 2
    assert Counter(balanced[i] for i in range(len(balanced))) == Counter("abcdefghh")
    assert balanced.get_cat_ids(8) == [1]
    more = ClassBalancedDataset(Letters(), oversample_thr=0.51)
    assert Counter(more[i] for i in range(len(more)))["h"] == 3


def test_class_balanced_multi_label() -> None:
    """A sample with several classes is repeated for its rarest one; one without classes is kept."""
    letters = Letters("abcd")
    letters.labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    balanced = ClassBalancedDataset(letters, oversample_thr=1)
    assert [balanced[i] for i in range(len(balanced))] == list("aabbccd")


def test_class_balanced_in_a_wrapper(table: None) -> None:
    """Classes are known through other wrappers, and from a table."""
    balanced = ClassBalancedDataset(Subset(CSV, indices=[0, 1, 2, 3]), oversample_thr=1)
    assert [balanced.source(i)[-1] for i in range(len(balanced))] == list("22334455")
    Path("t.csv").write_text("x,y\n1,10\n2,30\n")
    with pytest.raises(ArgumentTypeError, match="classes of the samples of Table are not known"):
        ClassBalancedDataset(CSV, oversample_thr=1)


def test_labels(table: None) -> None:
    """The labels of all samples are known to samplers, if the inner datasets know them."""
    joined = ConcatDataset([RepeatDataset(Letters("gh"), 2), Letters("h")])
    assert joined.labels is not None
    assert joined.labels.tolist() == [0, 1, 0, 1, 1]
    assert not hasattr(Subset(TensorDataset(torch.zeros(2)), first=1), "labels")
    Path("t.csv").write_text("x,y\n1,10\n2,30\n")
    assert Subset(CSV, first=1).labels is None


def test_fingerprint(table: None) -> None:
    """The fingerprint depends on the inner dataset and on the selection; without an inner one there is none."""
    prints = [Subset(CSV, first=2), Subset(CSV, first=2), Subset(CSV, first=3), RepeatDataset(CSV, 2)]
    assert [each.fingerprint == prints[0].fingerprint for each in prints] == [True, True, False, False]
    assert Subset(Letters(), first=2).fingerprint is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Subset(Letters()), "one of indices, first and fraction, not none"),
        (lambda: Subset(Letters(), first=1, fraction=1), "not first and fraction"),
        (lambda: Subset(Letters(), indices=[8]), "indices must be from -8 to 7, not 8"),
        (lambda: Subset(Letters(), indices=[]), "selects none of the 8 samples of Letters"),
        (lambda: Subset(Letters(), fraction=1.5), "fraction must be from 0 to 1"),
        (lambda: RepeatDataset(Letters(), times=0), "times must be at least 1"),
        (lambda: ConcatDataset([]), "datasets is empty"),
        (lambda: ClassBalancedDataset(Letters(), 0), "oversample_thr must be positive"),
        (lambda: RepeatDataset(iter([]), times=1), "needs datasets with a length"),
        (
            lambda: Subset({"type": "TextFile", "path": "t.csv", "block_size": 2, "stream": True}, first=1),
            "TextStream is a stream",
        ),
        (lambda: ClassBalancedDataset(TensorDataset(torch.zeros(2)), 1), "TensorDataset are not known"),
    ],
)
def test_wrong_arguments(table: None, build: Any, message: str) -> None:
    """A wrong argument is an error that says what is wrong."""
    with pytest.raises(ArgumentError, match=message):
        build()


def test_different_classes() -> None:
    """Datasets with different classes cannot be joined."""
    other = Letters()
    other.CLASSES = ("cat", "dog")  # type: ignore[misc]
    with pytest.raises(
        ArgumentError, match=r"datasets\[0\] has 'common', 'rare', and datasets\[1\] has 'cat'"
    ):
        ConcatDataset([Letters(), other])


def test_checked_before_the_run() -> None:
    """A misspelled argument of a wrapper or of an inner dataset is found without building anything."""
    cfg = Config(
        {
            "data": {
                "train": {"type": "RepeatDataset", "time": 2, "dataset": CSV},
                "val": {"type": "ConcatDataset", "datasets": [{**CSV, "target": "y"}]},
            }
        }
    )
    texts = " ".join(map(str, data_problems(cfg)))
    assert "Did you mean 'times'" in texts
    assert "Table takes no argument 'target'. Did you mean 'targets'" in texts


def test_dataset_by_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any class of a module is a dataset by its import path, also inside a wrapper."""
    (tmp_path / "my_points.py").write_text(
        "import torch\n"
        "class Points(torch.utils.data.Dataset):\n"
        "    def __init__(self, size): self.size = size\n"
        "    def __len__(self): return self.size\n"
        "    def __getitem__(self, index): return torch.tensor([index]), index\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_points", raising=False)
    subset = build_dataset(
        {"type": "Subset", "fraction": 0.5, "dataset": {"type": "my_points.Points", "size": 4}}
    )
    assert [subset[i][1] for i in range(len(subset))] == [0, 2]
