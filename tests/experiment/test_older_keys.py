"""Keys and checkpoints of MMCV's time: each has its effect, or is accepted with a reason."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import distributed, nn

from cfgtrain.check import check, check_test
from cfgtrain.config import Config
from cfgtrain.errors import CfgTrainError, CheckpointError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.base import LoggerHook
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
    """Restore what the keys set for the whole process, and begin without what other tests have set."""
    threads, method = cv2.getNumThreads(), multiprocessing.get_start_method(allow_none=True)
    _clear_deterministic()
    cv2.setNumThreads(2)
    yield
    cv2.setNumThreads(threads)
    multiprocessing.set_start_method(method, force=True)
    _clear_deterministic()


def _clear_deterministic() -> None:
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = False
    torch.use_deterministic_algorithms(False)


def hook(result: TrainResult, kind: type[Any]) -> Any:
    return next((each for each in result.runner.hooks if isinstance(each, kind)), None)


def names(result: TrainResult) -> list[str]:
    return [type(each).__name__ for each in result.runner.hooks]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def gradient_norm(result: TrainResult) -> float:
    """Return the norm of the gradients of the last step."""
    return float(torch.nn.utils.get_total_norm([each.grad for each in result.runner.model.parameters()]))


def saved(result: TrainResult) -> list[str]:
    """Return the names of the checkpoints, without links."""
    return sorted(file.stem for file in result.work_dir.glob("*.pth") if not file.is_symlink())


class Recorder(LoggerHook):
    """A logger of a project: it keeps the iterations that it was given."""

    def __init__(self, interval: int = 10, **settings: Any) -> None:
        super().__init__(interval, **settings)
        self.logged: list[int] = []

    def log(self, runner: Any) -> None:
        self.logged.append(runner.iter + 1)


@pytest.fixture(autouse=True)
def recorder() -> None:
    HOOKS.register_module(module=Recorder)


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
    "lr_config": ("total_epochs = 2", lambda r: r.runner.current_lr() == [pytest.approx(0.005)]),
    "momentum": (
        "momentum_config = dict(policy='step', step=[1], gamma=0.5)\ntotal_epochs = 2",
        lambda r: r.runner.current_momentum() == [pytest.approx(0.45)],
    ),
    "grad_clip": (
        "optimizer_config = dict(grad_clip=dict(max_norm=0.01, norm_type=2))",
        lambda r: gradient_norm(r) == pytest.approx(0.01, rel=1e-3),
    ),
    "loss_scale": (
        "fp16 = dict(loss_scale=dict(init_scale=64., growth_interval=2))",
        lambda r: r.runner.meta["fp16"]["loss_scaler"]["scale"] == 128,
    ),
    "checkpoint_config": (
        "checkpoint_config = dict(interval=2, max_keep_ckpts=1)\ntotal_epochs = 5", lambda r: saved(r) == ["epoch_5"],
    ),
    "save_best": (
        "data['val'] = dict(type='Digits', split='val', pipeline=pipeline)\n"
        "evaluation = dict(interval=2, metric='accuracy', save_best='accuracy')\ntotal_epochs = 2",
        lambda r: saved(r) == ["best_accuracy_epoch_2", "epoch_1", "epoch_2"],
    ),
    "log_config.hooks": (
        "log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook'), dict(type='Recorder', ignore_last=False)])",
        lambda r: hook(r, Recorder).logged == [2, 3],
    ),
    "log_level": (
        "log_level = 'WARNING'", lambda r: not any("INFO" in file.read_text() for file in r.work_dir.glob("*.log")),
    ),
    "deterministic algorithms": ("deterministic = True", lambda r: torch.are_deterministic_algorithms_enabled()),
    "auto_scale_lr": (
        "auto_scale_lr = dict(enable=True, base_batch_size=1000)",
        lambda r: r.runner.optimizer.param_groups[0]["initial_lr"] == pytest.approx(0.025),
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_of_the_time_has_its_effect(key: str, run: Callable[..., TrainResult]) -> None:
    """Each config loads, trains an epoch, and has what the key asks for."""
    added, holds = EFFECTS[key]
    assert holds(run(added))


def test_without_the_keys_there_are_no_such_effects(run: Callable[..., TrainResult]) -> None:
    """What holds with a key does not hold for a run without it."""
    plain = run()

    def has(key: str) -> bool:
        try:
            return bool(EFFECTS[key][1](plain))
        except (AttributeError, KeyError):
            return False

    assert [key for key, (added, _) in EFFECTS.items() if added and has(key)] == ["find_unused_parameters"]


def test_the_ids_of_gpus_are_accepted_with_a_reason(
    run: Callable[..., TrainResult], caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that they have no effect, and what says it instead."""
    with caplog.at_level(logging.INFO):
        run("gpu_ids = range(0, 1)\ndevice_ids = [0]")
    for key in ("gpu_ids", "device_ids"):
        assert f"{key} has no effect: device says which GPU is used" in caplog.text


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    return result.runner.model.state_dict()


