from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Recorder, Scalar, TinyNet, make_runner, numbers, same, squares_loader
from torch import nn

from cfgtrain.errors import ArgumentError, HookError, NonFiniteLossError
from cfgtrain.runner import EMAHook, EvalHook, Hook


class Climber(nn.Module):
    """Its weight grows by one in each step, without an optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def train_step(self, batch: Any, optimizer: Any) -> dict[str, Any]:
        with torch.no_grad():
            self.w += 1
        return {}

    val_step = train_step


def climb(kind: str, length: int, hook: EMAHook, batches: int = 2, **kwargs: Any) -> list[Any]:
    """Return (stage, weight, average) at each stage."""
    runner = make_runner(kind, length, Climber(), **kwargs)
    runner.register_hook(hook, "HIGHEST")
    see = lambda stage, r: (stage, r.model.w.item(), r.model.ema_w.item())  # noqa: E731
    recorder = Recorder(see)
    runner.register_hook(recorder)
    runner.run([numbers(batches)], [("train", 1)])
    return recorder.seen


def test_averages_and_swaps() -> None:
    """The average follows its formula; at the end of an epoch it is swapped with the weight, and back."""
    seen = climb("epoch", 2, EMAHook(momentum=0.5, warm_up=1))
    assert [
        entry for entry in seen if entry[0] in ("after_train_iter", "after_train_epoch", "before_train_epoch")
    ] == [
        ("before_train_epoch", 0, 0),
        ("after_train_iter", 1, 0.5),
        ("after_train_iter", 2, 1.25),
        ("after_train_epoch", 1.25, 2),
        ("before_train_epoch", 2, 1.25),
        ("after_train_iter", 3, 2.125),
        ("after_train_iter", 4, 3.0625),
        ("after_train_epoch", 3.0625, 4),
    ]


def test_iteration_runner_ends_with_the_averages() -> None:
    """By iteration the weights are trained during the whole run, and the model contains the averages at its end."""
    seen = climb("iter", 2, EMAHook(momentum=0.5, warm_up=1))
    assert [entry[1:] for entry in seen if entry[0] == "after_train_iter"] == [(1, 0.5), (2, 1.25)]
    assert seen[-1] == ("after_run", 1.25, 2)


def test_interval_compounds_the_momentum() -> None:
    """Updates every other iteration have the momentum of two updates."""
    hook = EMAHook(momentum=0.5, warm_up=1, interval=2)
    assert hook.momentum == 0.75
    seen = climb("epoch", 1, hook, batches=3)
    assert [entry[2] for entry in seen if entry[0] == "after_train_iter"] == [
        0.75,
        0.75,
        0.75 * 3 + 0.25 * 0.75,
    ]


@pytest.mark.parametrize(("warm_up", "momentum"), [(100, 0.01), (0, 0.0002)])
def test_warm_up(warm_up: int, momentum: float) -> None:
    """At iteration 0 the momentum is at most 1 / warm_up; without warm-up nothing is divided by zero."""
    seen = climb("epoch", 1, EMAHook(momentum=0.9 if warm_up else momentum, warm_up=warm_up), batches=1)
    assert seen[-1][1] == pytest.approx(momentum)


@pytest.mark.parametrize(
    "wrong", [{"momentum": 0}, {"momentum": 1}, {"interval": 0}, {"interval": 1.5}, {"warm_up": -1}]
)
def test_invalid_arguments(wrong: dict[str, Any]) -> None:
    """Invalid values are refused."""
    with pytest.raises(ArgumentError):
        EMAHook(**wrong)


def test_duplicate_names_of_averages_are_distinguished() -> None:
    """``a_b.w`` and ``a.b_w`` have separate averages."""
    model = Climber()
    model.a_b, model.a = nn.Module(), nn.Module()
    model.a_b.w, model.a.b_w = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))
    runner = make_runner("epoch", 1, model)
    runner.register_hook(EMAHook())
    runner.run([numbers(1)], [("train", 1)])
    assert (model.ema_a_b_w.tolist(), model.ema_a_b_w_.tolist()) == ([1, 1], [0, 0])


def test_evaluation_uses_the_averages(tmp_path: Path) -> None:
    """An evaluation by iteration uses the averages, and they are saved with its checkpoint."""
    seen: list[Any] = []

    def look(model: Any, loader: Any) -> list[Any]:
        seen.append(model.w.item())
        return []

    data = numbers(2)
    loader = type(
        "Loader", (list,), {"dataset": type("Data", (), {"evaluate": lambda *_, **__: {"acc": 1.0}})()}
    )
    runner = make_runner("iter", 2, Climber(), work_dir=tmp_path, meta={})
    runner.register_hook(EMAHook(momentum=0.5, warm_up=1))
    runner.register_hook(EvalHook(loader(data), by_epoch=False, test_fn=look, save_best="acc"), "LOW")
    runner.run([data], [("train", 1)])
    assert seen == [0.5, 1.25]
    state = torch.load(tmp_path / "best_acc_iter_1.pth")["state_dict"]
    assert (state["w"].item(), state["ema_w"].item()) == (0.5, 1)


def test_file_of_mmcv_is_resumed(tmp_path: Path) -> None:
    """A file contains averages as weights and weights as ``ema_*``; resuming swaps them."""
    model = Scalar()
    runner = make_runner("epoch", 1, model, meta={}, work_dir=tmp_path)
    runner.register_hook(EMAHook(momentum=0.5, warm_up=0))
    runner.register_checkpoint_hook({"interval": 1})
    runner.run([numbers(1)], [("train", 1)])
    file = torch.load(tmp_path / "epoch_1.pth")
    file["state_dict"].update(w=torch.tensor(0.0), ema_w=torch.tensor(1.0))
    del file["resume"]
    torch.save(file, tmp_path / "edited.pth")
    runner = make_runner("epoch", 2, Scalar(), meta={}, work_dir=tmp_path)
    runner.register_hook(EMAHook(momentum=0.5, warm_up=0, resume_from=str(tmp_path / "edited.pth")))
    runner.register_checkpoint_hook({"interval": 1})
    runner.run([numbers(1)], [("train", 1)])
    state = torch.load(tmp_path / "epoch_2.pth")["state_dict"]
    assert (state["ema_w"].item(), state["w"].item()) == (1, 0.5)


def test_resuming_by_argument_needs_epochs() -> None:
    """In a run by iterations ``resume_from`` of the hook is refused; the message mentions --resume."""
    runner = make_runner("iter", 1)
    runner.register_hook(EMAHook(resume_from="a.pth"))
    with pytest.raises(HookError, match="--resume"):
        runner.run([numbers(1)], [("train", 1)])


@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize(("kind", "length", "stop"), [("epoch", 3, 5), ("epoch", 3, 7), ("iter", 12, 5)])
def test_resumed_run_equals_the_uninterrupted_one(
    kind: str, length: int, stop: int, buffers: bool, tmp_path: Path
) -> None:
    """Weights and averages are restored exactly, at the end of an epoch and within an epoch."""

    def run(folder: Path, at: int | None = None, resume: Any = None) -> Any:
        torch.manual_seed(3)
        runner = make_runner(kind, length, TinyNet(dropout=0.5), work_dir=folder, meta={})
        runner.register_training_hooks(None, {}, {"interval": 1} if kind == "epoch" else {"interval": 5})
        runner.register_hook(EMAHook(momentum=0.1, update_buffers=buffers))
        stopping = Hook()
        stopping.after_train_iter = lambda r: r.stop("x", interrupted=True) if r.iter + 1 == at else None
        runner.register_hook(stopping)
        if resume:
            runner.resume(resume)
        runner.run([squares_loader()], [("train", 1)])
        return runner

    whole = run(tmp_path / "whole")
    broken = run(tmp_path / "broken", at=stop)
    resumed = run(tmp_path / "broken", resume=broken.last_saved[0])
    assert same(resumed.model.state_dict(), whole.model.state_dict())


@pytest.mark.parametrize(
    ("at", "interval"), [(3, 2), (3, 1), (2, 2)], ids=["weight alone", "both", "average alone"]
)
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_non_finite_weights_and_averages_are_not_saved(
    kind: str, at: int, interval: int, tmp_path: Path
) -> None:
    """Neither a non-finite weight nor a non-finite average replaces a good checkpoint, whichever is in the model."""

    class Breaking(Climber):
        def train_step(self, batch: Any, optimizer: Any) -> dict[str, Any]:
            super().train_step(batch, optimizer)
            with torch.no_grad():  # it becomes finite again, as if it were set manually
                self.w.fill_(float("nan") if runner.iter == at else 0.0)
            return {}

    model = Breaking()
    runner = make_runner(kind, 2 if kind == "epoch" else 4, model, work_dir=tmp_path, meta={})
    runner.register_hook(EMAHook(momentum=0.5, warm_up=0, interval=interval))
    runner.register_checkpoint_hook({"interval": 1 if kind == "epoch" else 2})
    with pytest.raises(NonFiniteLossError, match="weight w is nan at iteration 4"):
        runner.run([numbers(2)], [("train", 1)])
    assert [file.name for file in tmp_path.glob("*_*.pth")] == [
        "epoch_1.pth" if kind == "epoch" else "iter_2.pth"
    ]


def test_warning_if_it_runs_before_the_step(caplog: pytest.LogCaptureFixture) -> None:
    """If the hook runs before the optimizer hook, a warning says that its averages are one step late."""
    runner = make_runner("epoch", 1)
    runner.register_hook(EMAHook(), "HIGHEST")
    runner.register_optimizer_hook({})
    runner.run([numbers(1)], [("train", 1)])
    assert "one step late" in caplog.text
