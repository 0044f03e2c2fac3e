"""``cfgtrain compare``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from run_logs import META, MMCV_META, train, val, write_log, write_run

Run = Callable[..., Any]

CONFIG = """\
model = dict(type='Net', {layers})
optimizer = dict(type='SGD', lr={lr})
runner = dict(type='EpochBasedRunner', max_epochs=2)
variable = {lr}
work_dir = '{name}'
"""

TABLE = """\
                     one                two
scores
  accuracy, best     0.5000 epoch 2     0.7500 epoch 2 *
  accuracy, last     0.5000 epoch 2     0.7500 epoch 2
  loss, best         1.2500 epoch 2     1.2500 epoch 2
  loss, last         1.2500 epoch 2     1.2500 epoch 2
  accuracy, test     0.3750             0.6250 *
run
  state              finished           finished
  epochs             2 of 2             2 of 2
  iterations         20                 20
  time               1:01:10            1:01:10
  seed               3                  3
  version            cfgtrain 0.1.0     cfgtrain 0.1.0
settings that differ
  model.layers       dict(depth=3)      not set
  model.depth        not set            4
  optimizer.lr       0.1                0.02
"""


def two_runs() -> None:
    write_run("one", CONFIG.format(layers="layers=dict(depth=3)", lr=0.1, name="one"))
    write_run("two", CONFIG.format(layers="depth=4", lr=0.02, name="two"), accuracy=0.75)


def test_runs_side_by_side(run: Run) -> None:
    """Scores, runs and the settings that differ; the better value of a row is marked."""
    two_runs()
    done = run("compare", "one", "two")
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [line.split() for line in TABLE.splitlines()]
    second = done.out.splitlines()[0].index("two")
    assert {line[second - 1] for line in done.out.splitlines() if len(line) > second} == {" "}


def test_one_run_and_equal_settings(run: Run) -> None:
    """Of one run there is nothing to compare it with; equal settings are stated."""
    two_runs()
    done = run("compare", "one")
    assert done.code == 0
    assert "settings" not in done.out
    assert "*" not in done.out
    Path("two/toy.py").write_text(Path("one/toy.py").read_text())
    assert run("compare", "one", "two").out.endswith("\n\nThe settings of the runs are equal.\n")


def test_many_runs_are_rows(run: Run) -> None:
    """More than four runs are rows, and tables stay within 80 columns."""
    for i in range(6):
        write_run(
            f"work_dirs/run_{i}",
            f"seed = {i}\noptimizer = dict(lr=0.{i}, weight_decay=1e-{i})\n",
            accuracy=i / 10,
        )
    done = run("compare", *[f"work_dirs/run_{i}" for i in range(6)])
    lines = done.out.splitlines()
    assert done.code == 0
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line and not line.startswith((" ", "run_"))] == [
        "scores",
        "run",
        "settings that differ",
    ]
    assert "run_5  0.5000 epoch 2 *" in done.out
    assert lines[-7].split() == ["seed", "optimizer.lr", "optimizer.weight_decay"]
    assert lines[-1].split() == ["run_5", "5", "0.5", "1e-05"]


def test_long_values_are_wrapped(run: Run) -> None:
    """Long labels and settings are wrapped within 80 columns, and very long ones cut off."""
    names = [f"a_rather_long_name_of_an_experiment_{i}" for i in range(4)]
    for i, name in enumerate(names):
        write_run(name, f"model = dict(type='Net', layers={list(range(i, 300 + i))})\n")
    done = run("compare", *names)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert "..." in done.out
    assert len(done.out.splitlines()) < 60


def test_ends_of_runs(run: Run) -> None:
    """A run that failed, was interrupted or was killed says so, with the reason if it is known."""
    for name, end in (
        ("failed", "ValueError: x"),
        ("interrupted", "SIGTERM; saved epoch_1.pth"),
        ("killed", None),
    ):
        line = (
            []
            if end is None
            else [{"mode": "end", "result": name, "reason": end, "date": "2026-01-02 03:04:15"}]
        )
        write_log(name, META, train(1, 5, 1.0, 5), *line)
    done = run("compare", "failed", "interrupted", "killed", "--json")
    states = {
        each["label"]: (each["state"], each["reason"], each["seconds"])
        for each in json.loads(done.out)["runs"]
    }
    assert states == {
        "failed": ("failed", "ValueError: x", 10.0),
        "interrupted": ("interrupted", "SIGTERM; saved epoch_1.pth", 10.0),
        "killed": ("unknown", "", None),
    }
    text = run("compare", "failed", "killed").out
    assert "failed: ValueError: x" in text
    assert "the log has no end" in text


def test_a_run_of_mmcv(run: Run) -> None:
    """Logs of MMCV are compared with those of cfgtrain; what they lack is a dash."""
    two_runs()
    text = "2026-01-02 03:05:05,000 - mmdet - INFO - Epoch [1][10/10]\tlr: 0.1\n"
    write_log("old", MMCV_META, train(1, 10, 2.0), val(1, bbox_mAP=0.375), text=text)
    done = run("compare", "one", "old")
    assert done.code == 0
    assert "The folder old holds no config" in done.err
    width = done.out.index("one")
    cells = {line[:width].strip(): re.split(" {2,}", line[width:]) for line in done.out.splitlines()}
    assert cells["bbox_mAP, best"] == ["-", "0.3750 epoch 1"]
    assert cells["version"] == ["cfgtrain 0.1.0", "MMCV 1.3.9, PyTorch 1.8.0"]
    assert cells["seed"] == ["3", "7"]
    assert cells["time"] == ["1:01:10", "0:01:00"]


def test_json(run: Run) -> None:
    """The comparison as data: a setting that a run does not have is left out."""
    two_runs()
    content = json.loads(run("compare", "one", "two", "--json").out)
    assert content["settings"] == [
        {"key": "model.layers", "values": {"one": {"depth": 3}}},
        {"key": "model.depth", "values": {"two": 4}},
        {"key": "optimizer.lr", "values": {"one": 0.1, "two": 0.02}},
    ]
    first = content["runs"][0]
    place = {"iter": 20, "epoch": 2.0, "value": 0.5}
    assert first["scores"]["accuracy"] == {"rule": "greater", "best": place, "last": place}
    assert {key: first[key] for key in first if key != "scores"} == {
        "label": "one",
        "work_dir": "one",
        "state": "finished",
        "reason": "all of its 2 epochs are trained",
        "epochs": 2.0,
        "iterations": 20,
        "length": {"epochs": 2},
        "starts": 1,
        "seconds": 3670.0,
        "seed": 3,
        "version": "cfgtrain 0.1.0",
        "test": {"accuracy": 0.375},
    }


def test_hostile_text(run: Run) -> None:
    """Control characters and markup in logs and configs are printed as text."""
    write_log("run", META, val(1, 10, **{"acc\x1b[31m": 0.5, "[red]acc": 0.25}))
    done = run("compare", "run")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "acc\\x1b[31m, best" in done.out
    assert "[red]acc, best" in done.out


def test_real_runs(run: Run, small: Path) -> None:
    """Two runs of ``cfgtrain train`` differ in the setting that the command line changed."""
    for lr in (0.1, 0.02):
        done = run("train", small, "--work-dir", f"lr_{lr}", "--cfg-options", f"optimizer.lr={lr}")
        assert done.code == 0, done.err
    content = json.loads(run("compare", "lr_0.1", "lr_0.02", "--json").out)
    assert content["settings"] == [{"key": "optimizer.lr", "values": {"lr_0.1": 0.1, "lr_0.02": 0.02}}]
    assert {each["state"] for each in content["runs"]} == {"finished"}
    assert all(each["test"]["accuracy"] > 0 for each in content["runs"])
