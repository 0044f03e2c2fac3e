from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.train import train


def lines(caplog: pytest.LogCaptureFixture, config: Path, **changes: Any) -> dict[str, str]:
    """Return what a run logs when it begins, by name."""
    caplog.set_level(logging.INFO, "cfgtrain")
    caplog.clear()
    cfg = Config.fromfile(config)
    short = {"runner.max_epochs": 1, "work_dir": "run"} if config.stem == "lenet5" else {"work_dir": "run"}
    cfg.merge_from_dict({**short, **{key.replace("__", "."): value for key, value in changes.items()}})
    train(cfg)
    found = [record.getMessage() for record in caplog.records if hasattr(record, "indent")]
    return {line[:12].strip(): line[12:] for line in found}


def test_ten_lines(configs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They say what is trained, on what, and how."""
    assert lines(caplog, configs / "digits" / "lenet5.py") == {
        "Experiment": "lenet5, in run",
        "Device": "cpu (1 thread), float32",
        "Model": "ImageClassifier, 61,706 parameters (all trainable)",
        "Data": "train 1,083, val 359, test 355 samples, fingerprints dd013a3e 84f92be6 16a61251; "
        "10 classes: 0, 1, 2, 3, 4, ...",
        "Batch": "64 x 1 process = 64 samples per step",
        "Length": "1 epoch of 17 = 17 iterations",
        "Optimizer": "SGD, lr 0.1, momentum 0.9, weight_decay 0.0005",
        "Schedule": "CosineAnnealing of the lr, linear warm-up of 20 iterations",
        "Seed": "0",
        "Begins": "with new weights",
    }


def test_what_differs_is_told(configs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Frozen parameters, groups, accumulation, precision, flows and where the weights are from."""
    lines(caplog, configs / "digits" / "lenet5.py")
    found = lines(
        caplog,
        configs / "digits" / "lenet5.py",
        freeze=["backbone.*.0"],
        optimizer__paramwise_cfg={"bias_lr_mult": 2.0},
        optimizer_config={"cumulative_iters": 4, "dtype": "bfloat16"},
        workflow=[("train", 1), ("val", 1)],
        lr_config=None,
        deterministic=True,
        load_from="run/epoch_1.pth",
    )
    assert found["Model"].endswith("61,706 parameters (51,386 trainable, 10,320 frozen)")
    assert found["Device"].endswith("mixed precision bfloat16")
    assert found["Batch"] == "64 x 4 accumulated x 1 process = 256 samples per step"
    assert found["Length"].endswith("iterations, in turn train 1, val 1")
    assert "groups, lr 0.1 (" in found["Optimizer"]
    assert ", 0.2 (" in found["Optimizer"]
    assert found["Schedule"] == "constant lr"
    assert found["Seed"] == "0, deterministic algorithms"
    assert found["Begins"] == "with the weights of run/epoch_1.pth"


def test_resumed_run_in_iterations(configs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The length of an iteration run, and where a resumed run continues."""
    config = configs / "digits" / "lenet5_iter.py"
    assert lines(caplog, config, runner__max_iters=20)["Length"] == "20 iterations = 1.2 epochs of 17"
    found = lines(caplog, config, runner__max_iters=22, resume_from="auto")
    assert found["Begins"].startswith("resumed from ")
    assert found["Begins"].endswith("iter_20.pth: epoch 1, iteration 20")
