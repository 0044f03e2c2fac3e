from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LOGGER, Recorder, Scalar, make_runner, numbers

from cfgtrain.data.loader import EpochDataLoader
from cfgtrain.data.samplers import EpochSampler
from cfgtrain.errors import ArgumentError
from cfgtrain.runner import Hook, IterBasedRunner, IterLoader
from cfgtrain.runner.position import LoaderPosition

# stage, mode, iter, inner_iter
TRACE = """
before_run         None   0 0
before_epoch       None   0 0
before_train_iter  train  0 0
after_train_iter   train  0 0
before_train_iter  train  1 1
after_train_iter   train  1 1
before_val_iter    val    2 0
after_val_iter     val    2 0
before_train_iter  train  2 0
after_train_iter   train  2 0
before_val_iter    val    3 0
after_val_iter     val    3 0
after_epoch        val    3 1
after_run          val    3 1
"""

ITER_STAGES = ("run", "epoch", "train_iter", "val_iter")


class Tracer(Hook):
    """Records the stages that an iteration runner calls."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []
        for stage in (f"{when}_{what}" for when in ("before", "after") for what in ITER_STAGES):
            setattr(self, stage, lambda runner, stage=stage: self.seen.append(_line(stage, runner)))


def _line(stage: str, runner: Any) -> tuple[str, ...]:
    return stage, str(runner.mode), str(runner.iter), str(runner.inner_iter)


def test_stages_and_counters() -> None:
    """Hooks are called, and counters advance, exactly as in MMCV; there is no ``max_epochs``."""
    runner, tracer = make_runner("iter", 3), Tracer()
    runner.register_hook(tracer)
    runner.run([numbers(5), numbers(5)], [("train", 2), ("val", 1)])
    assert tracer.seen == [tuple(line.split()) for line in TRACE.strip().splitlines()]
    assert runner.max_epochs is None


def test_train_and_val_epochs_are_never_called() -> None:
    """An iteration runner has no stages for train or val epochs."""
    runner, recorder = make_runner("iter", 4), Recorder(lambda stage, runner: stage)
    runner.register_hook(recorder)
    runner.run([numbers(2), numbers(2)], [("train", 1), ("val", 1)])
    assert not [stage for stage in recorder.seen if stage.endswith(("train_epoch", "val_epoch"))]


def test_epoch_advances_one_iteration_late() -> None:
    """``epoch`` is read before the batch is fetched, as in MMCV, so a new epoch shows in its second iteration."""
    runner = make_runner("iter", 6)
    recorder = Recorder(lambda stage, r: r.epoch if stage == "before_train_iter" else None)
    runner.register_hook(recorder)
    runner.run([numbers(2)], [("train", 1)])
    assert recorder.seen == [0, 0, 0, 1, 1, 2]


def test_exhausted_loader_starts_again() -> None:
    """The loader of each flow starts again when it is exhausted, and has its own position."""
    runner = make_runner("iter", 5)
    recorder = Recorder(
        lambda stage, r: (
            (r.mode, r.data_batch.item()) if stage.startswith("before_") and stage.endswith("iter") else None
        )
    )
    runner.register_hook(recorder)
    runner.run([numbers(3), numbers(2)], [("train", 2), ("val", 1)])
    trained = [value for mode, value in recorder.seen if mode == "train"]
    validated = [value for mode, value in recorder.seen if mode == "val"]
    assert trained == [0, 1, 2, 0, 1]
    assert validated == [0, 1, 0]


def test_each_epoch_of_a_seeded_loader_has_its_own_order() -> None:
    """When it starts again, an ``EpochDataLoader`` is set to the next epoch."""
    loader = EpochDataLoader(range(8), EpochSampler(8, seed=1), 8)
    stream = IterLoader(loader)
    first, second = next(stream), next(stream)
    assert first.tolist() == EpochSampler(8, seed=1).order(0)
    assert second.tolist() == EpochSampler(8, seed=1).order(1)
    assert stream.epoch == 1


def test_iter_loader_can_begin_anywhere() -> None:
    """An IterLoader that starts at an epoch and a batch continues from there and knows its position."""
    stream = IterLoader(numbers(3), LoaderPosition(4, 2))
    assert (len(stream), stream.position) == (3, LoaderPosition(4, 2))
    assert [next(stream).item() for _ in range(2)] == [2, 0]
    assert stream.position == LoaderPosition(5, 1)


def test_empty_loader_is_an_error() -> None:
    """A loader without batches is refused, instead of an endless loop."""
    with pytest.raises(ArgumentError, match="no batch"):
        next(IterLoader([]))


def test_mode_of_the_model_follows_the_flow() -> None:
    """The model is in train mode in train flows; in val flows it is in eval mode without gradients."""
    runner = make_runner("iter", 2)
    recorder = Recorder(
        lambda stage, r: (
            (r.model.training, torch.is_grad_enabled())
            if stage.startswith("before_") and stage.endswith("iter")
            else None
        )
    )
    runner.register_hook(recorder)
    runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])
    assert recorder.seen == [(True, True), (False, False)] * 2


def test_after_run_is_called_after_an_error() -> None:
    """An exception is raised after ``after_run`` was called once."""

    def fail(stage: str, runner: Any) -> str:
        if stage == "after_train_iter":
            raise ZeroDivisionError
        return stage

    runner, recorder = make_runner("iter", 2), Recorder(fail)
    runner.register_hook(recorder)
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1)], [("train", 1)])
    assert recorder.seen[-1] == "after_run"
    assert recorder.seen.count("after_run") == 1


def test_stop_ends_the_run_after_the_iteration() -> None:
    """``stop`` lets the iteration finish, also in the middle of a flow."""
    runner = make_runner("iter", 9)
    runner.register_hook(Recorder(lambda stage, r: r.stop("enough") if r.iter == 2 else None))
    runner.run([numbers(2)], [("train", 5)])
    assert (runner.iter, runner.stop_reason) == (3, "enough")


def test_new_length_applies_within_a_flow() -> None:
    """A hook that shortens the run also ends a flow of several iterations."""
    runner = make_runner("iter", 9)
    runner.register_hook(Recorder(lambda stage, r: setattr(r, "_max_iters", 4) if r.iter == 2 else None))
    runner.run([numbers(2)], [("train", 8)])
    assert runner.iter == 4


def test_length_as_argument_of_run_is_deprecated() -> None:
    """``run(max_iters=...)`` causes a warning."""
    runner = make_runner("iter", 5)
    with pytest.warns(DeprecationWarning, match="max_iters"):
        runner.run([numbers(1)], [("train", 1)], max_iters=2)
    assert runner.iter == 2


def test_length_is_needed() -> None:
    """A run without ``max_iters`` is an error."""
    with pytest.raises(AssertionError, match="needs max_iters"):
        IterBasedRunner(Scalar(), logger=LOGGER).run([numbers(1)], [("train", 1)])


def test_checkpoint_name_counts_complete_iterations() -> None:
    """A checkpoint after the third iteration is ``iter_3.pth``, with the same meta as in MMCV."""
    runner = make_runner("iter", 3)
    runner.register_hook(
        Recorder(lambda stage, r: r.save_checkpoint(".") if stage == "after_train_iter" else None)
    )
    runner.run([numbers(2)], [("train", 1)])
    assert sorted(path.name for path in Path().glob("iter_*")) == ["iter_1.pth", "iter_2.pth", "iter_3.pth"]
    meta = torch.load("iter_3.pth")["meta"]
    assert (meta["epoch"], meta["iter"]) == (1, 2)


def test_checkpoint_before_the_run() -> None:
    """A new runner can be saved, and resumed at its start."""
    runner = make_runner("iter", 2)
    path = runner.save_checkpoint(".")
    assert path == "iter_1.pth"
    second = make_runner("iter", 2)
    second.resume(path)
    second.run([numbers(1)], [("train", 1)])
    assert second.iter == 2


def test_stream_without_a_length_starts_again() -> None:
    """A loader without a length starts again when it ends; reading its length is an error."""

    class Endless:
        def __iter__(self) -> Any:
            return iter(numbers(3))

    runner = make_runner("iter", 7)
    runner.register_training_hooks(
        {"policy": "poly"}, {}, log_config={"interval": 2, "hooks": [{"type": "TextLoggerHook"}]}
    )
    runner.run([Endless()], [("train", 1)])
    assert (runner.iter, runner.data_loader.position) == (7, LoaderPosition(2, 1))
    with pytest.raises(TypeError, match="Endless has no length"):
        len(runner.data_loader)


@pytest.mark.parametrize("sampler", ["sampler", "batch_sampler"])
def test_set_epoch_of_samplers_is_called(sampler: str) -> None:
    """When the loader starts again, ``set_epoch`` of its sampler is called, also inside a batch sampler."""
    told: list[int] = []

    class Telling(torch.utils.data.SequentialSampler):
        def set_epoch(self, epoch: int) -> None:
            told.append(epoch)

    data, order = range(2), Telling(range(2))
    if sampler == "batch_sampler":
        batches = torch.utils.data.BatchSampler(order, 1, False)
        stream = IterLoader(torch.utils.data.DataLoader(data, batch_sampler=batches))
    else:
        stream = IterLoader(torch.utils.data.DataLoader(data, sampler=order))
    for _ in range(5):
        next(stream)
    assert told == [0, 1, 2]


def test_validation_is_logged_separately(tmp_path: Path) -> None:
    """Values of val flows are averaged over the flow and are not part of the training averages."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {"log_vars": {"loss": 1.0}, "num_samples": 1}
    model.val_step = lambda batch, optimizer: {"log_vars": {"loss": 100.0 + float(batch)}, "num_samples": 1}
    runner = make_runner("iter", 4, model, work_dir=tmp_path)
    runner.register_logger_hooks({"interval": 4, "hooks": [{"type": "TextLoggerHook", "by_epoch": False}]})
    runner.run([numbers(9), numbers(9)], [("train", 2), ("val", 3)])
    (file,) = tmp_path.glob("*.log.json")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["mode"], line["loss"], line["iter"]) for line in lines] == [
        ("val", 101.0, 3),
        ("train", 1.0, 4),
        ("val", 104.0, 3),
    ]


