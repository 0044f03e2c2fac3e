from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Recorder, Scalar, make_runner, numbers
from torch import nn

from cfgtrain.runner import LrUpdaterHook, MomentumUpdaterHook
from cfgtrain.schedules import CosineAnnealing, Fixed, Step, Warmup, anneal_cos

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden_schedules.json").read_text())["sequences"]


def _name(record: dict[str, Any]) -> str:
    words = (f"{key}={value}" for key, value in record["cfg"].items() if key != "policy")
    return "-".join([record["kind"], record.get("opt", ""), record["cfg"]["policy"], *words])


def written(kind: str, cfg: Any, optimizer: Any, runner: Any) -> list[float]:
    """Run 4 epochs of 5 iterations, and return the values in force in each iteration."""
    read = runner.current_lr if kind == "lr" else runner.current_momentum
    getattr(runner, f"register_{kind}_hook")(cfg)
    recorder = Recorder(lambda stage, r: read()[0] if stage == "before_train_iter" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(5)], [("train", 1)])
    return recorder.seen


@pytest.mark.parametrize("record", GOLDEN, ids=_name)
def test_recorded_sequences(record: dict[str, Any]) -> None:
    """Every policy writes, in each iteration, what MMCV wrote, to the last bit."""
    model, base = Scalar(), record["base"]
    if record["kind"] == "lr":
        optimizer: Any = torch.optim.SGD(model.parameters(), lr=base)
    elif record["opt"] == "SGD":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=base)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, betas=(base, 0.999))
    runner = make_runner("epoch", record["max_epochs"], model, optimizer=optimizer)
    assert written(record["kind"], record["cfg"], optimizer, runner) == record["values"]


def test_recorded_sequences_are_there() -> None:
    """The file of recorded sequences covers each policy, unit and kind."""
    assert {(r["kind"], r["cfg"]["policy"]) for r in GOLDEN} == {
        ("lr", "fixed"),
        ("lr", "step"),
        ("lr", "CosineAnnealing"),
        ("momentum", "step"),
        ("momentum", "CosineAnnealing"),
    }
    assert all(len(record["values"]) == 20 for record in GOLDEN)


CURVES: list[tuple[Any, list[float]]] = [
    (Fixed(), [8, 8, 8, 8]),
    (Step(2, 0.5), [8, 8, 4, 4]),
    (Step([1, 3], 0.5), [8, 4, 4, 2]),
    (Step([3, 1], 0.5), [8, 4, 4, 2]),
    (Step(1, 0.5, min_value=3), [8, 4, 3, 3]),
    (CosineAnnealing(min_value=0), [8, 4 + 8**0.5 * 2**-0.5 * 2**0.5, 4, 4 - 8**0.5 * 2**-0.5 * 2**0.5]),
    (CosineAnnealing(min_ratio=0.5), [8, 6 + 2**0.5, 6, 6 - 2**0.5]),
]


@pytest.mark.parametrize(("curve", "values"), CURVES, ids=str)
def test_curve(curve: Any, values: list[float]) -> None:
    """A curve is a function of base value, position and length."""
    assert [curve(8, at, 4) for at in range(4)] == pytest.approx(values)


def test_cosine_ends_at_its_target() -> None:
    """Past the end of a run the target itself would be reached; weight scales the swing."""
    assert CosineAnnealing(min_value=1)(8, 4, 4) == 1
    assert anneal_cos(8, 0, 0, weight=0.5) == 4


@pytest.mark.parametrize(
    ("kind", "factors"),
    [
        ("constant", [0.25, 0.25, 0.25]),
        ("linear", [0.25, 0.4375, 0.625]),
        ("exp", [0.25, 0.25**0.75, 0.5]),
    ],
)
def test_warmup(kind: Any, factors: list[float]) -> None:
    """Warm-up is a factor that approaches one."""
    warmup = Warmup(kind, 4, 0.25)
    assert [warmup.factor(at) for at in range(3)] == pytest.approx(factors)
    assert Warmup(kind, 4, 1).factor(0) == 1


WRONG: list[tuple[Any, tuple[Any, ...], type[Exception], str]] = [
    (Step, (0,), AssertionError, "Steps are positive"),
    (Step, ([2, -1],), AssertionError, "Steps are positive"),
    (Step, ([2, 1.5],), TypeError, "int or a list of int"),
    (CosineAnnealing, (), AssertionError, "needs a target"),
    (CosineAnnealing, (0.1, 0.1), AssertionError, "needs a target"),
    (Warmup, ("cosine", 1, 0.1), ValueError, "'constant', 'linear' or 'exp', not 'cosine'"),
    (Warmup, ("linear", 0, 0.1), AssertionError, "warmup_iters is positive"),
    (Warmup, ("linear", 1, 0), AssertionError, "warmup_ratio is above 0"),
    (Warmup, ("linear", 1, 1.1), AssertionError, "warmup_ratio is above 0"),
]


@pytest.mark.parametrize(("curve", "args", "error", "text"), WRONG)
def test_wrong_arguments(curve: Any, args: tuple[Any, ...], error: type[Exception], text: str) -> None:
    """What is no schedule is refused with MMCV's kind of error."""
    with pytest.raises(error, match=text):
        curve(*args)


@pytest.mark.parametrize("wrong", [1.5, "2"])
def test_step_of_another_type(wrong: Any) -> None:
    """A step that is neither an int nor a list of them is a TypeError that says so."""
    with pytest.raises(TypeError, match="step is an int or a list of int"):
        Step(wrong)


def two_groups() -> tuple[nn.Module, Any]:
    model = nn.ModuleList([Scalar(), Scalar()])
    model.train_step = lambda data, optimizer: model[0].train_step(data)
    groups = [{"params": model[0].parameters(), "lr": 1.0}, {"params": model[1].parameters(), "lr": 4.0}]
    return model, torch.optim.SGD(groups)


def test_each_group_follows_from_its_own_base() -> None:
    """Parameter groups keep their ratio; the base value is kept in each group."""
    model, optimizer = two_groups()
    runner = make_runner("iter", 4, model, optimizer=optimizer)
    runner.register_lr_hook({"policy": "step", "step": 1, "gamma": 0.5})
    recorder = Recorder(lambda stage, r: r.current_lr() if stage == "before_train_iter" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(2)], [("train", 1)])
    assert recorder.seen == [[1, 4], [0.5, 2], [0.25, 1], [0.125, 0.5]]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1, 4]


def test_each_optimizer_follows_the_policy() -> None:
    """Of a dict of optimizers each is written to."""
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


def test_resumed_optimizer_keeps_its_base() -> None:
    """A group that carries ``initial_lr`` already goes on from that, not from where its lr stands."""
    runner = make_runner("epoch", 2)
    runner.optimizer.param_groups[0]["initial_lr"] = 8.0
    runner._epoch = 1
    runner.register_lr_hook({"policy": "step", "step": 1, "gamma": 0.5})
    runner.run([numbers(1)], [("train", 1)])
    assert runner.current_lr() == [4.0]


def test_policy_of_ones_own() -> None:
    """A subclass states its curve by ``get_lr`` or ``get_momentum``, as in MMCV."""

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


def test_without_optimizer_nothing_is_written() -> None:
    """A model that steps itself has no group to write to, and trains."""
    runner = make_runner("iter", 2, optimizer=None)
    runner.register_lr_hook({"policy": "fixed", "warmup": "linear", "warmup_iters": 3})
    runner.run([numbers(2)], [("train", 1)])
    assert runner.iter == 2
