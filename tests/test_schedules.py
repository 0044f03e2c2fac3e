from __future__ import annotations

import json
import math
import platform
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Recorder, Scalar, make_runner, numbers
from torch import nn

from cfgtrain.runner import LrUpdaterHook, MomentumUpdaterHook
from cfgtrain.schedules import (
    CosineAnnealing,
    CosineRestart,
    Cyclic,
    Exp,
    Fixed,
    FlatCosineAnnealing,
    Inv,
    LinearAnnealing,
    OneCycle,
    OneCycleDip,
    Poly,
    Step,
    Warmup,
    anneal_cos,
)

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden_schedules.json").read_text())["sequences"]


def _name(record: dict[str, Any]) -> str:
    words = (f"{key}={value}" for key, value in record["cfg"].items() if key != "policy")
    return "-".join([record["kind"], record.get("opt", ""), record["cfg"]["policy"], *words])


def run_schedule(kind: str, cfg: Any, optimizer: Any, runner: Any) -> list[float]:
    """Run 4 epochs of 5 iterations, and return the value in effect in each iteration."""
    read = runner.current_lr if kind == "lr" else runner.current_momentum
    getattr(runner, f"register_{kind}_hook")(cfg)
    recorder = Recorder(lambda stage, r: read()[0] if stage == "before_train_iter" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(5)], [("train", 1)])
    return recorder.seen


RECORDED_ON = ("Linux", "x86_64")


def same_number(one: float, other: float) -> bool:
    """Return whether two numbers are bit-identical, or within two units in the last place on other platforms."""
    if (platform.system(), platform.machine()) == RECORDED_ON:
        return one == other
    return abs(one - other) <= 2 * math.ulp(other)


@pytest.mark.parametrize("record", [r for r in GOLDEN if isinstance(r["values"], list)], ids=_name)
def test_recorded_sequences(record: dict[str, Any]) -> None:
    """Every policy sets the same value as MMCV in each iteration, bit-identical."""
    optimizer, runner = recorded_run(record)
    values = run_schedule(record["kind"], record["cfg"], optimizer, runner)
    assert [v for v in zip(values, record["values"], strict=True) if not same_number(*v)] == []


def test_recorded_error() -> None:
    """Periods that end before the run raise MMCV's ValueError before the run."""
    (record,) = [r for r in GOLDEN if isinstance(r["values"], str)]
    optimizer, runner = recorded_run(record)
    with pytest.raises(ValueError, match=r"the periods \[5\] end at 5, but the run ends at 20"):
        run_schedule(record["kind"], record["cfg"], optimizer, runner)
    assert record["values"].startswith("ValueError")
    assert runner.iter == 0


def recorded_run(record: dict[str, Any]) -> tuple[Any, Any]:
    model, base = Scalar(), record["base"]
    if record["kind"] == "lr":
        optimizer: Any = torch.optim.SGD(model.parameters(), lr=base)
    elif record["opt"] == "SGD":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=base)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, betas=(base, 0.999))
    return optimizer, make_runner("epoch", record["max_epochs"], model, optimizer=optimizer)


def test_recorded_sequences_are_complete() -> None:
    """The file of recorded sequences covers each policy, unit and kind."""
    policies = Counter(r["kind"] for r in {(r["kind"], r["cfg"]["policy"]): r for r in GOLDEN}.values())
    assert policies == {"lr": 11, "momentum": 5}
    assert Counter(type(r["values"]) for r in GOLDEN) == {list: 120, str: 1}
    assert all(len(r["values"]) == 20 for r in GOLDEN if isinstance(r["values"], list))


