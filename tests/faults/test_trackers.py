"""A training that is killed is one continuous run in its experiment trackers."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from faults.experiment import Forker, logged, wait_for
from trackers import OFFLINE, read_tensorboard, wandb_curves
from wandb_files import read_starts

CONFIG = """
_base_ = "epoch.py"
log_config = dict(interval=2, hooks=[
    dict(type='TextLoggerHook'), dict(type='TensorboardLoggerHook'), dict(type='WandbLoggerHook')])
"""


def rows() -> list[dict[str, Any]]:
    return [row for start in read_starts(Path("run/wandb")) for row in start.rows]


@pytest.mark.parametrize("when", ["later", "at once"])
def test_a_kill_leaves_one_continuous_run(when: str, forker: Forker) -> None:
    """After a kill beyond the last checkpoint, and a resume, each step is there once, with the logged values.

    That is also true if W&B's process is killed before it has written the values that precede the checkpoint.
    """
    for package in ("tensorboard", "wandb"):
        pytest.importorskip(package, reason=f"pip install 'cfgtrain[{package}]'")
    Path("tracked.py").write_text(CONFIG, encoding="utf-8")
    words = ["train", "tracked.py", "--work-dir", "run"]
    home = {
        name: str(Path("home").absolute())
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")
    }
    # The checkpoint is at iteration 14, and the values of 16 are sent when W&B's process is killed too.
    faults = "iter:16:hold iter:17:SIGKILL" if when == "later" else "iter:15:SIGKILL"
    killed = forker.start(*words, FAULTS=faults, **OFFLINE, **home)
    if when == "later":
        wait_for(lambda: rows() and rows()[-1]["_step"] >= 14, "W&B's file")
        Path("go").touch()
    assert killed.end() == -signal.SIGKILL
    forker.run(*words, "--resume", "auto", SESSION="second", **OFFLINE, **home)
    expected: dict[str, list[tuple[int, float]]] = {}
    for line in logged(Path("run")):
        mode, iters = line["mode"], line["global_iter"]
        step = iters if mode == "train" else iters + 1
        for key in line.keys() - {"mode", "epoch", "iter", "lr", "global_iter"}:
            expected.setdefault(f"{mode}/{key}", []).append((step, pytest.approx(line[key], abs=2e-5)))
    assert len(expected["train/loss"]) == 12
    rates = ("learning_rate", "momentum")
    starts = read_starts(Path("run/wandb"))
    first, second = (start.run_id for start in starts)
    assert first == second or (when == "at once" and first == "")  # W&B had not written anything
    assert starts[1].exit_code == 0
    for curves in (read_tensorboard(Path("run/tf_logs")), wandb_curves(starts)):
        assert {tag: curve for tag, curve in curves.items() if tag not in rates} == expected
        for tag in rates:
            steps = [step for step, _ in curves[tag]]
            assert steps == sorted(set(steps))
