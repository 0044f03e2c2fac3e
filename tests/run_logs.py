"""Logs of runs, written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

META = {"exp_name": "toy", "seed": 3, "mmcv_version": "1.7.2", "cfgtrain_version": "0.1.0", "hook_msgs": {}}
MMCV_META = {"env_info": "sys.platform: linux\nPyTorch: 1.8.0\nMMCV: 1.3.9", "seed": 7, "exp_name": "det.py"}
CONFIG = "# The merged config of a run, written by cfgtrain.\n"


def train(epoch: int, inner: int, loss: float, done: int | None = None, **values: Any) -> dict[str, Any]:
    """Return a line of the training; ``done`` is the ``global_iter``, which MMCV does not write."""
    line = {"mode": "train", "epoch": epoch, "iter": inner, "lr": 0.1, "loss": loss, "time": 0.5, **values}
    return line if done is None else {**line, "global_iter": done}


def val(epoch: int, done: int | None = None, **scores: Any) -> dict[str, Any]:
    """Return a line of an evaluation on six batches."""
    line = {"mode": "val", "epoch": epoch, "iter": 6, "lr": 0.1, **scores}
    return line if done is None else {**line, "global_iter": done}


def write_log(
    folder: str | Path, *lines: Any, stamp: str = "20260102_030405", text: str | None = None
) -> Path:
    """Write a JSON log, and a text log if its text is given; a str is a line as it is."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stamp}.log.json"
    file.write_text(
        "".join(line if isinstance(line, str) else f"{json.dumps(line)}\n" for line in lines),
        encoding="utf-8",
    )
    if text is not None:
        (folder / f"{stamp}.log").write_text(text, encoding="utf-8")
    return file


def write_run(folder: str | Path, config: str = "", *, accuracy: float = 0.5) -> Path:
    """Write the log and the config of a run of two epochs of ten iterations, and return the folder."""
    write_log(
        folder,
        META,
        train(1, 5, 3.0, 5),
        train(1, 10, 2.0, 10),
        val(1, 10, accuracy=0.25, loss=2.5),
        train(2, 5, 1.5, 15),
        train(2, 10, 1.0, 20),
        val(2, 20, accuracy=accuracy, loss=1.25),
        {"mode": "test", "accuracy": accuracy - 0.125, "global_iter": 20, "samples": 9, "checkpoint": None},
        {"mode": "end", "result": "finished", "reason": "all of its 2 epochs are trained", "global_iter": 20,
         "date": "2026-01-02 04:05:15"},
    )  # fmt: skip
    Path(folder, "toy.py").write_text(CONFIG + (config or "optimizer = dict(type='SGD', lr=0.1)\n"))
    return Path(folder)
