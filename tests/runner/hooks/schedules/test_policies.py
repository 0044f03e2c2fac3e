from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
import torch
from tiny import Recorder, Scalar, make_runner, numbers

from cfgtrain.errors import HookError
from cfgtrain.runner import (
    CosineAnnealingLrUpdaterHook,
    CyclicLrUpdaterHook,
    LrUpdaterHook,
    OneCycleLrUpdaterHook,
    OneCycleMomentumUpdaterHook,
    StepLrUpdaterHook,
)
from cfgtrain.runner.hooks.schedules.base import ScheduleHook


def two_optimizers() -> dict[str, Any]:
    parameters = list(Scalar().parameters())
    return {
        "one": torch.optim.SGD(parameters, lr=0.02, momentum=0.95),
        "two": torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
    }


def values(kind: str, length: int, cfg: dict[str, Any], several: bool, runner_kind: str = "iter") -> Any:
    """Return the value of the first group (of each optimizer) at each iteration, 1-based as in MMCV's logs."""
    optimizers = two_optimizers()
    runner = make_runner(runner_kind, length, optimizer=optimizers if several else optimizers["one"])
    getattr(runner, f"register_{kind}_hook")(cfg)
    read = runner.current_lr if kind == "lr" else runner.current_momentum
    recorder = Recorder(lambda stage, r: read() if stage == "before_train_iter" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(10)], [("train", 1)])
    first = [{k: v[0] for k, v in seen.items()} if several else {"one": seen[0]} for seen in recorder.seen]
    return dict(enumerate(first, 1))


# What MMCV's own tests expect of a learning rate of 0.02 and a momentum of 0.95.
EXPECTED: list[tuple[str, int, dict[str, Any], dict[int, float]]] = [
    ("lr", 10, {"policy": "CosineAnnealing", "min_lr_ratio": 0},
     {1: 0.02, 6: 0.01, 10: 0.0004894348370484647}),
    ("lr", 10, {"policy": "LinearAnnealing", "min_lr_ratio": 0}, {1: 0.02, 6: 0.01, 10: 0.0019999999999999983}),
    ("lr", 10, {"policy": "FlatCosineAnnealing", "min_lr_ratio": 0, "start_percent": 0.5, "warmup": "linear",
                "warmup_iters": 2, "warmup_ratio": 0.9},
     {1: 0.018000000000000002, 6: 0.02, 7: 0.018090169943749474, 10: 0.0019098300562505265}),
    ("lr", 10, {"policy": "OneCycle", "max_lr": 0.01, "pct_start": 0.5},
     {1: 0.0003999999999999993, 6: 0.00904508879153485, 10: 4e-08}),
    ("lr", 10, {"policy": "CosineRestart", "periods": [5, 5], "restart_weights": [0.5, 0.5], "min_lr_ratio": 0},
     {1: 0.01, 6: 0.01, 10: 0.0009549150281252633}),
    ("lr", 30, {"policy": "Step", "step": 5, "gamma": 0.5, "min_lr": 1e-3},
     {1: 0.02, 6: 0.01, 16: 0.0025, 21: 0.00125, 26: 0.001, 30: 0.001}),
    ("lr", 10, {"policy": "Step", "step": [4, 6, 8], "gamma": 0.1},
     {1: 0.02, 5: 0.002, 7: 2.0000000000000004e-4, 9: 2.0000000000000005e-05}),
    ("lr", 8, {"policy": "cyclic", "target_ratio": (10.0, 1.0), "step_ratio_up": 0.5,
               "anneal_strategy": "linear"}, {1: 0.02, 4: 0.155, 6: 0.155}),
    ("lr", 8, {"policy": "cyclic", "target_ratio": (10.0, 1.0), "step_ratio_up": 0.5, "cyclic_times": 2,
               "anneal_strategy": "linear", "gamma": 0.5}, {1: 0.02, 4: 0.11, 6: 0.065, 7: 0.11}),
    ("momentum", 10, {"policy": "CosineAnnealing", "min_momentum_ratio": 0.99 / 0.95},
     {1: 0.95, 6: 0.97, 10: 0.9890211303259032}),
    ("momentum", 10, {"policy": "OneCycle", "pct_start": 0.5}, {1: 0.95, 6: 0.8595491502812526}),
    ("momentum", 30, {"policy": "Step", "step": 5, "gamma": 0.5, "min_momentum": 0.05},
     {1: 0.95, 6: 0.475, 16: 0.11875, 21: 0.059375, 26: 0.05}),
    ("momentum", 10, {"policy": "fixed_after", "warmup": "linear", "warmup_iters": 5, "warmup_ratio": 0.5},
     {1: 1.9, 3: 1.3571428571428572, 10: 0.95}),
    ("momentum", 10, {"policy": "fixed_after", "warmup": "exp", "warmup_iters": 5, "warmup_ratio": 0.5},
     {1: 1.9, 3: 1.4399307381848783, 10: 0.95}),
]  # fmt: skip


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("kind", "length", "cfg", "expected"), EXPECTED)
def test_values_of_mmcv(
    kind: str, length: int, cfg: dict[str, Any], expected: dict[int, float], several: bool
) -> None:
    """The numbers of MMCV's tests, for one optimizer and for the first of several."""
    if cfg["policy"] == "fixed_after":
        cfg = {**cfg, "policy": "step", "step": [10_000]}
    seen = values(kind, length, cfg, several)
    assert {number: seen[number]["one"] for number in expected} == pytest.approx(expected, rel=1e-12)


