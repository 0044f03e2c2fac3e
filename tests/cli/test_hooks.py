from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

PARTS = """
from cfgtrain.optim import OPTIMIZER_BUILDERS, DefaultOptimizerConstructor
from cfgtrain.registries import HOOKS, RUNNER_BUILDERS, RUNNERS
from cfgtrain.runner import DefaultRunnerConstructor, EpochBasedRunner, Hook, LrUpdaterHook


@HOOKS.register_module()
class Counting(Hook):
    def __init__(self, word):
        self.word, self.count = word, 0

    def after_train_iter(self, runner):
        self.count += 1

    def after_run(self, runner):
        runner.logger.info("%s counted %d iterations of %s", self.word, self.count, runner.made_by)


@HOOKS.register_module()
class HalvingLrUpdaterHook(LrUpdaterHook):
    def get_lr(self, runner, base_lr):
        return base_lr / 2**runner.epoch


@RUNNERS.register_module()
class Announcing(EpochBasedRunner):
    def train(self, data_loader, **kwargs):
        self.logger.info("epoch %d begins", self.epoch + 1)
        super().train(data_loader, **kwargs)


@RUNNER_BUILDERS.register_module()
class Signed(DefaultRunnerConstructor):
    def __call__(self):
        runner = super().__call__()
        runner.made_by = "Signed"
        return runner


@OPTIMIZER_BUILDERS.register_module()
class Slower(DefaultOptimizerConstructor):
    def __call__(self, model):
        optimizer = super().__call__(model)
        for group in optimizer.param_groups:
            group["lr"] /= 10
        return optimizer
"""

PROJECT = """
_base_ = "{base}"
custom_imports = dict(imports=["shop.parts"])
custom_hooks = [dict(type="Counting", word="shop", priority="VERY_LOW")]
lr_config = dict(_delete_=True, policy="halving")
runner = dict(type="Announcing", max_epochs=2, constructor="Signed")
optimizer = dict(constructor="Slower")
"""


def table(text: str) -> list[str]:
    """Return the lines of the hook table in a text, without the lines before and after it."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line == "before_run:")
    end = max(i for i, line in enumerate(lines) if line == " " + "-" * 20 + " ")
    return lines[begin : end + 1]


@pytest.mark.parametrize("name", ["lenet5.py", "lenet5_iter.py"])
def test_table_is_the_one_that_a_run_logs(name: str, run: Callable[..., Any], configs: Path) -> None:
    """The command prints the table that a run logs, and writes no files."""
    config = configs / "digits" / name
    shown = run("hooks", config)
    assert shown.code == 0
    assert not list(Path().iterdir())
    length = "runner.max_epochs=1" if name == "lenet5.py" else "runner.max_iters=2"
    run("train", config, "--work-dir", "run", "--cfg-options", length)
    (log,) = Path("run").glob("*.log")
    assert table(shown.out) == table(log.read_text())


def test_warning_about_a_hook_that_is_never_called(
    run: Callable[..., Any], write: Callable[[str, str], Path], configs: Path
) -> None:
    """The command prints the same warning as a run."""
    hook = "@HOOKS.register_module()\nclass Late(Hook):\n    def after_train_epoch(self, runner):\n        pass\n"
    write("late.py", "from cfgtrain.runner import HOOKS, Hook\n\n" + hook)
    base = configs / "digits" / "lenet5_iter.py"
    late = "custom_imports = dict(imports=['late'])\ncustom_hooks = [dict(type='Late')]\n"
    ran = run("hooks", write("mine.py", f"_base_ = '{base}'\n{late}"))
    assert ran.code == 0
    assert "Late never does anything in this run" in ran.err


def test_invalid_config(run: Callable[..., Any], write: Callable[[str, str], Path], configs: Path) -> None:
    """A config that ``train`` rejects is rejected here too."""
    base = configs / "digits" / "lenet5.py"
    ran = run("hooks", write("mine.py", f"_base_ = '{base}'\ncustom_hooks = [dict(type='EMAHok')]\n"))
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean 'EMAHook'" in ran.err


def test_custom_hooks_runners_and_constructors(
    run: Callable[..., Any], write: Callable[[str, str], Path], configs: Path
) -> None:
    """A hook, a policy, a runner and constructors from ``custom_imports`` train the digits."""
    write("shop/__init__.py", "")
    write("shop/parts.py", PARTS)
    config = write("mine.py", PROJECT.format(base=configs / "digits" / "lenet5.py"))
    shown = run("hooks", config)
    assert "(VERY_LOW    ) Counting" in shown.out
    assert "(VERY_HIGH   ) HalvingLrUpdaterHook" in shown.out
    ran = run("train", config, "--work-dir", "run")
    assert ran.code == 0, ran.err
    log = next(Path("run").glob("*.log")).read_text()
    assert "epoch 2 begins" in log
    assert "shop counted 34 iterations of Signed" in log
    lines = [json.loads(line) for line in next(Path("run").glob("*.log.json")).read_text().splitlines()[1:]]
    assert [line["lr"] for line in lines if line["mode"] == "train"][::2] == [0.01, 0.005]


HOOKS = """
_base_ = "{base}"
custom_imports = dict(imports=["shop"])
runner = dict(max_epochs=3)
evaluation = dict(save_best="accuracy")
custom_hooks = [
    dict(type="EMAHook", momentum=0.01),
    dict(type="EarlyStoppingHook", monitor="accuracy", stopping_threshold=0.2),
    dict(type="NaNGuardHook"),
    dict(type="SyncBuffersHook"),
    dict(type="DistSamplerSeedHook"),
    dict(type="EmptyCacheHook"),
    dict(type="ClosureHook", fn_name="after_train_epoch", fn="shop.report"),
]
profiler_config = dict(
    by_epoch=False, profile_iters=2, activities=["cpu"], json_trace_path="trace.json", on_trace_ready=dict(type="log_trace", row_limit=5)
)
"""


def test_every_hook_in_one_run(
    run: Callable[..., Any], write: Callable[[str, str], Path], configs: Path
) -> None:
    """All hooks work together: EMA weights are saved, the run stops early, and a trace is written."""
    write("shop.py", "def report(runner):\n    runner.logger.info('report of epoch %d', runner.epoch + 1)\n")
    config = write("all.py", HOOKS.format(base=configs / "digits" / "lenet5.py"))
    ran = run("train", config, "--work-dir", "run")
    assert ran.code == 0, ran.err
    log = next(Path("run").glob("*.log")).read_text()
    assert "report of epoch 1" in log
    assert "which reaches stopping_threshold=0.2" in log
    assert "Self CPU" in log
    assert json.loads(Path("run/trace.json").read_text())["traceEvents"]
    state = torch.load("run/latest.pth")["state_dict"]
    assert not torch.equal(state["backbone.features.0.weight"], state["ema_backbone_features_0_weight"])
    assert "Test: accuracy" in ran.out
