"""A project in the habit of MMCV 1.x runs under the alias, and trains as ``cfgtrain train`` does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from cfgtrain.data.datasets.digits import Digits

PROJECT = Path(__file__).parent.parent / "data" / "legacy_project"
SIZES = {"train": 96, "val": 40, "test": 30}
ALIASED = (
    "import runpy, sys, cfgtrain.compat.mmcv; sys.argv = sys.argv[1:]; sys.path.insert(0, '');"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
CLI = (
    "import runpy, sys, cfgtrain.compat.mmcv; sys.argv[0] = 'cfgtrain';"
    "runpy.run_module('cfgtrain', run_name='__main__')"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project with the first digits as image files."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for split, size in SIZES.items():
        digits = Digits(split)
        images = folder / "data" / "digits" / split
        images.mkdir(parents=True)
        for i in range(size):
            cv2.imwrite(str(images / f"{i:03d}.png"), digits.images[i])
        lines = "".join(f"{i:03d}.png {digits.labels[i]}\n" for i in range(size))
        images.with_suffix(".txt").write_text(lines, encoding="utf-8")
    return folder


def run(project: Path, code: str, *args: str, launcher: tuple[str, ...] = ()) -> str:
    """Run code in the folder of the project, in its own process; return what it printed."""
    path = os.pathsep.join([str(project), *filter(None, sys.path)])
    words = [*launcher, *args] if launcher else [sys.executable, "-c", code, *args]
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=project, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done.stdout + done.stderr


def train(project: Path, config: str, name: str, *args: str, **how: Any) -> list[dict[str, Any]]:
    """Run tools/train.py under the alias; return the lines of its log, without times."""
    run(project, ALIASED, "tools/train.py", f"configs/digits/{config}.py", "--work-dir", name, *args, **how)
    return logged(project / name)


def logged(work_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of the logs of a work directory, without times."""
    lines = [
        json.loads(line)
        for path in sorted(work_dir.glob("*.log.json"))
        for line in path.read_text().splitlines()
    ]
    return [
        {key: value for key, value in line.items() if key not in ("time", "data_time", "memory")}
        for line in lines
        if line.get("mode") in ("train", "val")  # the command also logs its test
    ]


def test_the_script_trains_as_the_command_does(project: Path) -> None:
    """All losses, scores and weights are those of ``cfgtrain train`` with the same config."""
    script = train(project, "glyph_net_plain_2e", "script")
    run(project, CLI, "train", "configs/digits/glyph_net_plain_2e.py", "--work-dir", "command")
    assert script == logged(project / "command")
    assert [line["mode"] for line in script] == ["train", "val", "train", "val"]
    saved = [torch.load(project / name / "epoch_2.pth") for name in ("script", "command")]
    for name, weight in saved[0]["state_dict"].items():
        assert torch.equal(weight, saved[1]["state_dict"][name]), name


def test_a_resumed_run_is_the_unbroken_one(project: Path) -> None:
    """With shuffling and augmentation, resumed from the end of the first epoch; then it is tested."""
    whole = train(project, "glyph_net_2e", "whole", "--seed", "3")
    first = ("--resume-from", "whole/epoch_1.pth")
    assert train(project, "glyph_net_2e", "rest", "--seed", "3", *first) == whole[2:]
    ends = [torch.load(project / name / "epoch_2.pth")["state_dict"] for name in ("whole", "rest")]
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())
    test = (
        "tools/test.py",
        "configs/digits/glyph_net_2e.py",
        "rest/latest.pth",
        "--metrics",
        "accuracy",
        "confusion",
    )
    run(project, ALIASED, *test, "--out", "out.json", "--fuse-conv-bn", "--show-dir", "shown")
    out = json.loads((project / "out.json").read_text())
    assert len(out["pred_class"]) == SIZES["test"] == len(list((project / "shown").iterdir()))
    assert {"accuracy_top-1", "accuracy_top-2", "mean_recall"} < {*out}


@pytest.mark.slow
@pytest.mark.parametrize("config", ["glyph_net_adam_poly", "glyph_net_iter_cyclic", "glyph_net_fp16"])
def test_the_other_configs_train(project: Path, config: str) -> None:
    """Accumulated gradients, total_epochs, custom hooks and schedules, iterations, and fp16."""
    lines = train(project, config, "run", "--seed", "3")
    assert [line["mode"] for line in lines].count("val") == 2
    assert all(line["loss"] < 3 for line in lines if line["mode"] == "train")


@pytest.mark.slow
def test_two_processes_train(project: Path) -> None:
    """With ``--launcher pytorch``: the samples are divided, and the main process evaluates all."""
    (project / "run.py").write_text(ALIASED.replace("; ", "\n").replace(";", "\n"), encoding="utf-8")
    launcher = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "run.py")
    lines = train(project, "glyph_net_2e", "two", "--seed", "3", "--launcher", "pytorch", launcher=launcher)
    assert [line["mode"] for line in lines].count("val") == 2
    assert {"accuracy_top-1", "accuracy_top-2"} < {*lines[-1]}