def test_the_seed_decides_the_weights(run: Callable[..., TrainResult]) -> None:
    """Two runs with one seed end with the same weights, bit for bit; another seed gives others."""
    first, second, other = (weights(run(f"seed = {seed}")) for seed in (5, 5, 6))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not any(torch.equal(value, other[name]) for name, value in first.items())


def test_load_from_sets_the_first_weights(run: Callable[..., TrainResult], tmp_path: Path) -> None:
    """A run without a learning rate ends with the weights that it loaded; it counts epochs from the start."""
    torch.save(mmcv_checkpoint(run()), tmp_path / "mmcv.pth")
    loaded = run(f"seed = 2\nload_from = {str(tmp_path / 'mmcv.pth')!r}\noptimizer['lr'] = 0.")
    expected = torch.load(tmp_path / "mmcv.pth")["state_dict"]
    assert all(torch.equal(value, expected[f"module.{name}"]) for name, value in weights(loaded).items())
    assert loaded.runner.epoch == 1


def test_auto_resume_continues_the_newest_checkpoint(run: Callable[..., TrainResult]) -> None:
    """A second run with one more epoch trains this epoch only; without the key it trains both."""
    run()
    before = (Path("work") / "epoch_1.pth").stat().st_mtime_ns
    assert run("auto_resume = True\ntotal_epochs = 2").runner.iter == 6
    assert (Path("work") / "epoch_1.pth").stat().st_mtime_ns == before
    run("total_epochs = 2")
    assert (Path("work") / "epoch_1.pth").stat().st_mtime_ns > before


def test_nccl_becomes_gloo_on_the_cpu(
    run: Callable[..., TrainResult], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The backend of ``dist_params`` is used where it can be; ``timeout`` is that of the process group."""
    made: list[dict[str, Any]] = []
    begin = distributed.init_process_group
    monkeypatch.setattr(
        distributed,
        "init_process_group",
        lambda *args, **kwargs: made.append(kwargs) or begin(*args, **kwargs),
    )
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", **address}.items():
        monkeypatch.setenv(name, value)
    run("dist_params = dict(backend='nccl', timeout=50)")
    assert [each["backend"] for each in made] == ["gloo"]
    assert made[0]["timeout"].total_seconds() >= 50
    assert "nccl" in caplog.text


PARTLY_USED = """\
import torch
from cfgtrain.registries import MODELS

@MODELS.register_module()
class PartlyUsed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = torch.nn.Linear(1024, 10), torch.nn.Linear(1024, 10)

    def forward(self, img, gt_label, return_loss=True):
        return dict(loss=torch.nn.functional.cross_entropy(self.used(img.flatten(1)), gt_label))

    def train_step(self, data, optimizer):
        return dict(loss=self(**data)['loss'], num_samples=len(data['img']))
"""


@pytest.mark.slow
def test_find_unused_parameters(write: Callable[[str, str], Path]) -> None:
    """With two processes, a model with parameters that get no gradient trains with the key only."""
    write("partly.py", PARTLY_USED)
    text = OLD + "custom_imports = dict(imports=['partly'])\nmodel = dict(type='PartlyUsed')\n"
    words = [
        sys.executable,
        "-m",
        "cfgtrain",
        "train",
        str(write("old.py", text)),
        "--nproc",
        "2",
        "--cfg-options",
    ]
    found = {
        value: subprocess.run(
            [*words, f"+find_unused_parameters={value}"], capture_output=True, text=True, check=False
        )
        for value in (True, False)
    }
    assert found[True].returncode == 0, found[True].stderr
    assert found[False].returncode != 0
    assert "find_unused_parameters" in found[False].stderr


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


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("'gloo'", "dist_params"),
        ("dict(backend='mpi4')", "dist_params.backend"),
        ("dict(timeout=-1)", "dist_params.timeout"),
        ("dict(backends='gloo')", "dist_params.backends"),
    ],
)
def test_a_wrong_value_of_dist_params_has_its_place(
    write: Callable[[str, str], Path], value: str, key: str
) -> None:
    """The error has the key and the line."""
    with pytest.raises(CfgTrainError, match=r"backend|timeout") as caught:
        check(Config.fromfile(write("old.py", f"{OLD}dist_params = {value}\n")))
    assert caught.value.key == key
    assert caught.value.line == OLD.count("\n") + 1


def test_the_older_length_is_no_problem_for_a_test(write: Callable[[str, str], Path]) -> None:
    """Without a runner there is nothing that it could contradict."""
    added = "data['test'] = dict(type='Digits', split='test', pipeline=pipeline)\nrunner = None\n"
    assert check_test(Config.fromfile(write("old.py", OLD + added))) == "test"


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