CURVES: list[tuple[Any, list[float]]] = [
    (Fixed(), [8, 8, 8, 8]),
    (Step(2, 0.5), [8, 8, 4, 4]),
    (Step([1, 3], 0.5), [8, 4, 4, 2]),
    (Step([3, 1], 0.5), [8, 4, 4, 2]),
    (Step(1, 0.5, min_value=3), [8, 4, 3, 3]),
    (CosineAnnealing(min_value=0), [8, 4 + 8**0.5 * 2**-0.5 * 2**0.5, 4, 4 - 8**0.5 * 2**-0.5 * 2**0.5]),
    (CosineAnnealing(min_ratio=0.5), [8, 6 + 2**0.5, 6, 6 - 2**0.5]),
    (LinearAnnealing(min_value=0), [8, 6, 4, 2]),
    (LinearAnnealing(min_ratio=0.5), [8, 7, 6, 5]),
    (FlatCosineAnnealing(min_value=0, start_percent=0.5), [8, 8, 8, 4]),
    (FlatCosineAnnealing(min_value=0, start_percent=1), [8, 8, 8, 8]),
    (Exp(0.5), [8, 4, 2, 1]),
    (Poly(2), [8, 4.5, 2, 0.5]),
    (Poly(min_value=4), [8, 7, 6, 5]),
    (Inv(1), [8, 4, 8 / 3, 2]),
    (CosineRestart(min_value=0, periods=[2, 2], restart_weights=[1, 0.5]), [8, 4, 4, 2]),
    (CosineRestart(min_value=0, periods=[1, 9], restart_weights=[1, 1]), [8, 8, 8 * 0.969846, 8 * 0.883022]),
    (Cyclic((4, 0.5), step_ratio_up=0.5, anneal_strategy="linear"), [8, 20, 32, 18]),
    (Cyclic((4, 0.5), 2, 0.5, "linear"), [8, 32, 8, 32]),
    (Cyclic((4, 0.5), 2, 0.5, "linear", gamma=0.5), [8, 32, 8, 20]),
    (Cyclic((4, 0), 1, 0, "linear"), [32, 24, 16, 8]),
    (Cyclic((4, 0), 2, 0, "linear", gamma=0.5), [32, 16, 20, 10]),
    (OneCycle(2, 0.5, 0.5, "linear"), [8, 16, 10, 4]),
    (OneCycle(2, 0.5, 0.25, "linear"), [16, 12, 8, 4]),
    (OneCycle(2, 0.5, 0, "linear"), [13, 10, 7, 4]),
    (OneCycle(2, 0.5, 0.5, "linear", total_steps=2), [16, 4, 4, 4]),
    (OneCycleDip(pct_start=0.5, anneal_strategy="linear", low=4), [8, 4, 6, 8]),
]


@pytest.mark.parametrize(("curve", "values"), CURVES, ids=str)
def test_curve(curve: Any, values: list[float]) -> None:
    """A curve is a function of base value, position and length."""
    assert [curve(8, at, 4) for at in range(4)] == pytest.approx(values)


def test_cosine_target() -> None:
    """The target is reached one step after the end of a run; weight scales the amplitude."""
    assert CosineAnnealing(min_value=1)(8, 4, 4) == 1
    assert anneal_cos(8, 0, 0, weight=0.5) == 4


PROBLEMS = [
    (CosineRestart(0, None, [5, 3], [1, 1]), 8, None),
    (CosineRestart(0, None, [5, 3], [1, 1]), 9, "the periods [5, 3] end at 8, but the run ends at 9"),
    (Cyclic(cyclic_times=3), 3, None),
    (Cyclic(cyclic_times=3), 2, "3 cycles do not fit into 2"),
    (OneCycle(total_steps=5), 5, None),
    (OneCycle(total_steps=5), 6, "total_steps=5 is less than the 6 iterations of the run"),
    (Step(9), 2, None),
]


@pytest.mark.parametrize(("curve", "total", "problem"), PROBLEMS)
def test_problem(curve: Any, total: int, problem: str | None) -> None:
    """A curve that does not fit the length of a run is described before the run."""
    assert curve.problem(total) == problem