def test_several_optimizers_have_separate_values() -> None:
    """Each optimizer follows the curve from its own initial value."""
    seen = values("lr", 10, {"policy": "CosineAnnealing", "min_lr_ratio": 0}, several=True)
    assert (seen[1], seen[6]) == ({"one": 0.02, "two": 0.01}, {"one": 0.01, "two": 0.005})


def test_one_cycle_has_a_maximum_for_each_optimizer() -> None:
    """``max_lr`` and the momenta may be given by optimizer name."""
    cfg = {"policy": "OneCycle", "max_lr": {"one": 0.1, "two": [0.2]}, "pct_start": 0.5}
    assert max(v["two"] / v["one"] for v in values("lr", 10, cfg, several=True).values()) == pytest.approx(2)
    cfg = {
        "policy": "OneCycle",
        "base_momentum": {"one": 0.8, "two": 0.5},
        "pct_start": 0.5,
        "max_momentum": 0.9,
    }
    assert values("momentum", 10, cfg, several=True)[5] == pytest.approx({"one": 0.8, "two": 0.5})


WRONG = [
    (OneCycleLrUpdaterHook(max_lr={"one": 1}), "no value for the optimizer 'two'"),
    (OneCycleLrUpdaterHook(max_lr=[1, 2]), "2 values, but the optimizer one has 1 parameter groups"),
    (OneCycleLrUpdaterHook(max_lr=1, total_steps=3), "total_steps=3 is less than the 4 iterations"),
    (CyclicLrUpdaterHook(cyclic_times=5), "5 cycles do not fit into 4"),
    (StepLrUpdaterHook(2), r"counts epochs \(by_epoch=True\)"),
    (StepLrUpdaterHook(2, by_epoch=False, warmup="exp", warmup_iters=1, warmup_by_epoch=True),
     r"counts epochs \(warmup_by_epoch=True\)"),
    (LrUpdaterHook(by_epoch=False), "has no curve and does not override get_lr"),
]  # fmt: skip


@pytest.mark.parametrize(("hook", "text"), WRONG)
def test_mismatches_are_refused_before_the_run(hook: Any, text: str) -> None:
    """A schedule that does not match the run or its optimizers is an error before the first iteration."""
    runner = make_runner("iter", 4, optimizer=two_optimizers())
    runner.register_hook(hook)
    with pytest.raises(ValueError, match=text):
        runner.run([numbers(2)], [("train", 1)])
    assert runner.iter == 0


@pytest.mark.parametrize("optimizer", ["Adagrad", "Adadelta"])
def test_momentum_of_an_optimizer_without_one(optimizer: str) -> None:
    """If the optimizer has no momentum, the error lists its settings."""
    model = Scalar()
    runner = make_runner("iter", 4, model, optimizer=getattr(torch.optim, optimizer)(model.parameters()))
    runner.register_hook(OneCycleMomentumUpdaterHook())
    with pytest.raises(HookError, match=r"neither 'momentum' nor 'betas'; its settings are lr, "):
        runner.run([numbers(2)], [("train", 1)])


