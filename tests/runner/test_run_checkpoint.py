from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import (
    LOGGER,
    RUNNERS,
    Recorder,
    Scalar,
    Squares,
    TinyNet,
    make_runner,
    numbers,
    same,
    squares_loader,
)
from torch import nn

from cfgtrain.data.builder import build_dataloader
from cfgtrain.errors import ArgumentTypeError, CheckpointError, NonFiniteLossError
from cfgtrain.random_state import RandomState, set_random_seed
from cfgtrain.runner import EMAHook, EvalHook, Hook

EPOCHS, BATCHES = 3, 5
# Due every third iteration, but a window of two has to close first; 10 ends the second epoch.
SAVED_AT = (4, 6, 10, 12)


class Training:
    """A training with everything random or stateful, created from a seed."""

    def __init__(self, kind: str, folder: str, seed: int, workers: int = 0, workflow: Any = None) -> None:
        set_random_seed(seed)
        model = TinyNet(dropout=0.5)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        length = EPOCHS if kind == "epoch" else EPOCHS * BATCHES
        self.runner = make_runner(kind, length, model, optimizer=optimizer, work_dir=folder, meta={})
        self.runner.timestamp = "log"
        self.runner.register_training_hooks(
            {"policy": "CosineAnnealing", "min_lr": 0, "warmup": "linear", "warmup_iters": 7},
            {"cumulative_iters": 2, "grad_clip": {"max_norm": 1.0}},
            {"interval": 3, "by_epoch": False},
            {"interval": 2, "hooks": [{"type": "TextLoggerHook"}]},
            {"policy": "step", "step": 2},
        )
        self.loader = squares_loader(workers)
        evaluated = build_dataloader(
            Squares(pipeline=[*self.loader.dataset.pipeline.transforms[1:]]), 8, shuffle=False
        )
        evaluated.collate_fn = lambda samples: {"img": torch.stack([sample["img"] for sample in samples])}
        by_epoch = kind == "epoch"
        evaluation = EvalHook(
            evaluated, start=0, interval=1 if by_epoch else 4, by_epoch=by_epoch, save_best="acc"
        )
        self.runner.register_hook(evaluation, "LOW")
        self.iterations = Recorder(_after_iteration)
        self.runner.register_hook(self.iterations, "LOWEST")
        self.workflow = workflow or [("train", 1)]

    def run(self) -> None:
        self.runner.run([self.loader] * len(self.workflow), self.workflow)

    def outcome(self) -> dict[str, Any]:
        return {
            "weights": self.runner.model.state_dict(),
            "optimizer": self.runner.optimizer.state_dict(),
            "random": RandomState.capture(),
            "counters": (self.runner.epoch, self.runner.iter),
            "best_score": self.runner.meta["hook_msgs"]["best_score"],
        }


def _after_iteration(stage: str, runner: Any) -> Any:
    if stage != "after_train_iter":
        return None
    loss = runner.outputs["loss"].item()
    return runner.epoch, runner.iter, runner.inner_iter, loss, runner.current_lr(), runner.current_momentum()


def log_lines(folder: str, first: int = 1) -> list[dict[str, Any]]:
    """The lines of the JSON log except the first, without times."""
    lines = [json.loads(line) for line in Path(folder, "log.log.json").read_text().splitlines()[first:]]
    return [{k: v for k, v in line.items() if k not in ("time", "data_time")} for line in lines]


def resumed(kind: str, checkpoint: str, folder: str = "resumed", **kwargs: Any) -> Training:
    training = Training(kind, folder, seed=999, **kwargs)
    training.runner.resume(checkpoint)
    return training


