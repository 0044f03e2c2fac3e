"""``cfgtrain migrate`` on configs in the style of MMEngine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.check import check
from cfgtrain.compat.migrate.project import migrate
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.train import train

PIPELINE = """
dataset_type = 'Digits'
train_pipeline = [
    dict(type='Resize', scale=(32, 32)),
    dict(type='Normalize', mean=78, std=96),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img', 'gt_label']),
]
model = dict(
    type='ImageClassifier',
    backbone=dict(type='LeNet5', num_classes=10),
    loss=dict(type='torch.nn.CrossEntropyLoss'))
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(type=dataset_type, split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    dataset=dict(type=dataset_type, split='val', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
default_scope = 'mmpretrain'
"""

EPOCHS = """
_base_ = 'base.py'
# Ten epochs.
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=2, val_begin=3)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=9, eta_min=1e-5, by_epoch=True, begin=1, end=10),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=2, max_keep_ckpts=3, save_best='accuracy/top1', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False))
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend', save_dir='tb')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)
randomness = dict(seed=7, deterministic=False)
log_level = 'INFO'
load_from = None
resume = True
auto_scale_lr = dict(base_batch_size=64)
"""

ITERATIONS = """
_base_ = 'base.py'
train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=400, val_interval=100)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9), accumulative_counts=4, clip_grad=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=400, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=100, save_best='auto'))
load_from = 'weights.pth'
resume = False
"""

AMP = """
_base_ = 'base.py'
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(
    type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
    dict(type='MultiStepLR', by_epoch=True, milestones=[1, 2], gamma=0.2),
]
randomness = dict(seed=0)
default_hooks = dict(logger=dict(type='LoggerHook', interval=5))
"""


def converted(
    folder: Path, text: str, base: str = PIPELINE, name: str = "cfg.py"
) -> tuple[Config, FileReport]:
    """Write a config and its base, convert it in place, and load it."""
    (folder / "base.py").write_text(base)
    (folder / name).write_text(text)
    (report,) = migrate([folder / name], write=True)
    return Config.fromfile(folder / name), report


def test_epochs(tmp_path: Path) -> None:
    """A run in epochs with a cosine and a warm-up, converted key by key."""
    cfg, report = converted(tmp_path, EPOCHS)
    assert report.todos == []
    assert report.written
    assert cfg.runner == {"type": "EpochBasedRunner", "max_epochs": 10}
    assert cfg.optimizer == {
        "type": "AdamW", "lr": 1e-3, "weight_decay": 0.05, "paramwise_cfg": {"norm_decay_mult": 0.0},
    }  # fmt: skip
    assert cfg.optimizer_config == {"grad_clip": {"max_norm": 5.0}}
    assert cfg.lr_config == {
        "policy": "CosineAnnealing", "min_lr": 1e-5, "by_epoch": True,
        "warmup": "linear", "warmup_iters": 1, "warmup_ratio": 0.01, "warmup_by_epoch": True,
    }  # fmt: skip
    assert cfg.evaluation == {
        "interval": 2, "start": 3, "metrics": [{"type": "Accuracy", "topk": (1, 5)}],
        "save_best": "accuracy", "rule": "greater",
    }  # fmt: skip
    assert cfg.checkpoint_config == {"interval": 2, "max_keep_ckpts": 3}
    assert cfg.log_config == {
        "interval": 20, "hooks": [{"type": "TextLoggerHook"}, {"type": "TensorboardLoggerHook", "log_dir": "tb"}],
    }  # fmt: skip
    assert cfg.data.train_dataloader == {"batch_size": 64, "num_workers": 0, "shuffle": True}
    assert cfg.data.val_dataloader == {"batch_size": 128, "num_workers": 0, "shuffle": False}
    assert cfg.data.test.split == "val"
    assert len(cfg.data.train.pipeline) == 4
    assert (cfg.cudnn_benchmark, cfg.mp_start_method, cfg.opencv_num_threads) == (True, "fork", 0)
    assert cfg.dist_params == {"backend": "nccl"}
    assert (cfg.seed, cfg.deterministic, cfg.resume_from, cfg.log_level) == (7, False, "auto", "INFO")
    assert cfg.auto_scale_lr == {"base_batch_size": 64, "enable": False}
    old = {"train_dataloader", "val_cfg", "default_scope", "visualizer", "train_pipeline", "resume"}
    assert not old & set(cfg)
    assert any("comments" in note.message for note in report.notes)


def test_iterations(tmp_path: Path) -> None:
    """A run in iterations with a polynomial, an infinite sampler and accumulated gradients."""
    cfg, report = converted(tmp_path, ITERATIONS)
    assert report.todos == []
    assert cfg.runner == {"type": "IterBasedRunner", "max_iters": 400}
    assert cfg.optimizer_config == {"cumulative_iters": 4}
    assert cfg.lr_config == {
        "policy": "poly", "power": 0.9, "min_lr": 1e-4, "by_epoch": False,
        "warmup": "linear", "warmup_iters": 49, "warmup_ratio": 1e-3, "warmup_by_epoch": False,
    }  # fmt: skip
    assert cfg.evaluation.interval == 100
    assert cfg.checkpoint_config == {"interval": 100, "by_epoch": False}
    assert cfg.data.train_dataloader.shuffle is True
    assert cfg.load_from == "weights.pth"
    assert "resume_from" not in cfg


def test_amp_trains(tmp_path: Path) -> None:
    """Mixed precision and steps are converted, and the new config trains for an epoch."""
    cfg, report = converted(tmp_path, AMP)
    assert report.todos == []
    assert cfg.optimizer_config == {"dtype": "bfloat16"}
    assert cfg.lr_config.policy == "step"
    assert cfg.lr_config.step == [1, 2]
    assert cfg.lr_config.gamma == 0.2
    cfg.work_dir = str(tmp_path / "run")
    cfg.device = "cpu"
    train(cfg)
    assert (tmp_path / "run" / "epoch_1.pth").exists()


@pytest.mark.parametrize("text", [EPOCHS, ITERATIONS, AMP])
def test_accepted_by_check(tmp_path: Path, text: str) -> None:
    """The new config has no errors."""
    cfg, _ = converted(tmp_path, text.replace("load_from = 'weights.pth'", "").replace("resume = True", ""))
    cfg.device = "cpu"
    check(cfg)  # raises if something is wrong


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("param_scheduler = dict(type='CosineAnnealingMomentum', T_max=10)\n", "param_scheduler"),
        ("param_scheduler = [dict(type='CosineAnnealingLR', T_max=5, end=5)]\n", "param_scheduler[0]"),
        ("val_evaluator = [dict(type='CocoMetric', metric='bbox')]\n", "val_evaluator[0]"),
        ("optim_wrapper = dict(type='MyWrapper')\n", "optim_wrapper.type"),
        ("custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA')]\n", "custom_hooks[0]"),
        ("train_dataloader = dict(batch_sampler=dict(type='AspectRatioBatchSampler'))\n",
         "train_dataloader.batch_sampler"),
        ("train_dataloader = dict(dataset=dict(type='X', pipeline=[dict(type='PackInputs')]))\n", "PackInputs"),
        ("model = dict(type='X', data_preprocessor=dict(mean=[1]))\n", "model.data_preprocessor"),
        ("train_cfg = dict(by_epoch=True, max_epochs=9, type='MyLoop')\n", "train_cfg.type"),
    ],
)  # fmt: skip
def test_by_hand(tmp_path: Path, text: str, key: str) -> None:
    """What has no counterpart is listed with its line, and kept as a comment."""
    runs = "" if text.startswith("train_cfg") else "train_cfg = dict(by_epoch=True, max_epochs=10)\n"
    _, report = converted(tmp_path, f"default_scope = 'mmdet'\n{text}{runs}")
    (todo,) = report.todos
    assert todo.message.startswith(key)
    assert todo.line == 2
    if "Pack" not in key:
        assert f"\n# {key.partition('[')[0] if 'scheduler' in key else key} = " in report.new


def test_place_in_base(tmp_path: Path) -> None:
    """A setting of a base file is listed with the place there."""
    _, report = converted(tmp_path, "_base_ = 'base.py'\n", "tta_model = dict(type='X')\nenv_cfg = dict()\n")
    assert "base.py:1: tta_model" in report.todos[0].message


@pytest.mark.parametrize(
    "text",
    [
        "runner = dict(type='EpochBasedRunner', max_epochs=3)\nmodel = dict(type='X')\ntrain_cfg = dict(rpn=1)\n",
        "randomness = 3\ndef main():\n    pass\n",
        "randomness = 3\nmain()\n",
    ],
)
def test_other_files(tmp_path: Path, text: str) -> None:
    """Configs in the style of MMCV, and code, are not changed."""
    (tmp_path / "a.py").write_text(text)
    (report,) = migrate([tmp_path / "a.py"], write=True)
    assert not report.is_changed
    assert report.findings == []


def test_twice(tmp_path: Path) -> None:
    """A converted config is not changed again, even if it has comments about settings that are left."""
    converted(tmp_path, EPOCHS + "tta_model = dict(type='X')\n")
    (report,) = migrate([tmp_path / "cfg.py"])
    assert not report.is_changed


def test_read_base(tmp_path: Path) -> None:
    """A config that imports a base that is not there is listed, and not changed."""
    (tmp_path / "a.py").write_text(
        "from mmengine.config import read_base\nwith read_base():\n    from .b import *\n"
    )
    (report,) = migrate([tmp_path / "a.py"], write=True)
    assert not report.is_changed
    assert [todo.line for todo in report.todos] == [1]


def test_broken_config(tmp_path: Path) -> None:
    """A config that cannot be loaded is listed."""
    (tmp_path / "a.py").write_text("_base_ = 'missing.py'\noptim_wrapper = dict()\n")
    (report,) = migrate([tmp_path / "a.py"], write=True)
    assert not report.is_changed
    assert "cannot be loaded" in report.todos[0].message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "train_cfg: {by_epoch: true, max_epochs: 3}\nrandomness: {seed: 1}\n"),
        ("a.json", '{"train_cfg": {"by_epoch": true, "max_epochs": 3}, "randomness": {"seed": 1}}'),
    ],
)
def test_data_files(tmp_path: Path, name: str, text: str) -> None:
    """YAML and JSON configs are converted in their format."""
    cfg, _ = converted(tmp_path, text, name=name)
    expected: dict[str, Any] = {"type": "EpochBasedRunner", "max_epochs": 3}
    assert cfg.runner == expected
    assert cfg.seed == 1


def test_scores_by_iteration(tmp_path: Path) -> None:
    """Scores are logged by iteration in cfgtrain: a config that asks for it has a note only."""
    file = tmp_path / "cfg.py"
    file.write_text(
        "default_scope = 'mmdet'\n"
        "default_hooks = dict(logger=dict(type='LoggerHook', interval=5, log_metric_by_epoch=False))\n"
    )
    (report,) = migrate([file], write=True, check=False)
    assert report.todos == []
    assert any(note.line == 2 and "log_metric_by_epoch is dropped" in note.message for note in report.notes)
    assert Config.fromfile(file).log_config == {"interval": 5}
