"""Running a copy of the project in ``tests/data/legacy_project`` in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2

from cfgtrain.data.datasets.digits import Digits

PROJECT = Path(__file__).parent.parent / "data" / "legacy_project"
SIZES = {"train": 96, "val": 40, "test": 30}
SCRIPT = ("-m", "cfgtrain.compat.mmcv")
COMMAND = ("-m", "cfgtrain")
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")


def copy_project(folder: Path) -> Path:
    """Copy the project, with the first digits as image files; return the folder."""
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


def run(project: Path, *words: str) -> str:
    """Run Python with these arguments in the folder of the project; return what it printed."""
    path = os.pathsep.join([str(project), *filter(None, sys.path)])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done.stdout + done.stderr


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
