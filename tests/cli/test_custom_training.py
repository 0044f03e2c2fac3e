from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same

from cfgtrain.checkpoint import read_checkpoint

PARTS = '''
"""Custom components: a policy, an optimizer and its constructor."""

import torch

from cfgtrain.optim import OPTIMIZER_BUILDERS, OPTIMIZERS, DefaultOptimizerConstructor
from cfgtrain.runner import HOOKS, LrUpdaterHook, MomentumUpdaterHook


@HOOKS.register_module()
class TriangleLrUpdaterHook(LrUpdaterHook):
    """Rises and falls every ``period`` iterations."""

    def __init__(self, period, top=4.0, **kwargs):
        self.period, self.top = period, top
        super().__init__(**kwargs)

    def get_lr(self, runner, base_lr):
        share = abs((runner.iter % self.period) / self.period - 0.5) * 2
        return base_lr * (self.top - (self.top - 1) * share)


@HOOKS.register_module()
class HalfMomentumUpdaterHook(MomentumUpdaterHook):
    curve = staticmethod(lambda base, at, total: base * (1 - 0.5 * at / total))


@OPTIMIZERS.register_module()
class SignSGD(torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= 0.01 * group["lr"] * p.grad.sign()


@OPTIMIZER_BUILDERS.register_module()
class DepthConstructor(DefaultOptimizerConstructor):
    """The deeper a parameter, the smaller its learning rate."""

    def add_params(self, params, module, prefix="", is_dcn_module=None):
        for depth, (name, p) in enumerate(module.named_parameters()):
            params.append({"params": [p], "lr": self.base_lr * self.paramwise_cfg["decay"] ** depth})
'''

CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=["shop.training"])
optimizer = dict(
    _delete_=True, type="SignSGD", lr=0.1, momentum=0.9, constructor="DepthConstructor", paramwise_cfg=dict(decay=0.9))