@pytest.mark.parametrize("saved_at", SAVED_AT)
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_resumed_run_is_bit_identical(kind: str, saved_at: int) -> None:
    """A run resumed from any checkpoint, with new objects, ends exactly like an uninterrupted one."""
    whole = Training(kind, "whole", seed=1)
    whole.run()
    expected = whole.outcome()
    second = resumed(kind, f"whole/iter_{saved_at}.pth")
    second.run()
    assert second.iterations.seen == whole.iterations.seen[saved_at:]
    assert same(second.outcome(), expected)
    tail = log_lines("resumed")
    assert tail
    assert tail == log_lines("whole")[-len(tail) :]


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_workers_and_chained_restarts_change_nothing(kind: str) -> None:
    """A run resumed twice, with other numbers of workers each time, ends like an uninterrupted one."""
    whole = Training(kind, "whole", seed=1)
    whole.run()
    expected = whole.outcome()
    broken = Training(kind, "broken", seed=1, workers=2)
    broken.runner.register_hook(
        Recorder(lambda stage, runner: runner.stop("cut") if runner.iter == 6 else None)
    )
    broken.run()
    assert broken.runner.stop_reason == "cut"
    second = resumed(kind, "broken/iter_6.pth", "second")
    second.runner.register_hook(
        Recorder(lambda stage, runner: runner.stop("cut") if runner.iter == 11 else None)
    )
    second.run()
    third = resumed(kind, "second/latest.pth", "third", workers=1)
    third.run()
    assert same(third.outcome(), expected)


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_an_open_window_moves_the_checkpoint_to_its_end(kind: str) -> None:
    """A checkpoint that is due inside an accumulation window is written at the end of the window."""
    Training(kind, "run", seed=1).run()
    assert sorted(p.name for p in Path("run").glob("iter_*.pth")) == [
        f"iter_{i}.pth" for i in (10, 12, 15, 4, 6)
    ]


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_skipped_samples_are_not_read(kind: str) -> None:
    """Resuming in the middle of an epoch reads only the remaining samples."""
    Training(kind, "run", seed=1).run()
    second = resumed(kind, "run/iter_6.pth")
    second.run()
    left = EPOCHS * 23 - (23 + 5)
    assert len(second.loader.dataset.read) == left


def test_random_val_flow_is_resumed_as_well() -> None:
    """After resuming before a val flow that draws random numbers, the training is the same."""
    workflow = [("train", 1), ("val", 1)]

    def noisy(training: Training) -> Training:
        training.runner.register_hook(Recorder(lambda stage, runner: _draw(stage)))
        training.runner.register_checkpoint_hook({"interval": 1})
        training.run()
        return training

    whole = noisy(Training("epoch", "whole", seed=1, workflow=workflow))
    second = noisy(resumed("epoch", "whole/epoch_2.pth", workflow=workflow))
    assert second.iterations.seen == whole.iterations.seen[10:]
    assert same(second.outcome()["weights"], whole.outcome()["weights"])


@pytest.mark.parametrize("saved_at", SAVED_AT)
def test_end_of_a_resumed_epoch_is_the_same(saved_at: int) -> None:
    """Hooks see the same values at the end of an epoch, whether or not the run was resumed within it."""

    def seen(training: Training) -> list[Any]:
        recorder = Recorder(
            lambda stage, runner: (
                (runner.epoch, runner.iter, runner.inner_iter) if stage == "after_train_epoch" else None
            )
        )
        training.runner.register_hook(recorder)
        training.run()
        return recorder.seen

    whole = seen(Training("epoch", "whole", seed=1))
    assert whole == [(0, 5, 4), (1, 10, 4), (2, 15, 4)]
    second = seen(resumed("epoch", f"whole/iter_{saved_at}.pth"))
    assert second == whole[-len(second) :]


def _draw(stage: str) -> None:
    if stage == "before_val_iter":
        torch.rand(3)


