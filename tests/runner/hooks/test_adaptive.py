from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Recorder, Scalar, make_runner, numbers

from cfgtrain.errors import HookError
from cfgtrain.runner import EvalHook, Hook, OptimizerHook, ReduceOnPlateauLrUpdaterHook, TorchLrUpdaterHook


def adam() -> tuple[Any, Any]:
    model = Scalar()
    return model, torch.optim.Adam(model.parameters(), lr=0.5, betas=(0.9, 0.99))


def rates(
    kind: str,
    length: int,
    hooks: list[Hook],
    resume: str | None = None,
    save: Path | None = None,
    every: int = 4,
) -> Any:
    """Return (learning rate, first beta) of each iteration, in epochs of three; save every ``every`` iterations."""
    model, optimizer = adam()
    runner = make_runner(kind, length, model, optimizer=optimizer, meta={}, work_dir=save)
    runner.register_hook(OptimizerHook(), "ABOVE_NORMAL")
    for hook in hooks:
        runner.register_hook(hook, "VERY_HIGH")
    group = lambda: optimizer.param_groups[0]  # noqa: E731
    recorder = Recorder(
        lambda stage, r: (group()["lr"], group()["betas"][0]) if stage == "before_train_iter" else None
    )
    runner.register_hook(recorder, "LOWEST")
    if save is not None:
        runner.register_checkpoint_hook({"interval": every, "by_epoch": False})
    if resume is not None:
        runner.resume(resume)
    runner.run([numbers(3)], [("train", 1)])
    return recorder.seen


def of_torch(cfg: dict[str, Any], count: int, every: int) -> list[tuple[float, float]]:
    """Return what the scheduler does in a plain loop."""
    _, optimizer = adam()
    hook = TorchLrUpdaterHook(cfg)
    hook.before_run(make_runner("epoch", 1, optimizer=optimizer))
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(count):
            seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][0]))
            if (i + 1) % every == 0:
                hook._schedulers[""].step()
    return seen


SCHEDULERS: list[dict[str, Any]] = [
    {"type": "StepLR", "step_size": 2, "gamma": 0.5},
    {"type": "MultiStepLR", "milestones": [1, 3], "gamma": 0.5},
    {"type": "ConstantLR", "factor": 0.5, "total_iters": 2},
    {"type": "LinearLR", "start_factor": 0.1, "total_iters": 3},
    {"type": "ExponentialLR", "gamma": 0.9},
    {"type": "PolynomialLR", "total_iters": 5, "power": 2},
    {"type": "CosineAnnealingLR", "T_max": 6},
    {"type": "CosineAnnealingWarmRestarts", "T_0": 2},
    {"type": "CyclicLR", "base_lr": 0.1, "max_lr": 1.0, "step_size_up": 2},
    {"type": "OneCycleLR", "max_lr": 1.0, "total_steps": 10},
    {"type": "SequentialLR", "milestones": [2], "schedulers": [
        {"type": "LinearLR", "start_factor": 0.1, "total_iters": 2}, {"type": "ExponentialLR", "gamma": 0.9}]},
    {"type": "ChainedScheduler", "schedulers": [
        {"type": "ConstantLR", "factor": 0.5, "total_iters": 2}, {"type": "ExponentialLR", "gamma": 0.9}]},
    {"type": "torch.optim.lr_scheduler.StepLR", "step_size": 1},
]  # fmt: skip


@pytest.mark.parametrize("cfg", SCHEDULERS, ids=lambda cfg: cfg["type"])
def test_schedulers_of_torch_step_and_resume(cfg: dict[str, Any], tmp_path: Path) -> None:
    """Each scheduler steps as in a plain loop, and continues exactly in a resumed run."""
    by_iter = rates("iter", 8, [TorchLrUpdaterHook(cfg, by_epoch=False)], save=tmp_path)
    assert by_iter == of_torch(cfg, 8, 1)
    resumed = rates("iter", 8, [TorchLrUpdaterHook(cfg, by_epoch=False)], resume=str(tmp_path / "iter_4.pth"))
    assert resumed == by_iter[4:]