lr_config = dict(_delete_=True, policy="triangle", period=8, by_epoch=False, warmup="linear", warmup_iters=4)
momentum_config = dict(policy="Half")
runner = dict(max_epochs=2)
log_config = dict(interval=1)
checkpoint_config = dict(interval=5, by_epoch=False, max_keep_ckpts=-1)
evaluation = None
"""


@pytest.fixture
def project(write: Callable[[str, str], Path], configs: Path) -> Path:
    """A project outside the repository with custom components and a config that uses them."""
    write("shop/__init__.py", "")
    write("shop/training.py", PARTS)
    return write("shop.py".replace("shop", "own"), CONFIG.format(base=str(configs / "digits" / "lenet5.py")))


def logged(folder: Path) -> list[dict[str, Any]]:
    lines = [
        json.loads(line) for log in sorted(folder.glob("*.log.json")) for line in log.read_text().splitlines()
    ]
    return [line for line in lines if line.get("mode") == "train"]


def expected_lr(at: int) -> float:
    value = 0.1 * (4.0 - 3.0 * abs((at % 8) / 8 - 0.5) * 2)
    return value * (1 - (1 - at / 4) * 0.9) if at < 4 else value


def test_custom_components_train(project: Path, run: Callable[..., Any]) -> None:
    """A custom policy, optimizer and optimizer constructor from ``custom_imports`` work in a real run."""
    done = run("train", project)
    assert done.code == 0, done.err
    lines = logged(Path("work_dirs/own"))
    assert [line["lr"] for line in lines] == pytest.approx([expected_lr(at) for at in range(34)], abs=1e-5)
    groups = read_checkpoint("work_dirs/own/latest.pth")["optimizer"]["param_groups"]
    assert [group["initial_lr"] for group in groups] == pytest.approx([0.1 * 0.9**i for i in range(10)])
    assert {group["momentum"] for group in groups} == {0.9 * 0.75}


def test_custom_components_resume(project: Path, run: Callable[..., Any]) -> None:
    """A run that was resumed in the middle of an epoch is bitwise identical to one that was not stopped."""
    assert run("train", project).code == 0
    whole = read_checkpoint("work_dirs/own/latest.pth")
    resumed = run("train", project, "--work-dir", "again", "--resume", "work_dirs/own/iter_25.pth")
    assert resumed.code == 0, resumed.err
    again = read_checkpoint("again/latest.pth")
    assert same(whole["state_dict"], again["state_dict"])
    assert same(whole["optimizer"]["param_groups"], again["optimizer"]["param_groups"])


def test_custom_components_are_checked(project: Path, run: Callable[..., Any]) -> None:
    """Their names and arguments are checked before the run, as those of built-in components."""
    done = run(
        "train",
        project,
        "--cfg-options",
        "lr_config.policy=triangel",
        "optimizer.constructor=DepthConstructer",
    )
    assert done.code == 2
    assert "Did you mean 'Triangle'" in done.err
    assert "Did you mean 'DepthConstructor'" in done.err
    done = run("train", project, "--cfg-options", "+lr_config.perod=8")
    assert "Did you mean 'period'" in done.err
    assert not Path("work_dirs").exists()


def test_custom_policies_are_previewed(project: Path, run: Callable[..., Any]) -> None:
    """``schedule`` shows custom policies."""
    done = run("schedule", project)
    assert done.code == 0, done.err
    assert "0.01 → 0.4 (iteration 5) → 0.175  backbone.features.0.weight" in done.out
    assert "0.9 → 0.675" in done.out


STEPS = [
    ["+optimizer_config.dtype=bfloat16", "runner.max_epochs=1"],
    ["+fp16={loss_scale: 512}", "runner.max_epochs=1"],
    ["optimizer={_delete_: true, type: LBFGS, lr: 0.5, max_iter: 4}", "runner.max_epochs=1"],
    ["optimizer={_delete_: true, backbone.features: {type: Adam, lr: 0.003}, backbone.classifier: {type: SGD, lr: 0.05}}"],
    ["optimizer={_delete_: true, type: AdamW, lr: 0.003, fused: true}"],
    ["+model.init_cfg={type: Xavier, layer: Conv2d}"],
    ["lr_config={_delete_: true, policy: Torch, by_epoch: false, scheduler: {type: OneCycleLR, max_lr: 0.1, total_steps: 34}}"],
    ["lr_config={_delete_: true, policy: ReduceOnPlateau, patience: 0}"],
]  # fmt: skip


@pytest.mark.parametrize("options", STEPS, ids=lambda options: options[0].split("=")[0] + options[0][-30:])
def test_every_kind_of_step_learns(options: list[str], configs: Path, run: Callable[..., Any]) -> None:
    """Two epochs are better than chance, which is 0.1, with each kind of optimizer step."""
    done = run("train", configs / "digits" / "lenet5.py", "--cfg-options", "runner.max_epochs=2", *options)
    assert done.code == 0, done.err
    assert float(done.out.split("accuracy ")[1].split()[0]) > 0.25
    weights = read_checkpoint("work_dirs/lenet5/latest.pth")["state_dict"]
    assert all(value.dtype == torch.float32 for value in weights.values())


IMPLEMENTATIONS = [
    "{_delete_: true, type: SGD, lr: 0.05, momentum: 0.9, fused: true}",
    "{_delete_: true, type: SGD, lr: 0.05, momentum: 0.9, foreach: true}",
    "{_delete_: true, type: AdamW, lr: 0.003, fused: true, amsgrad: true}",
]


@pytest.mark.parametrize("optimizer", IMPLEMENTATIONS)
def test_fused_and_foreach_steps_resume(optimizer: str, configs: Path, run: Callable[..., Any]) -> None:
    """With custom initial weights, clipping and warm-up, a resumed run is bitwise identical."""
    words = [
        configs / "digits" / "lenet5.py", "--cfg-options", f"optimizer={optimizer}", "runner.max_epochs=1",
        "optimizer_config.grad_clip={max_norm: 5}", "checkpoint_config={interval: 5, by_epoch: false}",
        "+model.init_cfg=[{type: Kaiming, layer: Conv2d}, {type: TruncNormal, layer: Linear, std: 0.02}]",
    ]  # fmt: skip
    whole = run("train", *words)
    assert whole.code == 0, whole.err
    log = next(Path("work_dirs/lenet5").glob("*.log")).read_text()
    assert "backbone.features.0.weight - (6, 1, 5, 5): KaimingInit" in log
    resumed = run("train", *words, "--work-dir", "again", "--resume", "work_dirs/lenet5/iter_10.pth")
    assert resumed.code == 0, resumed.err
    one, other = (read_checkpoint(f"{folder}/latest.pth") for folder in ("work_dirs/lenet5", "again"))
    assert same(one["state_dict"], other["state_dict"])
    assert same(one["optimizer"], other["optimizer"])
    setting = "fused" if "fused" in optimizer else "foreach"
    assert one["optimizer"]["param_groups"][0][setting] is True


FLOW = """
from cfgtrain.runner import RUNNERS, EpochBasedRunner


@RUNNERS.register_module()
class Counting(EpochBasedRunner):
    def count(self, data_loader):
        self.logger.info("%d batches after epoch %d", len(data_loader), self.epoch)
"""

CONFIG_OF_FLOW = """
_base_ = "own.py"
data = dict(count={{_base_.data.val}}, count_dataloader=dict(samples_per_gpu=100))
"""


def test_flow_of_a_custom_runner(project: Path, run: Callable[..., Any], write: Any) -> None:
    """A flow of a custom runner uses the dataset in ``data`` that has its name."""
    write("shop/flow.py", FLOW)
    words = ["custom_imports.imports=['shop.training','shop.flow']", "runner.type=Counting"]
    words.append("workflow=[('train', 1), ('count', 1)]")
    done = run("train", project, "--cfg-options", *words)
    assert done.code == 2
    assert "The workflow runs 'count', but data has no dataset of that name" in done.err
    write("flow.py", CONFIG_OF_FLOW)
    done = run("train", "flow.py", "--cfg-options", *words)
    assert done.code == 0, done.err
    assert "4 batches after epoch 2" in done.err
