"""Settings that are changed when a run is resumed are applied, and each is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import same

from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.config import Config

PARTS = """
import torch
from torch import nn
from cfgtrain.cnn import MODELS
from cfgtrain.data import DATASETS


@DATASETS.register_module()
class Toy:
    def __init__(self, n=20):
        self.n, self.x = n, torch.randn(n, 4, generator=torch.Generator().manual_seed(3))
    def __len__(self):
        return self.n
    def __getitem__(self, i):
        return dict(img=self.x[i], gt_label=int(i % 2))
    def evaluate(self, results, logger=None):
        return {"acc": 0.5, "low": 2.0}


@MODELS.register_module()
class Net(nn.Module):
    def __init__(self, pretrained=None):
        super().__init__()
        self.backbone, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
    def forward(self, img, gt_label=None, return_loss=True):
        scores = self.head(torch.relu(self.backbone(img)))
        return nn.functional.cross_entropy(scores, gt_label) if return_loss else scores
    def train_step(self, data, optimizer=None):
        loss = self(**data)
        return dict(loss=loss, log_vars=dict(loss=loss.detach()), num_samples=len(data["img"]))
"""

CONFIG = """
custom_imports = dict(imports=["parts"])
model = dict(type="Net")
data = dict(samples_per_gpu=4, workers_per_gpu=0, train=dict(type="Toy", n=20), val=dict(type="Toy", n=6))
optimizer = dict(type="SGD", lr=0.1, momentum=0.9)
lr_config = dict(policy="step", step=1, gamma=0.5)
runner = dict(type="EpochBasedRunner", max_epochs=2)
log_config = dict(interval=1)
device = "cpu"
seed = 1
"""
RUNNERS = {
    "epoch": [],
    "iter": [
        "runner={_delete_: true, type: IterBasedRunner, max_iters: 10}",
        "+checkpoint_config={interval: 5}",
    ],
}


class Toys:
    """Trains two epochs of five iterations, and resumes after the first one."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def first(self, *options: str, folder: str = "run", code: int = 0) -> None:
        """Begin a run."""
        done = self._run("train", "base.py", "--work-dir", folder, "--cfg-options", "seed=1", *options)
        assert done.code == code, done.err

    def second(
        self, *options: str, code: int = 0, after: str = "run/epoch_1.pth", folder: str = "again"
    ) -> str:
        """Resume a run; return what it logs."""
        words = ["--work-dir", folder, "--resume", after, "--cfg-options", "seed=1", *options]
        done = self._run("train", "base.py", *words)
        assert done.code == code, done.err
        return str(done.err)


@pytest.fixture
def toys(write: Callable[[str, str], Path], run: Callable[..., Any]) -> Toys:
    write("parts.py", PARTS)
    write("base.py", CONFIG)
    return Toys(run)


def lrs(folder: str) -> list[float]:
    lines = [
        json.loads(line) for log in Path(folder).glob("*.log.json") for line in log.read_text().splitlines()
    ]
    return [line["lr"] for line in lines if line.get("mode") == "train"]


def groups(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_checkpoint(file)["optimizer"]["param_groups"]
    return found


@pytest.mark.parametrize("kind", RUNNERS)
def test_a_changed_learning_rate_is_applied_and_told(kind: str, toys: Toys) -> None:
    """With a schedule and without one; the config in the work directory is true."""
    options = [*RUNNERS[kind], "lr_config=None"]
    toys.first(*options)
    after = f"run/{'epoch_1' if kind == 'epoch' else 'iter_5'}.pth"
    text = toys.second(*options, "optimizer.lr=0.0001", after=after)
    assert "optimizer.lr: 0.1 in the checkpoint's config, 0.0001 now: applied." in text
    assert lrs("again") == [0.0001] * 5
    assert Config.fromfile("again/base.py").optimizer.lr == 0.0001


@pytest.mark.parametrize("kind", RUNNERS)
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("optimizer.lr=0.02", [0.01] * 5),
        ("lr_config.gamma=0.1", [0.01] * 5),
        ("lr_config={_delete_: true, policy: fixed}", [0.1] * 5),
        ("lr_config=None", [0.1] * 5),
        (
            "lr_config={_delete_: true, policy: Torch, scheduler: {type: ExponentialLR, gamma: 0.3}}",
            [0.03] * 5,
        ),
    ],
)
def test_a_schedule_continues_with_the_changed_values(
    option: str, expected: list[float], kind: str, toys: Toys
) -> None:
    """It has the values that a new run with the changed config has at that place."""
    every = [] if kind == "epoch" else ["+lr_config.by_epoch=False", "lr_config.step=5"]
    toys.first(*RUNNERS[kind], *every)
    options = [*RUNNERS[kind], *([] if "_delete_" in option or "None" in option else every), option]
    after = f"run/{'epoch_1' if kind == 'epoch' else 'iter_5'}.pth"
    if kind == "iter" and "Torch" in option:
        option = (
            "lr_config={_delete_: true, policy: Torch, scheduler: {type: StepLR, step_size: 5, gamma: 0.3}}"
        )
        options = [*RUNNERS[kind], option]
    toys.second(*options, after=after)
    assert lrs("again") == pytest.approx(expected)


def test_a_scheduler_of_torch_takes_its_steps_again(toys: Toys) -> None:
    """Its state has settings and base values, which would override those of the config."""
    policy = "lr_config={{_delete_: true, policy: Torch, scheduler: {{type: ExponentialLR, gamma: {}}}}}"
    toys.first(policy.format(0.5))
    assert lrs("run")[-1] == 0.05
    toys.second(policy.format(0.5), "optimizer.lr=0.02")
    assert lrs("again") == [0.01] * 5
    toys.second(policy.format(0.1))
    assert sorted(lrs("again")) == [0.01] * 10  # of both logs