@pytest.mark.parametrize("flow", range(3))
def test_workflow_resumes_at_its_flow(flow: int) -> None:
    """A workflow with several flows resumes in the flow, and its repetition, that was next."""
    workflow = [("train", 2), ("val", 1), ("train", 1)]

    def flows(runner: Any) -> list[str]:
        recorder = Recorder(
            lambda stage, _: stage if stage.startswith("before_") and stage.endswith("epoch") else None
        )
        runner.register_hook(recorder)
        runner.run([numbers(2)] * 3, workflow)
        return [stage.removeprefix("before_").removesuffix("_epoch") for stage in recorder.seen]

    first = make_runner("epoch", 6, work_dir="run")
    first.register_checkpoint_hook({"interval": 1})
    assert flows(first) == ["train", "train", "val", "train"] * 2
    second = make_runner("epoch", 6)
    second.resume(f"run/epoch_{flow + 1}.pth")
    expected = ["train", "train", "val", "train"] * 2
    assert flows(second) == expected[[1, 2, 4][flow] :]


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_resuming_a_finished_run_trains_nothing(kind: str) -> None:
    """A run resumed from its last checkpoint ends immediately with the same weights."""
    whole = Training(kind, "whole", seed=1)
    whole.run()
    second = resumed(kind, "whole/iter_15.pth")
    second.run()
    assert second.iterations.seen == []
    assert same(second.runner.model.state_dict(), whole.runner.model.state_dict())


