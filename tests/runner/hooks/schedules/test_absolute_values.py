"""Schedules with an absolute value warn if that is not what the groups of the optimizer were given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import Recorder, TinyNet, make_runner, numbers, squares_loader
from torch import nn

from cfgtrain.optim.builder import build_optimizer
from cfgtrain.runner import EvalHook

FROZEN = {"custom_keys": {"norm": {"lr_mult": 0.0}}}


class Net(TinyNet):
    """Takes batches of numbers."""

    def train_step(self, data: torch.Tensor, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        loss = self(data.expand(2, 36), return_loss=False).mean()
        return {"loss": loss, "log_vars": {"loss": loss.detach()}, "num_samples": len(data)}


def warnings_of(
    caplog: pytest.LogCaptureFixture,
    kind: str,
    cfg: dict[str, Any],
    runner_kind: str = "iter",
    **optimizer: Any,
) -> tuple[list[str], list[list[float]]]:
    """Run four steps; return the warnings of the run, and the learning rates of each step."""
    model: nn.Module = Net()
    settings = {"type": "SGD", "lr": 0.1, "momentum": 0.9, **optimizer}
    runner = make_runner(runner_kind, 4, model, optimizer=build_optimizer(model, settings))
    if cfg.get("policy") == "ReduceOnPlateau":
        runner.register_hook(EvalHook(squares_loader(), by_epoch=False, interval=100))
    getattr(runner, f"register_{kind}_hook")(cfg)
    recorder = Recorder(lambda stage, r: r.current_lr() if stage == "before_train_iter" else None)
    runner.register_hook(recorder, "LOWEST")
    runner.run([numbers(1 if runner_kind == "epoch" else 4)], [("train", 1)])
    found = [record.message for record in caplog.records if record.levelname == "WARNING"]
    return [text for text in found if "evaluation" not in text.lower()], recorder.seen


# Policy, what it says of the frozen parameters, what it advises.
ABSOLUTE = [
    ({"policy": "CosineAnnealing", "min_lr": 0.01}, "the policy CosineAnnealing raises", "Set min_lr_ratio=0.1 instead"),
    ({"policy": "LinearAnnealing", "min_lr": 0.01}, "the policy LinearAnnealing raises", "Set min_lr_ratio=0.1 instead"),
    ({"policy": "FlatCosineAnnealing", "min_lr": 0.01, "start_percent": 0.5}, "FlatCosineAnnealing raises", "Set min_lr_ratio=0.1 instead"),
    ({"policy": "CosineRestart", "min_lr": 0.01, "periods": [4]}, "CosineRestart raises", "Set min_lr_ratio=0.1 instead"),
    ({"policy": "poly", "min_lr": 0.01}, "the policy Poly raises", "Set min_lr to at most 0."),
    ({"policy": "step", "step": 2, "min_lr": 0.01}, "the policy Step raises", "Set min_lr to at most 0."),
    (
        {"policy": "Torch", "scheduler": {"type": "CosineAnnealingLR", "T_max": 4, "eta_min": 0.01}},
        "the scheduler CosineAnnealingLR raises", "Set eta_min to at most 0.",
    ),
]  # fmt: skip


@pytest.mark.parametrize("runner_kind", ["epoch", "iter"])
@pytest.mark.parametrize(("cfg", "what", "advice"), ABSOLUTE)
def test_minimum_that_raises_frozen_parameters(
    cfg: dict[str, Any], what: str, advice: str, runner_kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The values stay MMCV's; before the run a warning names the parameters, the policy and what to use."""
    cfg = cfg if runner_kind == "epoch" else {**cfg, "by_epoch": False}
    texts, rates = warnings_of(caplog, "lr", cfg, runner_kind, paramwise_cfg=FROZEN)
    assert max(rate[0] for rate in rates) > 0  # the group of norm.weight
    (text,) = texts
    assert what in text
    assert "norm.weight and norm.bias from 0 to" in text
    assert "Parameters with a learning rate of 0 are trained." in text
    assert advice in text


