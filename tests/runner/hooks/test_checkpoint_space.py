from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_runner, numbers
from torch import nn

from cfgtrain.runner.hooks.checkpoint_space import GIB, Plan, checkpoint_bytes, space_problem

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("plan", "files"),
    [
        (Plan(total=10, done=0, keep=-1, best=False), 10),
        (Plan(total=10, done=4, keep=-1, best=True), 7),
        (Plan(total=10, done=0, keep=3, best=False), 4),
        (Plan(total=3, done=0, keep=3, best=False), 3),
        (Plan(total=10, done=5, keep=3, best=True), 2),
        (Plan(total=10, done=1, keep=3, best=False), 3),
        (Plan(total=None, done=0, keep=2, best=False), 3),
        (Plan(total=None, done=0, keep=-1, best=False), None),
        (Plan(total=10, done=10, keep=-1, best=False), 0),
    ],
)
def test_number_of_files(plan: Plan, files: int | None) -> None:
    """Those that are kept, and one more while an old one is replaced, without those that exist."""
    assert plan.files(plan.keep) == files


@pytest.mark.parametrize(
    ("length", "trained", "interval", "save_last", "total", "done"),
    [
        (7, 0, 2, True, 4, 0),
        (7, 5, 2, False, 3, 2),
        (6, 0, 2, True, 3, 0),
        (None, 9, 2, True, None, 4),
        (7, 3, -1, True, 1, 0),
        (7, 0, 0, False, 0, 0),
    ],
)
def test_plan_of_a_run(
    length: int | None, trained: int, interval: int, save_last: bool, total: int | None, done: int
) -> None:
    """The number of checkpoints follows from the length of the run, the interval and whether the end is saved."""
    assert Plan.of(length, trained, interval, save_last, 3, best=True) == Plan(total, done, 3, best=True)


def problem(free: float, monkeypatch: pytest.MonkeyPatch, keep: int = -1, total: int = 10) -> str | None:
    """Return the problem of checkpoints of 1 GiB each in a folder with ``free`` GiB."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, int(free * GIB)))
    return space_problem(Path("not/there"), GIB, Plan(total, 0, keep, best=False))


def test_message_has_numbers_and_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has what is needed and what is free, and a value of ``max_keep_ckpts`` that fits, if one does."""
    assert problem(10, monkeypatch) is None
    assert problem(9.5, monkeypatch) == (
        "The checkpoints of this run will need about 10.00 GiB in not/there (10 of 1.00 GiB each), but only 9.50 GiB "
        "are free. With max_keep_ckpts=3, they would fit."
    )
    assert "With max_keep_ckpts=1, they would fit" in str(problem(2, monkeypatch, keep=4))
    assert "Choose another folder" in str(problem(1.5, monkeypatch, keep=4))
    assert problem(2, monkeypatch, keep=1) is None


def test_estimate_is_the_size_of_the_file() -> None:
    """Parameters, buffers and the state of the optimizer are counted, tied weights once."""
    net: Any = nn.Sequential(nn.Linear(200, 200), nn.BatchNorm1d(200), nn.Linear(200, 200))
    net[2].weight = net[0].weight
    net.train_step = lambda data, optimizer: {"loss": net(data).mean(), "num_samples": 2}
    optimizer = torch.optim.Adam(net.parameters())
    runner = make_runner("epoch", 1, net, work_dir="run", optimizer=optimizer)
    estimate = checkpoint_bytes(runner, save_optimizer=True)
    weights = checkpoint_bytes(runner, save_optimizer=False)
    runner.register_optimizer_hook({})
    runner.register_checkpoint_hook({})
    runner.run([[torch.rand(2, 200)]], [("train", 1)])
    assert estimate < Path("run/epoch_1.pth").stat().st_size < estimate * 1.05
    assert weights == pytest.approx(estimate / 3, rel=0.01)


def test_lazy_modules_are_not_counted() -> None:
    """The size of weights that get their shape from the first batch is not known before the run."""
    net: Any = nn.Sequential(nn.LazyLinear(20), nn.LazyBatchNorm1d(), nn.Linear(20, 10))
    net.train_step = lambda data, optimizer: {"loss": net(data).mean()}
    runner = make_runner("epoch", 1, net, work_dir="run", optimizer=torch.optim.SGD(net.parameters()))
    assert checkpoint_bytes(runner, save_optimizer=False) == 4 * (20 * 10 + 10) + 8  # and a counter


@pytest.mark.parametrize(("kind", "by_epoch"), [("epoch", True), ("epoch", False), ("iter", False)])
def test_run_warns(
    kind: str, by_epoch: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning comes before the first iteration, and none if the checkpoints fit."""
    for free, warned in ((11, True), (12, False)):
        caplog.clear()
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(0, 0, free))
        runner = make_runner(kind, 3, work_dir="run", meta={})  # a weight of 4 bytes
        runner.register_checkpoint_hook({"interval": 1, "by_epoch": by_epoch})
        runner.run([numbers(1)], [("train", 1)])
        assert ("The checkpoints of this run will need" in caplog.text) is warned
    runner = make_runner(kind, 3, work_dir="run", meta={})
    runner.register_checkpoint_hook({"save_last": False})
    runner.run([numbers(1)], [("train", 1)])
