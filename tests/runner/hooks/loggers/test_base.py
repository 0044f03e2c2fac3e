"""The public methods of ``LoggerHook``, and a logger written for MMCV 1.x."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Scalar, make_runner, numbers

from cfgtrain.runner import HOOKS, GradientCumulativeOptimizerHook, LoggerHook
from cfgtrain.runner.hooks import TextLoggerHook


@pytest.mark.parametrize(
    "value", [1, 0.5, True, 1j, np.float32(1), np.array(2), np.array([2]), np.bool_(True)]
)
def test_numbers_are_scalars(value: Any) -> None:
    """Numbers of Python and NumPy, and arrays of one number, are scalars."""
    assert LoggerHook.is_scalar(value)


@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.ones(1), torch.ones(1, 1)])
def test_tensors_of_one_element_are_scalars(value: Any) -> None:
    """A tensor with one element is a scalar, of any number of dimensions."""
    assert TextLoggerHook().is_scalar(value)
    assert not LoggerHook.is_scalar(value, include_torch=False)


@pytest.mark.parametrize(
    "value", ["1", None, [1], np.ones(2), np.array("a"), torch.ones(2), torch.ones(1, 5)]
)
def test_other_values_are_no_scalars(value: Any) -> None:
    """Text, collections and arrays of several numbers are not scalars."""
    assert not LoggerHook.is_scalar(value)


def test_arrays_can_be_excluded() -> None:
    """``include_np`` excludes arrays, but not numbers of NumPy, which are numbers of Python too."""
    assert not LoggerHook.is_scalar(np.array(2), include_np=False)
    assert LoggerHook.is_scalar(np.float64(2), include_np=False)


def test_rate_and_momentum_of_one_optimizer() -> None:
    """The tags have the values of the first parameter group."""
    model = Scalar()
    groups = [{"params": [model.w], "lr": 0.5, "momentum": 0.9}, {"params": [], "lr": 2.0, "momentum": 0.1}]
    runner = make_runner("epoch", 1, model, optimizer=torch.optim.SGD(groups, lr=1.0))
    hook = TextLoggerHook()
    assert hook.get_lr_tags(runner) == {"learning_rate": 0.5}
    assert hook.get_momentum_tags(runner) == {"momentum": 0.9}


def test_rates_and_momenta_of_several_optimizers() -> None:
    """Each of several optimizers has its own tags."""
    model = Scalar()
    optimizers = {
        "a": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8),
        "b": torch.optim.Adam(model.parameters(), lr=0.2, betas=(0.7, 0.9)),
    }
    runner, hook = make_runner("epoch", 1, model, optimizer=optimizers), TextLoggerHook()
    assert hook.get_lr_tags(runner) == {"learning_rate/a": 0.1, "learning_rate/b": 0.2}
    assert hook.get_momentum_tags(runner) == {"momentum/a": 0.8, "momentum/b": 0.7}


def test_no_optimizer_no_rates() -> None:
    """Without an optimizer there are no tags of it."""
    runner, hook = make_runner("epoch", 1, optimizer=None), TextLoggerHook()
    assert (hook.get_lr_tags(runner), hook.get_momentum_tags(runner)) == ({}, {})


OUTPUT = {"loss": 0.5, "note": "abc", "time": 0.1, "data_time": 0.2, "eval_iter_num": 3}
RATES = {"learning_rate": 0.1, "momentum": 0}


@pytest.mark.parametrize(
    ("arguments", "tags"),
    [
        ({}, {"train/loss": 0.5}),
        ({"allow_text": True}, {"train/loss": 0.5, "train/note": "abc"}),
        ({"allow_text": True, "allow_scalar": False}, {"train/note": "abc"}),
        ({"add_mode": False}, {"loss": 0.5}),
        ({"tags_to_skip": ("loss",)}, {"train/time": 0.1, "train/data_time": 0.2}),
    ],
)
def test_loggable_tags(arguments: dict[str, Any], tags: dict[str, Any]) -> None:
    """The arguments select tags; the number of batches of an evaluation is no metric."""
    runner = make_runner("epoch", 1)
    runner.mode = "train"
    runner.log_buffer.output.update(OUTPUT)
    assert TextLoggerHook().get_loggable_tags(runner, **arguments) == {**tags, **RATES}


def test_a_logger_written_for_mmcv(tmp_path: Path) -> None:
    """A custom logger with the methods and positional arguments of MMCV 1.x works unchanged."""

    @HOOKS.register_module()
    class CSVLoggerHook(LoggerHook):
        def __init__(self, log_path=None, interval=10, ignore_last=True, reset_flag=False, by_epoch=True):
            super(CSVLoggerHook, self).__init__(interval, ignore_last, reset_flag, by_epoch)  # noqa: UP008
            self.log_path = log_path
            self.rows = []

        def before_run(self, runner):
            super(CSVLoggerHook, self).before_run(runner)  # noqa: UP008
            if self.log_path is None:
                self.log_path = str(Path(runner.work_dir) / "log.csv")

        def log(self, runner):
            tags = self.get_loggable_tags(runner, allow_text=False, add_mode=True)
            row = {
                "mode": self.get_mode(runner),
                "epoch": self.get_epoch(runner),
                "step": self.get_iter(runner),
                "inner": self.get_iter(runner, inner_iter=True),
            }
            row.update({tag: float(val) for tag, val in tags.items() if self.is_scalar(val)})
            self.rows.append(row)

        def after_run(self, runner):
            with open(self.log_path, "w") as file:  # noqa: PTH123
                writer = csv.DictWriter(file, sorted({key for row in self.rows for key in row}))
                writer.writeheader()
                writer.writerows(self.rows)

    runner = make_runner("epoch", 1, work_dir=tmp_path)
    runner.register_logger_hooks(
        {"interval": 2, "hooks": [{"type": "TextLoggerHook"}, {"type": "CSVLoggerHook"}]}
    )
    runner.run([numbers(4), numbers(4)], [("train", 1), ("val", 1)])
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [(row["mode"], row["epoch"], row["step"], row["inner"]) for row in rows] == [
        ("train", "1", "2", "2"),
        ("train", "1", "4", "4"),
        ("val", "1", "5", "4"),
    ]
    assert [row["train/loss"] or row["val/loss"] for row in rows] == ["0.5", "2.5", "1.5"]
    assert {(row["learning_rate"], row["momentum"]) for row in rows} == {("0.1", "0.0")}


def test_has_batch_norm() -> None:
    """``has_batch_norm`` finds a batch normalization at any depth, as in MMCV."""
    hook = GradientCumulativeOptimizerHook(cumulative_iters=2)
    inner = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.SyncBatchNorm(1))
    assert hook.has_batch_norm(torch.nn.BatchNorm2d(1))
    assert hook.has_batch_norm(torch.nn.Sequential(inner))
    assert not hook.has_batch_norm(torch.nn.Sequential(torch.nn.GroupNorm(1, 1)))
