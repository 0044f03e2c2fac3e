"""Runs of a small custom project whose data, scores or loader settings are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PARTS = """
import torch
from torch import nn
from torch.utils.data import IterableDataset

from cfgtrain.cnn import MODELS
from cfgtrain.data import DATASETS


@DATASETS.register_module()
class Toy:
    def __init__(self, n=20):
        self.x = torch.randn(n, 4, generator=torch.Generator().manual_seed(3))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return dict(img=self.x[i], gt_label=int(i % 2))

    def evaluate(self, results, metric="acc", logger=None):
        return {scores}


@DATASETS.register_module()
class ToyStream(IterableDataset):
    def __init__(self, n=20):
        self.toy = Toy(n)
        self.evaluate = self.toy.evaluate

    def __iter__(self):
        return (self.toy[i] for i in range(len(self.toy)))


@MODELS.register_module()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, img, gt_label=None, return_loss=True):
        scores = self.fc(img)
        return nn.functional.cross_entropy(scores, gt_label) if return_loss else scores

    def train_step(self, data, optimizer=None, **kwargs):
        loss = self(**data)
        return dict(loss=loss, log_vars=dict(loss=loss.detach()), num_samples=len(data["img"]))

    val_step = train_step
"""

CONFIG = """\
custom_imports = dict(imports=["parts"])
model = dict(type="Net")
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=0,
    train=dict(type="Toy"),
    val=dict(type="Toy", n=6),
    test=dict(type="Toy", n=6))
optimizer = dict(type="SGD", lr=0.1)
runner = {runner}
evaluation = dict(interval=1, save_best="acc")
checkpoint_config = dict(interval=1)
seed = 1
"""

RUNNERS = {
    "epoch": 'dict(type="EpochBasedRunner", max_epochs=2)',
    "iter": 'dict(type="IterBasedRunner", max_iters=2)',
}

Project = Callable[..., Path]


@pytest.fixture(params=list(RUNNERS))
def project(request: pytest.FixtureRequest, write: Callable[[str, str], Path]) -> Project:
    """Write the project for a runner, and return its config."""

    def call(scores: str = '{"acc": float(len(results))}', *replacements: tuple[str, str]) -> Path:
        text = CONFIG.replace("{runner}", RUNNERS[request.param])
        for old, new in replacements:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        write("parts.py", PARTS.replace("{scores}", scores))
        return write("toy.py", text)

    return call


def lines_of(mode: str) -> list[dict[str, Any]]:
    (log,) = Path("work_dirs/toy").glob("*.log.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line.get("mode") == mode]


def test_the_project_trains(project: Project, run: Callable[..., Any]) -> None:
    """Without a mistake the run ends well."""
    done = run("train", project())
    assert done.code == 0, done.err
    assert "Test: acc 6.0000 on 6 samples, with best_acc_" in done.out


@pytest.mark.parametrize(
    ("old", "new", "key", "line"),
    [
        ('train=dict(type="Toy")', 'train=dict(type="Toy", n=0)', "data.train", 6),
        ('val=dict(type="Toy", n=6)', 'val=dict(type="Toy", n=0)', "data.val", 7),
        ('test=dict(type="Toy", n=6)', 'test=dict(type="Toy", n=0)', "data.test", 8),
    ],
)
def test_empty_dataset_is_an_error_before_the_run(
    project: Project, run: Callable[..., Any], old: str, new: str, key: str, line: int
) -> None:
    """A dataset without samples is found before the first iteration, with its place."""
    done = run("train", project('{"acc": 0.0}', (old, new)))
    assert done.code == 2
    assert f"{key} is empty" in done.err
    assert f"at {key} (toy.py:{line})" in done.err.replace(f"{Path.cwd()}/", "")
    assert not list(Path("work_dirs/toy").glob("*.pth"))


def test_empty_val_flow_is_an_error_before_the_run(project: Project, run: Callable[..., Any]) -> None:
    """A val flow without samples has no averages to log."""
    without = ('evaluation = dict(interval=1, save_best="acc")', "workflow = [('train', 1), ('val', 1)]")
    done = run(
        "train", project('{"acc": 0.0}', ('val=dict(type="Toy", n=6)', 'val=dict(type="Toy", n=0)'), without)
    )
    assert done.code == 2
    assert "data.val is empty" in done.err


def test_dataset_that_is_not_used_may_be_empty(project: Project, run: Callable[..., Any]) -> None:
    """A validation dataset that neither an evaluation nor a flow uses does no harm."""
    without = ('evaluation = dict(interval=1, save_best="acc")', "")
    assert (
        run(
            "train",
            project('{"acc": 0.0}', ('val=dict(type="Toy", n=6)', 'val=dict(type="Toy", n=0)'), without),
        ).code
        == 0
    )


@pytest.mark.parametrize("part", ["val", "test"])
def test_empty_stream_is_an_error(project: Project, run: Callable[..., Any], part: str) -> None:
    """The length of a stream is only known when it was read; no score of nothing is reported."""
    change = (f'{part}=dict(type="Toy", n=6)', f'{part}=dict(type="ToyStream", n=0)')
    done = run("train", project('{"acc": 0.0}', change))
    assert done.code != 0
    assert "no batch at all" in done.err
    assert "acc 0.0" not in done.out


def test_empty_stream_of_a_val_flow_is_an_error(project: Project, run: Callable[..., Any]) -> None:
    """A val flow that reads no samples has no averages."""
    without = ('evaluation = dict(interval=1, save_best="acc")', "workflow = [('train', 1), ('val', 1)]")
    change = ('val=dict(type="Toy", n=6)', 'val=dict(type="ToyStream", n=0)')
    done = run("train", project('{"acc": 0.0}', change, without))
    assert done.code != 0
    assert "no batch at all" in done.err
