"""Training, resuming, testing and predicting on tables, texts and custom datasets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same

from cfgtrain.checkpoint import read_checkpoint

TABLE = """
table = dict(type="Table", path="prices.csv", targets="price")
data = dict(
    samples_per_gpu=16,
    train=dict(**table, split="train"),
    val=dict(**table, split="val"),
    test=dict(**table, split="test"),
)
model = dict(type="SupervisedModel", net=[dict(type="torch.nn.LazyLinear", out_features=1)], loss="MSELoss")
optimizer = dict(type="Adam", lr=0.1)
runner = dict(type="EpochBasedRunner", max_epochs=6)
evaluation = dict(save_best="rmse")
"""

TEXT = """
text_file = dict(type="TextFile", path="a.txt", block_size=8)
data = dict(
    samples_per_gpu=4,
    train=dict(**text_file, split="train", stream=True),
    val=dict(**text_file, split="val"),
    test=dict(**text_file, split="test"),
)
model = dict(type="TinyTransformer", block_size=8, embed_dims=8, num_layers=1, num_heads=1)
optimizer = dict(type="AdamW", lr=0.01)
runner = dict(type="IterBasedRunner", max_iters=30)
evaluation = dict(interval=10, by_epoch=False, metrics=["Perplexity"])
checkpoint_config = dict(interval=5, by_epoch=False, max_keep_ckpts=-1)
"""

POINTS = """
import torch


class Points(torch.utils.data.Dataset):
    def __init__(self, names=None):
        self.points = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
        self.names = names

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        x, y = self.points[index]
        item = self.points[index], (3 * x - y)[None]
        return dict(zip(self.names, item)) if self.names else item


class Nothing:
    def __len__(self):
        return 3
"""

POINTS_CONFIG = """
custom_imports = dict(imports=["my_points"])
data = dict(samples_per_gpu=8, train=dict(type="my_points.Points"), test=dict(type="my_points.Points"))
net = dict(type="torch.nn.Linear", in_features=2, out_features=1)
model = dict(type="SupervisedModel", net=net, loss="MSELoss")
optimizer = dict(type="Adam", lr=0.1)
runner = dict(type="EpochBasedRunner", max_epochs=1)
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, str], Path]) -> Path:
    """A config for a table of 200 rows, whose price is 100,000 + 2,000 area, and more in Ulm."""
    monkeypatch.chdir(tmp_path)
    areas = [40 + i * 7919 % 100 for i in range(200)]
    rows = [
        f"{area},{'Ulm' if i % 3 else 'Bonn'},{100000 + 2000 * area + 50000 * bool(i % 3)}"
        for i, area in enumerate(areas)
    ]
    write("prices.csv", "\n".join(["area,town,price", *rows]))
    return write("prices.py", TABLE)


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, str], Path]) -> Path:
    """A config with a dataset that is the class of a module beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_points", raising=False)
    write("my_points.py", POINTS)
    return write("points.py", POINTS_CONFIG)


def test_table(table: Path, run: Callable[..., Any], write: Callable[[str, str], Path]) -> None:
    """A regression with a lazy module is trained, resumed with the same result, tested and used, in the file's units."""
    assert len(TABLE.split()) < 60
    whole = run("train", table, "--seed", 1)
    assert whole.code == 0, whole.err
    best = next(Path("work_dirs/prices").glob("best_rmse_*.pth"))
    end = read_checkpoint("work_dirs/prices/epoch_6.pth")
    resumed = run(
        "train", table, "--seed", 1, "--work-dir", "again", "--resume", "work_dirs/prices/epoch_4.pth"
    )
    assert resumed.code == 0, resumed.err
    assert same(read_checkpoint("again/epoch_6.pth")["state_dict"], end["state_dict"])
    assert [each["name"] for each in end["meta"]["metainfo"]["inputs"]] == ["area", "town"]

    tested = run("test", table, best, "--out", "scores.json")
    assert tested.code == 0, tested.err
    score = float(whole.out.split("rmse ")[1].split()[0])
    assert f"{score:.4f}" in (tested.out + tested.err)
    assert 10 < score < 100000

    Path("prices.csv").rename("gone.csv")  # the checkpoint has all that prediction needs
    write("new.csv", "area,town\n60,Ulm\n130,Bonn\n")
    predicted = run("predict", table, best, "new.csv", "--json")
    assert predicted.code == 0, predicted.err
    content = json.loads(predicted.out)
    values = [each["values"] for each in (content if isinstance(content, list) else content["predictions"])]
    assert values[0]["price"] == pytest.approx(270000, rel=0.3)
    assert values[1]["price"] == pytest.approx(360000, rel=0.3)
    write("new.csv", "area,town\n60,Ulm\nlarge,Ulm\n130,Bonn\n")
    predicted = run("predict", table, best, "new.csv", "--out", "results")
    assert predicted.code == 1
    assert "Predicted 2 of 3 inputs" in predicted.out
    assert predicted.err.startswith("1 input failed:\n  new.csv, line 3: column 'area' has the value 'large'")
    rows = Path("results/predictions.csv").read_text().splitlines()
    assert [row.split('"')[1] for row in rows[1:]] == [f"new.csv, line {line}" for line in (2, 3, 4)]