@pytest.mark.parametrize(
    "cfg",
    [
        {"policy": "CosineAnnealing", "min_lr_ratio": 0.1},
        {"policy": "CosineAnnealing", "min_lr": 0},
        {"policy": "poly"},
        {"policy": "step", "step": 2},
        {"policy": "exp", "gamma": 0.5},
        {"policy": "cyclic"},
        {"policy": "fixed"},
        {"policy": "Torch", "scheduler": {"type": "CosineAnnealingLR", "T_max": 4}},
    ],
    ids=str,
)
def test_relative_values_keep_parameters_frozen(
    cfg: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With a relative value, or without one, there is no warning and a rate of 0 stays 0."""
    texts, rates = warnings_of(caplog, "lr", {"by_epoch": False, **cfg}, paramwise_cfg=FROZEN)
    assert texts == []
    assert {rate[0] for rate in rates} == {0}


def test_minimum_below_the_smaller_rates(caplog: pytest.LogCaptureFixture) -> None:
    """A smaller rate that is still above the minimum is no reason for a warning."""
    paramwise = {"custom_keys": {"norm": {"lr_mult": 0.1}}}
    cfg = {"policy": "CosineAnnealing", "min_lr": 0.001, "by_epoch": False}
    assert warnings_of(caplog, "lr", cfg, paramwise_cfg=paramwise)[0] == []


def test_minimum_above_all_rates(caplog: pytest.LogCaptureFixture) -> None:
    """The kind is not only that of frozen parameters: a minimum above the rate raises it."""
    cfg = {"policy": "CosineAnnealing", "min_lr": 0.2, "by_epoch": False}
    ((text,), _) = warnings_of(caplog, "lr", cfg)
    assert "from 0.1 to min_lr=0.2" in text
    assert "Set min_lr to at most 0.1, or set min_lr_ratio." in text


def test_momentum_below_the_minimum(caplog: pytest.LogCaptureFixture) -> None:
    """The same holds for momenta."""
    cfg = {"policy": "CosineAnnealing", "min_momentum": 0.95, "by_epoch": False}
    ((text,), _) = warnings_of(caplog, "momentum", cfg)
    assert "raises the momentum of norm.weight, norm.bias and 2 more parameters from 0.9 to" in text
    assert "min_momentum_ratio" in text


@pytest.mark.parametrize(
    ("cfg", "name"),
    [
        ({"policy": "OneCycle", "max_lr": 0.1}, "the policy OneCycle"),
        (
            {"policy": "Torch", "scheduler": {"type": "OneCycleLR", "max_lr": 0.1, "total_steps": 4}},
            "the scheduler OneCycleLR",
        ),
    ],
)
def test_one_peak_for_different_rates(
    cfg: dict[str, Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A policy that replaces the rates of the optimizer says so if these differ; a list for them is right."""
    cfg = {**cfg, "by_epoch": False}
    ((text,), _) = warnings_of(caplog, "lr", cfg, paramwise_cfg={**FROZEN, "merge_groups": True})
    assert f"{name} gives all parameters the same learning rate, also norm.weight and norm.bias" in text
    assert "Set max_lr to a list with one value for each of the 2 parameter groups" in text
    caplog.clear()
    assert warnings_of(caplog, "lr", cfg)[0] == []


def test_list_of_peaks(caplog: pytest.LogCaptureFixture) -> None:
    """With a peak for each group there is no warning."""
    cfg = {"policy": "OneCycle", "max_lr": [0.0, 0.1]}
    texts, rates = warnings_of(caplog, "lr", cfg, paramwise_cfg={**FROZEN, "merge_groups": True})
    assert texts == []
    assert {rate[0] for rate in rates} == {0}


def test_plateau_never_raises_a_rate(caplog: pytest.LogCaptureFixture) -> None:
    """As in PyTorch, a rate below min_lr stays as it is; that no rate can fall is a warning."""
    cfg = {"policy": "ReduceOnPlateau", "min_lr": 0.2, "by_epoch": False, "rule": "greater"}
    ((text,), rates) = warnings_of(caplog, "lr", cfg)
    assert {rate[0] for rate in rates} == {0.1}
    assert "never changes the learning rate, because it is not above min_lr=0.2" in text
    caplog.clear()
    texts, rates = warnings_of(caplog, "lr", {**cfg, "min_lr": 0.01}, paramwise_cfg=FROZEN)
    assert texts == []
    assert {rate[0] for rate in rates} == {0}
