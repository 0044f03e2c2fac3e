"""Keys and checkpoints of MMCV's time: each has its effect, or is accepted with a reason."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from cfgtrain.check import check
from cfgtrain.config import Config
from cfgtrain.errors import CfgTrainError, CheckpointError
from cfgtrain.runner.hooks.optimizer import Fp16OptimizerHook, GradientCumulativeOptimizerHook
from cfgtrain.train import TrainResult, train

OLD = """\
model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10))
pipeline = [dict(type='Resize', scale=(32, 32)), dict(type='Normalize', mean=78, std=96), dict(type='ImageToTensor', keys=['img'])]
data = dict(samples_per_gpu=500, workers_per_gpu=0, train=dict(type='Digits', split='train', pipeline=pipeline))
optimizer = dict(type='SGD', lr=0.05, momentum=0.9)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[1])
total_epochs = 1
checkpoint_config = dict(interval=1)
log_config = dict(interval=1, hooks=[dict(type='TextLoggerHook')])
dist_params = dict(backend='nccl')
log_level = 'INFO'
load_from = None
resume_from = None
workflow = [('train', 1)]
device = 'cpu'
seed = 1
"""


@pytest.fixture
def run(write: Callable[[str, str], Path], tmp_path: Path) -> Callable[..., TrainResult]:
    """Train the config with some lines added, in the folder of the test."""

    def call(added: str = "") -> TrainResult:
        cfg = Config.fromfile(write("old.py", OLD + added))
        cfg.work_dir = str(tmp_path / "work")
        return train(cfg)

    return call


@pytest.fixture(autouse=True)
def process_settings() -> Iterator[None]:
    """Restore what the keys set for the whole process."""
    threads, method = cv2.getNumThreads(), multiprocessing.get_start_method(allow_none=True)
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    cv2.setNumThreads(threads)
    multiprocessing.set_start_method(method, force=True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic
    torch.use_deterministic_algorithms(False)


def hook(result: TrainResult, kind: type[Any]) -> Any:
    return next((each for each in result.runner.hooks if isinstance(each, kind)), None)


def names(result: TrainResult) -> list[str]:
    return [type(each).__name__ for each in result.runner.hooks]


# the lines, and what holds after the run
EFFECTS: dict[str, tuple[str, Callable[[TrainResult], Any]]] = {
    "total_epochs": ("", lambda r: r.runner.epoch == r.runner.max_epochs == 1),
    "total_iters": ("total_epochs = None\ntotal_iters = 2", lambda r: r.runner.iter == r.runner.max_iters == 2),
    "samples_per_gpu": ("", lambda r: r.runner.iter == 3),
    "GradientCumulativeOptimizerHook": (
        "optimizer_config = dict(type='GradientCumulativeOptimizerHook', cumulative_iters=3)",
        lambda r: hook(r, GradientCumulativeOptimizerHook).cumulative_iters == 3,
    ),
    "Fp16OptimizerHook": (
        "optimizer_config = dict(type='Fp16OptimizerHook', loss_scale=64.)", lambda r: hook(r, Fp16OptimizerHook),
    ),
    "fp16": ("fp16 = dict(loss_scale=64.)", lambda r: hook(r, Fp16OptimizerHook)),
    "cudnn_benchmark": ("cudnn_benchmark = True", lambda r: torch.backends.cudnn.benchmark),
    "deterministic": (
        "deterministic = True\ncudnn_benchmark = True",
        lambda r: torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark,
    ),
    "opencv_num_threads": ("opencv_num_threads = 1", lambda r: cv2.getNumThreads() == 1),
    "mp_start_method": (
        "mp_start_method = 'forkserver'", lambda r: multiprocessing.get_start_method() == "forkserver",
    ),
    "find_unused_parameters": ("find_unused_parameters = True", lambda r: r.runner.epoch == 1),
    "priority": (
        "custom_hooks = [dict(type='EmptyCacheHook', priority='LOWEST'), dict(type='SyncBuffersHook', priority=5)]",
        lambda r: names(r)[0] == "SyncBuffersHook" and names(r)[-1] == "EmptyCacheHook",
    ),
    "log_config": (
        "log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook', by_epoch=True)])",
        lambda r: next(each for each in r.runner.hooks if type(each).__name__ == "TextLoggerHook").interval == 2,
    ),
    "momentum_config": (
        "momentum_config = dict(policy='step', step=[1], gamma=0.5)", lambda r: "StepMomentumUpdaterHook" in names(r),
    ),
    "workflow": (
        "workflow = [('train', 1), ('val', 1)]\n"
        "data['val'] = dict(type='Digits', split='val', pipeline=pipeline)",
        lambda r: (r.work_dir / "epoch_1.pth").exists() and r.runner.mode == "val",
    ),
    "seed": ("seed = 5", lambda r: r.runner.meta["seed"] == 5),
}  # fmt: skip


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_of_the_time_has_its_effect(key: str, run: Callable[..., TrainResult]) -> None:
    """Each config loads, trains an epoch, and has what the key asks for."""
    added, holds = EFFECTS[key]
    assert holds(run(added))


def test_the_ids_of_gpus_are_accepted_with_a_reason(
    run: Callable[..., TrainResult], caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that they have no effect, and what says it instead."""
    with caplog.at_level(logging.INFO):
        run("gpu_ids = range(0, 1)\ndevice_ids = [0]")
    for key in ("gpu_ids", "device_ids"):
        assert f"{key} has no effect: device says which GPU is used" in caplog.text


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("opencv_num_threads = -1", "opencv_num_threads"),
        ("mp_start_method = 'thread'", "mp_start_method"),
        ("cudnn_benchmark = 'yes'", "cudnn_benchmark must be True or False"),
        ("runner = dict(type='EpochBasedRunner', max_epochs=3)", "set the length of the run differently"),
    ],
)
def test_a_wrong_value_is_an_error(write: Callable[[str, str], Path], added: str, message: str) -> None:
    """It is found before the run."""
    with pytest.raises(CfgTrainError, match=message):
        check(Config.fromfile(write("old.py", OLD + added)))