def test_other_settings_of_the_groups(toys: Toys) -> None:
    """Momentum, weight decay and multipliers are applied; the momentum buffers are kept."""
    toys.first()
    saved = read_checkpoint("run/epoch_1.pth")["optimizer"]
    still = ["data.train.n=4", "+optimizer.weight_decay=0.01", "optimizer.momentum=0.5"]
    text = toys.second(*still, "+optimizer.paramwise_cfg={custom_keys: {backbone: {lr_mult: 0.1}}}")
    assert "optimizer.momentum: 0.9 in the checkpoint's config, 0.5 now: applied." in text
    found = groups("again/epoch_2.pth")
    assert [group["initial_lr"] for group in found] == pytest.approx([0.01, 0.01, 0.1, 0.1])
    assert {(group["momentum"], group["weight_decay"]) for group in found} == {(0.5, 0.01)}
    buffers = read_checkpoint("again/epoch_2.pth")["optimizer"]["state"]
    assert [b["momentum_buffer"].shape for b in buffers.values()] == [
        b["momentum_buffer"].shape for b in saved["state"].values()
    ]


def test_a_resume_without_changes_has_the_same_bits(toys: Toys) -> None:
    """Nothing is applied where nothing has changed, and a longer run changes nothing else."""
    toys.first()
    text = toys.second("runner.max_epochs=3")
    assert "runner.max_epochs: 2 in the checkpoint's config, 3 now: applied." in text
    assert text.count("in the checkpoint's config") == 1
    ends = [read_checkpoint(f"{folder}/epoch_2.pth") for folder in ("run", "again")]
    assert same(ends[0]["optimizer"], ends[1]["optimizer"])
    assert same(ends[0]["state_dict"], ends[1]["state_dict"])


def test_betas_are_applied(toys: Toys) -> None:
    """The setting need not be a number."""
    adam = "optimizer={{_delete_: true, type: Adam, lr: 0.1, betas: [{}, 0.99]}}"
    toys.first(adam.format(0.9))
    toys.second(adam.format(0.5))
    assert [list(group["betas"]) for group in groups("again/epoch_2.pth")] == [[0.5, 0.99]]


@pytest.mark.parametrize(
    ("option", "scale", "growth"),
    [
        ("+fp16={loss_scale: {init_scale: 64.0, growth_interval: 3}}", None, 3),
        ("+fp16={loss_scale: {init_scale: 16.0}}", 16.0, 2000),
        ("+fp16={loss_scale: 8.0}", 8.0, 2000),
    ],
)
def test_the_loss_scale(option: str, scale: float | None, growth: int, toys: Toys) -> None:
    """A changed scale replaces the saved one; a changed growth keeps it."""
    toys.first("+fp16={loss_scale: {init_scale: 64.0, growth_interval: 2}}")
    before = read_checkpoint("run/epoch_1.pth")["meta"]["fp16"]["loss_scaler"]
    toys.second(option, "data.train.n=4")
    after = read_checkpoint("again/epoch_2.pth")["meta"]["fp16"]["loss_scaler"]
    assert after["growth_interval"] == growth
    assert after["scale"] == (before["scale"] if scale is None else scale)


def test_what_cannot_be_changed_is_told(toys: Toys) -> None:
    """Another kind of optimizer is an error, which leaves the config; the seed is a warning."""
    toys.first()
    text = toys.second("optimizer={_delete_: true, type: Adam, lr: 0.1}", code=1)
    assert "does not fit Adam" in text
    assert not Path("again/base.py").exists()
    text = toys.second("seed=2", "+model.pretrained=None")
    assert "seed: 1 in the checkpoint's config, 2 now: applied to the data loaders only" in text
    assert "model.pretrained: not set in the checkpoint's config, None now: not applied" in text


def test_scores_of_another_name_are_not_compared(toys: Toys) -> None:
    """The best value of a score says nothing about another one."""
    toys.first("+evaluation={save_best: low, rule: greater}")
    toys.second("+evaluation={save_best: acc, rule: greater}")
    messages = read_checkpoint("again/epoch_2.pth")["meta"]["hook_msgs"]
    assert (messages["best_score"], Path(messages["best_ckpt"]).name) == (0.5, "best_acc_epoch_2.pth")


@pytest.mark.parametrize("kind", RUNNERS)
def test_a_changed_batch_size_within_an_epoch_is_an_error(kind: str, toys: Toys) -> None:
    """It is told before the config in the work directory is overwritten."""
    by_iter = "+checkpoint_config={interval: 3, by_epoch: false}"
    options = [*RUNNERS[kind][:1], "lr_config=None", by_iter]
    toys.first(*options)
    before = Path("run/base.py").read_text()
    text = toys.second(*options, "data.samples_per_gpu=2", after="run/iter_3.pth", folder="run", code=1)
    assert "its place in the data cannot be found" in " ".join(text.split())
    assert Path("run/base.py").read_text() == before


def test_averages_cannot_be_left_out(toys: Toys) -> None:
    """A checkpoint with averages is not one of a run without them; a changed momentum is applied."""
    ema = "+custom_hooks=[{{type: EMAHook, momentum: {}, warm_up: 0}}]"
    toys.first(ema.format(0.5))
    text = toys.second(ema.format(0.25))
    assert "custom_hooks[0].momentum: 0.5 in the checkpoint's config, 0.25 now: applied." in text
    assert "ema_head_bias" in toys.second(code=1)