def test_frozen_layers_stay_frozen() -> None:
    """Train mode is only set on a model that is not in it, so a layer that a hook set to eval is not changed."""
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(1), torch.nn.Linear(1, 1))
    model.train_step = lambda batch, optimizer: {}
    runner = make_runner("iter", 3, model)
    runner.register_hook(
        Recorder(lambda stage, r: r.model[0].eval() and None if stage == "before_run" else None)
    )
    seen = Recorder(
        lambda stage, r: (r.model.training, r.model[0].training) if stage == "after_train_iter" else None
    )
    runner.register_hook(seen)
    runner.run([numbers(2)], [("train", 1)])
    assert seen.seen == [(True, False)] * 3


@pytest.mark.parametrize("at", [1, 2, 4])
def test_resumed_validation_is_logged_as_a_whole(at: int, tmp_path: Path) -> None:
    """A run that stops within a val flow resumes there, and the log line of the flow is the same."""

    def lines(folder: Path, stop: int | None = None, resume: bool = False) -> list[Any]:
        model = Scalar()
        model.val_step = lambda batch, optimizer: {"log_vars": {"loss": float(batch)}, "num_samples": 1}
        runner = make_runner("iter", 4, model, work_dir=folder, meta={})
        runner.timestamp = "resumed" if resume else "begun"
        runner.register_training_hooks(
            None,
            {},
            None,
            {"interval": 2, "hooks": [{"type": "TextLoggerHook", "by_epoch": False}]},
            timer_config=None,
        )
        seen: list[int] = []
        stopping = Hook()
        stopping.after_val_iter = lambda r: (
            seen.append(1) or (r.stop("x", interrupted=True) if len(seen) == stop else 0)
        )
        runner.register_hook(stopping)
        if resume:
            runner.resume(folder / "latest.pth")
        runner.run([numbers(9), numbers(9)], [("train", 2), ("val", 3)])
        files = sorted(folder.glob("*.log.json"))
        return [
            line
            for file in files
            for line in map(json.loads, file.read_text().splitlines())
            if "mode" in line
        ]

    whole = lines(tmp_path / "whole")
    lines(tmp_path / "broken", stop=at)
    assert lines(tmp_path / "broken", resume=True) == whole
    assert [line["loss"] for line in whole if line["mode"] == "val"] == [1.0, 4.0]