@pytest.mark.parametrize("cfg", SCHEDULERS[:1] + SCHEDULERS[7:11], ids=lambda cfg: cfg["type"])
def test_schedulers_by_epoch_resume_within_an_epoch(cfg: dict[str, Any], tmp_path: Path) -> None:
    """By epoch they step between epochs; a run that resumes within an epoch uses its learning rates."""
    by_epoch = rates("epoch", 4, [TorchLrUpdaterHook(cfg)], save=tmp_path)
    assert by_epoch == of_torch(cfg, 12, 3)
    assert rates("epoch", 4, [TorchLrUpdaterHook(cfg)], resume=str(tmp_path / "iter_4.pth")) == by_epoch[4:]


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"type": "StepLr", "step_size": 2}, "Did you mean 'StepLR'"),
        ({"type": "StepLR", "step_sise": 2}, "Did you mean 'step_size'"),
        ({"type": "StepLR"}, "needs the argument 'step_size'"),
        ({"type": "LRScheduler"}, "is not in the torch scheduler registry"),
        ({"type": "ReduceLROnPlateau"}, "policy='ReduceOnPlateau'"),
        ({"type": "ChainedScheduler", "schedulers": [{"type": "Step"}]}, "Did you mean 'StepLR'"),
        ("StepLR", "scheduler must be a dict with the type"),
    ],
)
def test_wrong_schedulers(cfg: Any, text: str) -> None:
    """A misspelt name or argument of a scheduler is refused when the hook is built."""
    with pytest.raises(ValueError, match=text):
        TorchLrUpdaterHook(cfg)


def test_scheduler_by_epoch_in_a_run_of_iterations() -> None:
    """It would never step, which is an error."""
    with pytest.raises(HookError, match="counts iterations"):
        rates("iter", 2, [TorchLrUpdaterHook({"type": "ExponentialLR", "gamma": 0.5})])


class Scored:
    """A loader whose dataset returns the next score in each evaluation."""

    def __init__(self, values: list[float]) -> None:
        self.dataset, self.left = self, iter(values)

    def __len__(self) -> int:
        return 1

    def evaluate(self, results: Any, logger: Any) -> dict[str, float]:
        value = next(self.left)
        return {"other": 0.0, "acc": value, "loss": -value}


def evaluation(values: list[float]) -> EvalHook:
    return EvalHook(Scored(values), save_best="acc", test_fn=lambda *_: [])


VALUES = [1, 2, 2, 1.9, 2.0001, 3, 2, 2, 2, 2, 2, 2, float("nan"), 2]
PLATEAUS: list[dict[str, Any]] = [
    {"patience": 1},
    {"patience": 0, "cooldown": 2},
    {"patience": 1, "threshold": 0.5, "threshold_mode": "abs"},
    {"patience": 0, "factor": 0.5, "min_lr": 0.1},
]


@pytest.mark.parametrize("monitor", [None, "loss"])
@pytest.mark.parametrize("cfg", PLATEAUS, ids=str)
def test_plateaus_are_as_in_torch(cfg: dict[str, Any], monitor: str | None, tmp_path: Path) -> None:
    """The learning rate is reduced exactly when PyTorch's ReduceLROnPlateau does, also in a resumed run."""
    _, optimizer = adam()
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", **{"factor": 0.1, **cfg})
    expected = []
    for value in VALUES:
        expected.append(optimizer.param_groups[0]["lr"])
        theirs.step(value)

    def hooks(done: int = 0) -> list[Hook]:
        return [ReduceOnPlateauLrUpdaterHook(monitor, **cfg), evaluation(VALUES[max(done - 1, 0) // 3 :])]

    seen = [rate for rate, _ in rates("epoch", len(VALUES), hooks(), save=tmp_path, every=8)]
    assert seen[::3] == pytest.approx(expected)
    for done in (16, 24):
        rest = rates("epoch", len(VALUES), hooks(done), resume=str(tmp_path / f"iter_{done}.pth"))
        assert [rate for rate, _ in rest] == seen[done:]


def test_plateau_needs_scores() -> None:
    """Without an evaluation, or without its score, the error says what is missing."""
    with pytest.raises(HookError, match="there is no evaluation"):
        rates("epoch", 2, [ReduceOnPlateauLrUpdaterHook()])
    with pytest.raises(
        HookError, match=r"uses the score 'ac', and the scores are other, acc, loss\. Did you mean 'acc'"
    ):
        rates("epoch", 2, [ReduceOnPlateauLrUpdaterHook("ac"), evaluation([1, 2])])


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"rule": "more"}, "rule must be"),
        ({"factor": 1}, "factor must be"),
        ({"threshold_mode": "x"}, "threshold_mode"),
    ],
)
def test_wrong_plateaus(args: dict[str, Any], text: str) -> None:
    """Invalid settings are refused."""
    with pytest.raises(ValueError, match=text):
        ReduceOnPlateauLrUpdaterHook(**args)