def test_single_target_ratio() -> None:
    """If only the peak is given, a cycle ends at 1e-5 times the peak."""
    assert Cyclic(10).target_ratio == Cyclic([10]).target_ratio == (10, 1e-4)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle_equals_torch(strategy: str, three_phase: bool) -> None:
    """OneCycle has the same values as ``torch.optim.lr_scheduler.OneCycleLR``."""
    optimizer = torch.optim.SGD(Scalar().parameters(), lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 10.0, 12, anneal_strategy=strategy, three_phase=three_phase, cycle_momentum=False
    )
    ours = OneCycle(25, 1e-4, 0.3, strategy, three_phase)
    for at in range(12):
        assert ours(10 / 25, at, 12) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("kind", "factors"),
    [
        ("constant", [0.25, 0.25, 0.25]),
        ("linear", [0.25, 0.4375, 0.625]),
        ("exp", [0.25, 0.25**0.75, 0.5]),
    ],
)
def test_warmup(kind: Any, factors: list[float]) -> None:
    """The warm-up factor approaches one."""
    warmup = Warmup(kind, 4, 0.25)
    assert [warmup.factor(at) for at in range(3)] == pytest.approx(factors)
    assert Warmup(kind, 4, 1).factor(0) == 1


WRONG: list[tuple[Any, tuple[Any, ...], type[Exception], str]] = [
    (Step, (0,), AssertionError, "step must be at least 1, not 0"),
    (Step, ([2, -1],), AssertionError, "step must be at least 1, not -1"),
    (Step, ([2, 1.5],), TypeError, "step must be an integer, not 1.5"),
    (CosineAnnealing, (), AssertionError, "needs exactly one target"),
    (CosineAnnealing, (0.1, 0.1), AssertionError, "needs exactly one target"),
    (LinearAnnealing, (), AssertionError, "needs exactly one target"),
    (FlatCosineAnnealing, (0, None, -0.1), ValueError, "start_percent must be from 0 to 1, not -0.1"),
    (FlatCosineAnnealing, (0, None, "1"), ValueError, "start_percent must be a number, not '1'"),
    (
        CosineRestart,
        (0, None, [5], [1, 1]),
        AssertionError,
        "1 periods and 2 weights",
    ),
    (CosineRestart, (0, None, [0], [1]), AssertionError, "periods must be at least 1, not 0"),
    (Cyclic, ("10",), ValueError, "target_ratio must be one number or two, not '10'"),
    (Cyclic, ((1, 2, 3),), AssertionError, r"target_ratio must be 2 numbers, not \(1, 2, 3\)"),
    (Cyclic, (10, 0), ValueError, "cyclic_times must be at least 1, not 0"),
    (Cyclic, (10, 1, 1), AssertionError, "step_ratio_up must be at least 0 and below 1"),
    (Cyclic, (10, 1, 0.4, "sin"), ValueError, "'cos' or 'linear', not 'sin'"),
    (OneCycle, (25, 1e-4, 1.5), ValueError, "pct_start must be from 0 to 1, not 1.5"),
    (OneCycle, (25, 1e-4, 0.3, "sin"), ValueError, "'cos' or 'linear', not 'sin'"),
    (OneCycle, (25, 1e-4, 0.3, "cos", False, 1.5), ValueError, "total_steps must be an integer, not 1.5"),
    (Warmup, ("cosine", 1, 0.1), ValueError, "'constant', 'linear' or 'exp', not 'cosine'"),
    (Warmup, ("linear", 0, 0.1), AssertionError, "warmup_iters must be positive"),
    (Warmup, ("linear", 1, 0), AssertionError, "warmup_ratio must be above 0"),
    (Warmup, ("linear", 1, 1.1), AssertionError, "warmup_ratio must be above 0"),
]