def mmcv_file(path: str, **meta: Any) -> str:
    """Write a checkpoint as MMCV 1.x does for a ``Scalar``: no resume state, no digest."""
    model = Scalar()
    with torch.no_grad():
        model.w.fill_(5.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    torch.save({"meta": meta, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return path


@pytest.mark.parametrize("kind", RUNNERS)
def test_mmcv_checkpoint_resumes_by_its_meta(kind: str) -> None:
    """A checkpoint of MMCV restores weights, optimizer, epoch, iteration and meta."""
    runner = make_runner(kind, 8, meta={"exp_name": "mine"})
    runner.resume(mmcv_file("old.pth", epoch=2, iter=6, seed=7, exp_name="old"))
    assert (runner.epoch, runner.iter) == (2, 6)
    assert runner.model.w.item() == 5.0
    assert runner.current_lr() == [0.01]
    assert runner.meta == {"exp_name": "mine", "seed": 7, "epoch": 2, "iter": 6, "hook_msgs": {}}


@pytest.mark.parametrize(
    ("kind", "config", "done"),
    [
        ("epoch", "gpu_ids = [0, 1, 2, 3]", 28),
        ("epoch", "gpu_ids = range(0, 4)", 28),
        ("epoch", "gpu_ids = [0]", 7),
        ("epoch", "gpu_ids = []", 7),
        ("epoch", "a = 1", 7),
        ("epoch", "gpu_ids = open('pwned', 'w')", 7),
        ("iter", "gpu_ids = [0, 1, 2, 3]", 7),
    ],
)
def test_iterations_of_mmcv_are_counted_for_the_processes_of_now(kind: str, config: str, done: int) -> None:
    """As in MMCV, iterations of more GPUs are scaled in a run that counts epochs; the config is not run."""
    runner = make_runner(kind, 3)
    runner.resume(mmcv_file("old.pth", epoch=1, iter=7, config=config), map_location="default")
    assert (runner.epoch, runner.iter) == (1, done)
    assert not Path("pwned").exists()


def test_mmcv_checkpoint_trains_the_epochs_that_are_left() -> None:
    """A run of three epochs resumed from an MMCV checkpoint of two trains one more."""
    runner = make_runner("epoch", 3)
    runner.resume(mmcv_file("old.pth", epoch=2, iter=4))
    runner.run([numbers(2)], [("train", 1)])
    assert (runner.epoch, runner.iter) == (3, 6)


def test_run_resumed_from_mmcv_saves_its_position() -> None:
    """If a run resumed from MMCV is saved within an epoch, it can be resumed within that epoch."""
    runner = make_runner("epoch", 4, work_dir="run", meta={})
    runner.register_checkpoint_hook({"interval": 1, "by_epoch": False})
    runner.resume(mmcv_file("old.pth", epoch=2, iter=4))
    runner.run([numbers(2)], [("train", 1)])
    second = make_runner("epoch", 4)
    second.resume("run/iter_5.pth")
    assert (second.epoch, second.iter, second.inner_iter) == (2, 5, 1)
    second.run([numbers(2)], [("train", 1)])
    assert (second.epoch, second.iter) == (4, 8)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("epoch", {"epoch": 1, "iter": 6, "inner_iter": 1, "flow_done": 0, "loaders": []}),
        ("iter", {"epoch": 0, "iter": 6, "inner_iter": 1, "flow_done": 1, "loaders": [(1, 1)]}),
    ],
)
def test_form_of_the_saved_position(kind: str, expected: dict[str, Any]) -> None:
    """The position after six iterations is saved in the form of earlier versions."""
    Training(kind, "run", seed=1).run()
    position = torch.load("run/iter_6.pth")["resume"]["position"]
    layout = "23 samples in 5 batches of 5, shuffled with seed 3"
    assert position == {"flow": 0, "epochs": [layout], **expected}


@pytest.mark.parametrize("kind", RUNNERS)
def test_second_run_begins_with_its_own_loaders(kind: str) -> None:
    """A runner may run again, longer and with other loaders: no position in the first loaders is used."""
    runner = make_runner(kind, {"epoch": 1, "iter": 3}[kind])
    runner.run([numbers(3)], [("train", 1)])
    runner._max_epochs, runner._max_iters = (2, None) if kind == "epoch" else (None, 5)
    seen = Recorder(lambda stage, r: r.data_batch.item() if stage == "before_train_iter" else None)
    runner.register_hook(seen)
    runner.run([numbers(2)], [("train", 1)])
    assert seen.seen == [0, 1]


@pytest.mark.parametrize("kind", RUNNERS)
def test_only_rank_0_writes(kind: str) -> None:
    """``save_checkpoint`` of other ranks writes nothing and returns the same path."""
    runner = make_runner(kind, 1)
    runner._rank = 1
    path = runner.save_checkpoint("out")
    assert not Path("out").exists()
    assert runner.last_saved[0] == path
    runner._rank = 0
    assert runner.save_checkpoint("out") == path
    assert Path(path).is_file()


def test_every_rank_checks_what_it_saves() -> None:
    """A weight that is not finite is an error in all processes, so that none waits for another."""
    runner = make_runner("epoch", 1)
    runner._rank = 1
    with torch.no_grad():
        runner.model.w.fill_(torch.inf)
    with pytest.raises(NonFiniteLossError, match="weight w"):
        runner.save_checkpoint("out")


def test_optimizer_state_can_be_skipped() -> None:
    """``resume_optimizer=False`` restores everything except the state of the optimizer."""
    runner = make_runner("epoch", 3)
    runner.resume(mmcv_file("old.pth", epoch=1, iter=2), resume_optimizer=False)
    assert runner.current_lr() == [0.1]
    assert runner.epoch == 1


def test_optimizer_state_needs_an_optimizer() -> None:
    """A runner without an optimizer refuses a checkpoint with the state of one."""
    runner = make_runner("epoch", 1, optimizer=None)
    with pytest.raises(ArgumentTypeError, match="the runner has none"):
        runner.resume(mmcv_file("old.pth", epoch=1, iter=2))


def test_several_optimizers_are_saved_and_resumed_by_name() -> None:
    """Each optimizer in a dict is restored by its name."""

    def runner() -> Any:
        model = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
        model.train_step = lambda *args: None
        both = {name: torch.optim.SGD(part.parameters(), lr=0.1) for name, part in model.items()}
        return make_runner("epoch", 1, model, optimizer=both)

    first, second = runner(), runner()
    first.optimizer["b"].param_groups[0]["lr"] = 0.5
    path = first.save_checkpoint(".")
    second.resume(path)
    assert second.current_lr() == {"a": [0.1], "b": [0.5]}


def test_file_without_meta_is_refused() -> None:
    """A file with weights only cannot be resumed from; the message names the missing keys."""
    torch.save({"state_dict": Scalar().state_dict()}, "weights.pth")
    with pytest.raises(CheckpointError, match="no meta"):
        make_runner("epoch", 1).resume("weights.pth")


def test_other_model_is_refused() -> None:
    """Resuming with a model that has other weights is an error, not a warning."""
    path = make_runner("epoch", 1).save_checkpoint(".")
    with pytest.raises(CheckpointError, match="do not match"):
        make_runner("epoch", 1, TinyNet()).resume(path)


def test_checkpoint_without_optimizer_holds_no_exact_state() -> None:
    """``save_optimizer=False`` leaves out the state that only a resumed run needs."""
    path = make_runner("epoch", 1).save_checkpoint(".", save_optimizer=False)
    assert set(torch.load(path)) == {"meta", "state_dict"}


def test_open_window_has_no_exact_state() -> None:
    """A checkpoint within an accumulation window has no state for an exact resume."""
    runner = make_runner("epoch", 1)
    runner.accumulating = True
    assert "resume" not in torch.load(runner.save_checkpoint("."))


def test_resume_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log contains the file that a run resumes from, and the position."""
    with caplog.at_level("INFO", LOGGER.name):
        make_runner("epoch", 3).resume(mmcv_file("old.pth", epoch=1, iter=2))
    assert "Resumed from old.pth: epoch 1, iteration 2" in caplog.text


@pytest.mark.parametrize(("kind", "length", "file"), [("epoch", 2, "epoch_2.pth"), ("iter", 4, "iter_4.pth")])
def test_flows_after_the_last_training_are_resumed(kind: str, length: int, file: str, tmp_path: Path) -> None:
    """A checkpoint of the last epoch or iteration is saved before the val flow after it; resuming runs that flow."""

    def stages(resume: bool) -> list[str]:
        runner = make_runner(kind, length, work_dir=tmp_path, meta={})
        runner.register_training_hooks(None, {}, {"interval": length})
        recorder = Recorder(
            lambda stage, r: stage if stage.startswith("before_") and "_iter" in stage else None
        )
        runner.register_hook(recorder)
        if resume:
            runner.resume(tmp_path / file)
        runner.run([numbers(2), numbers(2)], [("train", 2), ("val", 1)])
        return recorder.seen

    whole = stages(resume=False)
    rest = stages(resume=True)
    assert rest == whole[-len(rest) :]
    assert set(rest) == {"before_val_iter"}


class Rising(Hook):
    """Adds a growing amount to the weight in each iteration; the amount is reset around each epoch."""

    def before_epoch(self, runner: Any) -> None:
        self.push = 1.0

    def after_train_iter(self, runner: Any) -> None:
        self.push *= 2
        with torch.no_grad():
            runner.model.w += self.push

    def after_epoch(self, runner: Any) -> None:
        self.push = -1.0

    def state_dict(self) -> dict[str, Any]:
        return {"push": self.push}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.push = state["push"]


@pytest.mark.parametrize("interrupted", [True, False])
@pytest.mark.parametrize("averages", [True, False])
@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_state_of_hooks_is_restored_after_before_run_and_before_epoch(
    kind: str, averages: bool, interrupted: bool
) -> None:
    """A hook resumes with its saved state, although it was reset when the epoch started again."""

    def build(folder: str, stop_at: int | None) -> Any:
        runner = make_runner(kind, 1 if kind == "epoch" else 6, work_dir=folder, meta={})
        runner.register_training_hooks(None, {}, {"interval": 100}, custom_hooks_config=[Rising()])
        if averages:
            runner.register_hook(EMAHook(momentum=0.3))
        stop = Recorder(
            lambda stage, r: (
                r.stop("enough", interrupted) if (stage, r.iter) == ("after_train_iter", stop_at) else None
            )
        )
        runner.register_hook(stop, "LOWEST")
        return runner

    runner = build("whole", None)
    runner.run([numbers(6)], [("train", 1)])
    whole = runner.model.state_dict()
    build("broken", 2).run([numbers(6)], [("train", 1)])
    runner = build("resumed", None)
    runner.resume("broken/iter_3.pth")
    runner.run([numbers(6)], [("train", 1)])
    assert runner.iter == 6
    assert same(runner.model.state_dict(), whole)