def test_wrong_table_is_an_error_before_the_run(
    table: Path, run: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    """A wrong cell is named by file, line and column, and a wrong column also by its place in the config."""
    text = Path("prices.csv").read_text()
    write("prices.csv", text.replace("\n48,", "\nabout 48,", 1))
    line = text.splitlines().index(next(each for each in text.splitlines() if each.startswith("48,"))) + 1
    ran = run("train", table)
    assert ran.code == 2
    assert f"prices.csv, line {line}: column 'area' has the value 'about 48'" in ran.err
    write("prices.csv", text)
    ran = run("train", table, "--cfg-options", "data.val.targets=prise")
    assert ran.code == 2
    assert "no column 'prise'" in ran.err and "Did you mean 'price'?" in ran.err
    assert "data.val.targets" in ran.err
    assert not list(Path("work_dirs/prices").glob("*.pth"))


@pytest.mark.parametrize("workers", [0, 2])
def test_text(
    workers: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., Any],
    write: Callable[[str, str], Path],
) -> None:
    """A language model is trained on a stream by iterations, resumed with the same result, and used."""
    assert len(TEXT.split()) < 60
    monkeypatch.chdir(tmp_path)
    write("a.txt", "the cat and the dog sat on the mat and ate\n" * 12)
    config = write("letters.py", TEXT)
    options = ("--seed", 1, "--cfg-options", f"+data.train_dataloader.workers_per_gpu={workers}")
    whole = run("train", config, *options)
    assert whole.code == 0, whole.err
    assert "Test: perplexity" in whole.out
    end = read_checkpoint("work_dirs/letters/iter_30.pth")
    for done in (5, 20):  # within the first epoch, and later
        resumed = run(
            "train", config, *options, "--work-dir", "again", "--resume", f"work_dirs/letters/iter_{done}.pth"
        )
        assert resumed.code == 0, resumed.err
        assert same(read_checkpoint("again/iter_30.pth")["state_dict"], end["state_dict"])
    assert end["meta"]["metainfo"] == {"unit": "character", "characters": "\n acdeghmnost"}
    if workers:
        return
    write("prompt.txt", "the cat\n")
    predicted = run("predict", config, "work_dirs/letters/iter_30.pth", "prompt.txt", "--length", 10)
    assert predicted.code == 0, predicted.err
    assert "the cat" in predicted.out


@pytest.mark.parametrize("names", [None, ["x", "target"]], ids=["tuples", "dicts"])
def test_dataset_by_import_path(names: list[str] | None, points: Path, run: Callable[..., Any]) -> None:
    """A torch Dataset of tuples or dicts is trained and tested by the import path of its class."""
    options = [f"+data.{part}.names={names}" for part in ("train", "test")] if names else []
    ran = run("train", points, "--seed", 1, *(["--cfg-options", *options] if options else []))
    assert ran.code == 0, ran.err
    assert "Test: loss" in ran.out
    weight = read_checkpoint("work_dirs/points/epoch_1.pth")["state_dict"]["net.weight"]
    assert bool(torch.isfinite(weight).all())


@pytest.mark.parametrize("runner", [None, "IterBasedRunner"])
def test_a_target_that_is_nan(
    runner: str | None, points: Path, run: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    """A sample whose target is NaN is named, as the cause of a loss that is NaN."""
    value = "(3 * x - y)[None]"
    write("my_points.py", POINTS.replace(value, f"{value} * (float('nan') if index == 39 else 1)"))
    options = (
        ()
        if runner is None
        else ("--cfg-options", f"runner={{'type': '{runner}', 'max_iters': 50, '_delete_': True}}")
    )
    ran = run("train", points, "--seed", 1, *options)
    assert ran.code == 1
    assert "The loss is nan at iteration" in ran.err
    assert "Sample 39 of Points has nan in [1]." in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_points.Nothing", "Nothing has no samples: a dataset has __getitem__(index)"),
        ("my_points.Point", "Did you mean 'my_points.Points'?"),
        ("builtins.object", "object has no length: a dataset has __len__"),
    ],
)
def test_class_that_is_not_a_dataset(name: str, message: str, points: Path, run: Callable[..., Any]) -> None:
    """A class that is not a dataset is an error before the run, with its place in the config."""
    ran = run("train", points, "--cfg-options", f"data.train.type={name}")
    assert ran.code == 2
    assert message in ran.err
    assert "at data.train" in ran.err