@pytest.mark.parametrize(("curve", "args", "error", "text"), WRONG)
def test_invalid_arguments(curve: Any, args: tuple[Any, ...], error: type[Exception], text: str) -> None:
    """Invalid arguments raise the type of error that MMCV raises."""
    with pytest.raises(error, match=text):
        curve(*args)


@pytest.mark.parametrize("wrong", [1.5, "2"])
def test_step_type(wrong: Any) -> None:
    """A step that is neither an int nor a list of int raises a TypeError."""
    with pytest.raises(TypeError, match="step must be an int or a list of int"):
        Step(wrong)


def two_groups() -> tuple[nn.Module, Any]:
    model = nn.ModuleList([Scalar(), Scalar()])
    model.train_step = lambda data, optimizer: model[0].train_step(data)
    groups = [{"params": model[0].parameters(), "lr": 1.0}, {"params": model[1].parameters(), "lr": 4.0}]
    return model, torch.optim.SGD(groups)


def test_base_value_per_group() -> None:
    """Parameter groups keep their ratio; the base value is stored in each group."""
    model, optimizer = two_groups()
    runner = make_runner("iter", 4, model, optimizer=optimizer)
    runner.register_lr_hook({"policy": "step", "step": 1, "gamma": 0.5})
    recorder = Recorder(lambda stage, r: r.current_lr() if stage == "before_train_iter" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(2)], [("train", 1)])
    assert recorder.seen == [[1, 4], [0.5, 2], [0.25, 1], [0.125, 0.5]]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1, 4]


def test_several_optimizers() -> None:
    """The policy is applied to each optimizer of a dict."""
    model = Scalar()
    optimizers = {
        "a": torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.5),
        "b": torch.optim.Adam(model.parameters(), lr=4.0, betas=(0.9, 0.99)),
    }
    runner = make_runner("iter", 2, model, optimizer=optimizers)
    runner.register_lr_hook({"policy": "step", "step": 1, "gamma": 0.5})
    runner.register_momentum_hook({"policy": "step", "step": 1, "gamma": 0.1})
    runner.run([numbers(2)], [("train", 1)])
    assert runner.current_lr() == {"a": [0.5], "b": [2.0]}
    assert runner.current_momentum() == {"a": [pytest.approx(0.05)], "b": [pytest.approx(0.09)]}
    assert optimizers["b"].param_groups[0]["betas"][1] == 0.99


def test_initial_lr_of_resumed_optimizer() -> None:
    """A group that has ``initial_lr`` uses it as its base value, not its current lr."""
    runner = make_runner("epoch", 2)
    runner.optimizer.param_groups[0]["initial_lr"] = 8.0
    runner._epoch = 1
    runner.register_lr_hook({"policy": "step", "step": 1, "gamma": 0.5})
    runner.run([numbers(1)], [("train", 1)])
    assert runner.current_lr() == [4.0]


def test_custom_policy() -> None:
    """A subclass defines its curve by ``get_lr`` or ``get_momentum``, as in MMCV."""

    class Halving(LrUpdaterHook):
        def get_lr(self, runner: Any, base_lr: float) -> float:
            return base_lr / (runner.iter + 1)

    class Rising(MomentumUpdaterHook):
        def get_momentum(self, runner: Any, base_momentum: float) -> float:
            return base_momentum + runner.iter

    model = Scalar()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.5)
    runner = make_runner("iter", 4, model, optimizer=optimizer)
    runner.register_hook(Halving(by_epoch=False))
    runner.register_hook(Rising(by_epoch=False))
    runner.run([numbers(2)], [("train", 1)])
    assert (runner.current_lr(), runner.current_momentum()) == ([0.25], [3.5])


def test_without_optimizer() -> None:
    """A model that steps itself is trained without setting any learning rate."""
    runner = make_runner("iter", 2, optimizer=None)
    runner.register_lr_hook({"policy": "fixed", "warmup": "linear", "warmup_iters": 3})
    runner.run([numbers(2)], [("train", 1)])
    assert runner.iter == 2