@pytest.mark.parametrize(
    ("hook", "args", "text"),
    [
        (OneCycleLrUpdaterHook, {"max_lr": "1"}, "max_lr must be a number"),
        (OneCycleLrUpdaterHook, {"max_lr": 1, "by_epoch": True}, "counts iterations"),
        (CyclicLrUpdaterHook, {"by_epoch": True}, "counts iterations"),
        (CyclicLrUpdaterHook, {"gamma": 0}, "gamma must be above 0"),
        (OneCycleMomentumUpdaterHook, {"base_momentum": None}, "base_momentum must be a number"),
    ],
)
def test_invalid_settings(hook: Any, args: dict[str, Any], text: str) -> None:
    """Invalid settings are refused when the hook is built."""
    with pytest.raises(ValueError, match=text):
        hook(**args)


def test_schedule_by_epoch_costs_nothing_in_iterations() -> None:
    """By epoch and without warm-up no Python function of a schedule is called in an iteration."""
    runner = make_runner("epoch", 1)
    runner.register_lr_hook({"policy": "step", "step": 2})
    runner.register_momentum_hook({"policy": "step", "step": 2})
    called: list[str] = []

    def watch(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and "cfgtrain/runner/hooks/schedules" in frame.f_code.co_filename:
            called.append(frame.f_code.co_name)

    recorder = Recorder(
        lambda stage, r: (
            sys.setprofile(watch if stage == "before_train_iter" else None)
            if stage in ("before_train_iter", "after_train_epoch")
            else None
        )
    )
    runner.register_hook(recorder, "HIGHEST")
    runner.run([numbers(3)], [("train", 1)])
    assert called == []
    assert "before_train_iter" not in runner.hooks[1].get_triggered_stages()


def test_subclass_that_overrides_a_stage_is_called_there() -> None:
    """A schedule by epoch is called in iterations if its subclass overrides ``before_train_iter``."""
    seen: list[int] = []

    class Watching(StepLrUpdaterHook):
        def before_train_iter(self, runner: Any) -> None:
            super().before_train_iter(runner)
            seen.append(runner.iter)

    runner = make_runner("epoch", 1)
    runner.register_hook(Watching(1))
    runner.run([numbers(3)], [("train", 1)])
    assert seen == [0, 1, 2]


def test_schedule_has_the_names_of_mmcv() -> None:
    """A policy written for MMCV finds its attributes and can override ``get_warmup_lr``."""

    class Quadratic(CosineAnnealingLrUpdaterHook):
        def get_warmup_lr(self, cur_iters: int) -> Any:
            share = self.warmup_ratio * ((cur_iters + 1) / self.warmup_iters) ** 2
            if isinstance(self.base_lr, dict):
                return {name: [lr * share for lr in each] for name, each in self.base_lr.items()}
            return [lr * share for lr in self.base_lr]

        def get_lr(self, runner: Any, base_lr: float) -> float:
            return base_lr * self.min_lr_ratio

    for several in (False, True):
        optimizers = two_optimizers()
        runner = make_runner("epoch", 1, optimizer=optimizers if several else optimizers["one"])
        hook = Quadratic(min_lr_ratio=0.05, warmup="exp", warmup_iters=2, warmup_ratio=1)
        runner.register_hook(hook)
        group = optimizers["one"].param_groups[0]
        recorder = Recorder(lambda stage, r, g=group: g["lr"] if stage == "before_train_iter" else None)
        runner.register_hook(recorder, "LOWEST")
        runner.run([numbers(4)], [("train", 1)])
        assert recorder.seen == pytest.approx([0.02 / 4, 0.02, 0.001, 0.001])
        assert hook.regular_lr == ({"one": [0.001], "two": [0.0005]} if several else [0.001])


def test_curve_may_be_any_function() -> None:
    """A custom policy can set a plain function as its curve."""

    class Halving(LrUpdaterHook):
        curve = staticmethod(lambda base, at, total: base / 2**at)

    runner = make_runner("epoch", 3)
    runner.register_hook(Halving())
    runner.run([numbers(1)], [("train", 1)])
    assert runner.current_lr() == [0.025]


def test_learning_rate_in_a_tensor_is_changed_in_place() -> None:
    """A learning rate that is a tensor, as for compiled optimizers, is changed in place."""
    model = Scalar()
    rate = torch.tensor(0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    runner = make_runner("iter", 2, model, optimizer=optimizer)
    runner.register_lr_hook({"policy": "step", "step": 1, "gamma": 0.5})
    runner.run([numbers(2)], [("train", 1)])
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


def test_group_that_is_added_later_starts_with_its_own_value() -> None:
    """Parameters that are added during a run follow the curve from their own initial value."""
    runner = make_runner("iter", 3)

    def join(stage: str, r: Any) -> None:
        if stage == "after_train_iter" and r.iter == 0:
            r.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 8.0})

    runner.register_lr_hook({"policy": "step", "step": 1, "gamma": 0.5})
    runner.register_hook(Recorder(join))
    runner.run([numbers(2)], [("train", 1)])
    assert runner.current_lr() == [0.025, 2.0]