def test_single_flow_starts_again() -> None:
    """Iterations are counted from 0 within each flow, and ``last_of_flow`` is set in the last one."""
    runner = make_runner("iter", 7)
    recorder = Recorder(
        lambda stage, r: (r.inner_iter, r.last_of_flow) if stage == "after_train_iter" else None
    )
    runner.register_hook(recorder)
    runner.run([numbers(5)], [("train", 3)])
    assert recorder.seen == [*[(0, False), (1, False), (2, True)] * 2, (0, False)]
    assert runner.inner_iter == 1


def test_resumed_with_a_shorter_flow(tmp_path: Path) -> None:
    """If the saved position is after the end of a flow that is now shorter, the next flow starts."""
    runner = make_runner("iter", 9, work_dir=tmp_path, meta={})
    stopping = Hook()
    stopping.after_train_iter = lambda r: r.stop("x", interrupted=True) if r.iter == 3 else None
    runner.register_hook(stopping)
    runner.run([numbers(5)], [("train", 5)])

    runner = make_runner("iter", 9, work_dir=tmp_path, meta={})
    recorder = Recorder(lambda stage, r: r.inner_iter if stage == "after_train_iter" else None)
    runner.register_hook(recorder)
    runner.resume(tmp_path / "latest.pth")
    runner.run([numbers(5)], [("train", 2)])
    assert (runner.iter, recorder.seen) == (9, [0, 1, 0, 1, 0])


def test_length_that_a_hook_changes_is_used() -> None:
    """A hook written for MMCV that sets the private attribute shortens the run."""
    runner, hook = make_runner("iter", 9), Hook()
    hook.after_train_iter = lambda r: setattr(r, "_max_iters", 4)
    runner.register_hook(hook)
    runner.run([numbers(5)], [("train", 1)])
    assert runner.iter == 4