def mmcv_checkpoint(result: TrainResult, **meta: Any) -> dict[str, Any]:
    """Return a checkpoint in the layout of MMCV 1.x, after the first epoch of a run."""
    own = result.runner
    text = {"mmcv_version": "1.7.2", "time": "Mon Jan  3 10:00:00 2022", "epoch": 1, "iter": 3}
    weights = {f"module.{name}": value for name, value in own.model.state_dict().items()}
    return {"meta": {**text, "CLASSES": tuple("0123456789"), **meta}, "state_dict": weights,
            "optimizer": own.optimizer.state_dict()}  # fmt: skip


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_checkpoint_of_mmcv_resumes(is_zip: bool, run: Callable[..., TrainResult], tmp_path: Path) -> None:
    """With the prefix of DataParallel, NumPy numbers in meta, and in both formats of torch."""
    first = run()
    messages = {"last_ckpt": "/elsewhere/epoch_1.pth", "best_score": np.float64(0.5)}
    content = mmcv_checkpoint(first, hook_msgs=messages, seed=1, config=OLD)
    torch.save(content, tmp_path / "mmcv.pth", _use_new_zipfile_serialization=is_zip)
    second = run(f"total_epochs = 2\nresume_from = {str(tmp_path / 'mmcv.pth')!r}")
    assert (second.runner.epoch, second.runner.iter) == (2, 6)
    step = next(iter(second.runner.optimizer.state_dict()["state"].values()))
    assert "momentum_buffer" in step
    assert second.runner.meta["hook_msgs"]["best_score"] == 0.5


class Unknown:
    """An object of a project that a checkpoint may contain."""


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_checkpoint_with_other_objects_is_refused(
    is_zip: bool, run: Callable[..., TrainResult], tmp_path: Path
) -> None:
    """The message names what it contains, and how to trust it."""
    content = mmcv_checkpoint(run(), extra=Unknown())
    torch.save(content, tmp_path / "mmcv.pth", _use_new_zipfile_serialization=is_zip, pickle_module=pickle)
    with pytest.raises(CheckpointError, match=r"(?s)Unknown.*--trust-checkpoint"):
        run(f"total_epochs = 2\nresume_from = {str(tmp_path / 'mmcv.pth')!r}")


def test_a_checkpoint_is_readable_by_tools_for_mmcv(run: Callable[..., TrainResult]) -> None:
    """Plain torch.load finds what MMCV's checkpoints have."""
    result = run()
    saved = torch.load(result.work_dir / "epoch_1.pth", weights_only=True)
    assert (saved["meta"]["epoch"], saved["meta"]["iter"]) == (1, 3)
    assert tuple(saved["meta"]["CLASSES"]) == tuple("0123456789")
    assert {"mmcv_version", "time", "config", "seed", "hook_msgs"} <= {*saved["meta"]}
    network: nn.Module = result.runner.model
    assert saved["state_dict"].keys() == network.state_dict().keys()
    assert saved["optimizer"].keys() == {"state", "param_groups"}