def test_warmup_longer_than_the_run_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A warm-up longer than the run is a warning before it."""
    runner = make_runner("epoch", 2)
    runner.register_lr_hook({"policy": "fixed", "warmup": "linear", "warmup_iters": 500})
    with caplog.at_level(logging.WARNING):
        runner.run([numbers(2)], [("train", 1)])
    assert "takes 500 iterations, but the run has only 4" in caplog.text


def test_warmup_in_epochs() -> None:
    """With ``warmup_by_epoch`` the warm-up ends with an epoch of any length."""
    runner = make_runner("epoch", 2)
    runner.register_lr_hook(
        {
            "policy": "fixed",
            "warmup": "constant",
            "warmup_iters": 1,
            "warmup_ratio": 0.5,
            "warmup_by_epoch": True,
        }
    )
    recorder = Recorder(lambda stage, r: r.current_lr()[0] if stage == "before_train_iter" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(3)], [("train", 1)])
    assert recorder.seen == [0.05] * 3 + [0.1] * 3


def test_warmup_values_need_a_warmup() -> None:
    """Values of a warm-up that is not set are an error."""
    with pytest.raises(ValueError, match="no warm-up"):
        ScheduleHook().warm_values(0)


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize(
    ("cfg", "beyond"),
    [
        ({"policy": "step", "step": [1, 8, 12]}, "the steps 8 and 12"),
        ({"policy": "step", "step": [1, 2]}, "the step 2"),  # the run ends before it
        ({"policy": "step", "step": 3}, "the step 3"),
        ({"policy": "step", "step": [1]}, ""),
        ({"policy": "step", "step": 1}, ""),
        (
            {"policy": "CosineRestart", "min_lr": 0, "periods": [1, 3, 4], "restart_weights": [1, 1, 1]},
            "the restart 4",
        ),
    ],
)
def test_parts_of_a_curve_beyond_the_end(
    cfg: dict[str, Any], beyond: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a shorter run never reaches is a warning, so that it still runs."""
    runner = make_runner(kind, 2)
    runner.register_lr_hook(cfg)
    runner.run([numbers(2)], [("train", 1)])
    texts = [record.message for record in caplog.records if "does not reach" in record.message]
    assert len(texts) == bool(beyond)
    assert all(f" does not reach {beyond}: the run ends after 2 {kind}" in text for text in texts)


def test_momentum_step_beyond_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """The same holds for momenta, and for a schedule by iteration in a run that counts epochs."""
    optimizer = torch.optim.SGD(Scalar().parameters(), lr=0.1, momentum=0.9)
    runner = make_runner("epoch", 2, optimizer=optimizer)
    runner.register_momentum_hook({"policy": "step", "step": [3, 4], "by_epoch": False})
    runner.run([numbers(2)], [("train", 1)])
    assert "step: the policy Step does not reach the step 4: the run ends after 4 iterations." in caplog.text


def test_length_of_a_warmup_without_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    """``warmup_iters`` alone has no effect, and ``warmup=None`` says that this is meant."""
    for cfg, warned in (({"warmup_iters": 2}, True), ({"warmup_iters": 2, "warmup": None}, False)):
        caplog.clear()
        runner = make_runner("iter", 2)
        runner.register_lr_hook({"policy": "fixed", **cfg})
        runner.run([numbers(2)], [("train", 1)])
        assert ("warmup_iters has no effect without warmup=" in caplog.text) is warned
