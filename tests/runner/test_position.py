from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LOGGER, RUNNERS, Recorder, Scalar, make_runner, numbers

from cfgtrain.runner import EpochBasedRunner, Hook, IterBasedRunner, IterLoader, OptimizerHook
from cfgtrain.runner.position import Increment, LoaderPosition, Position

STEP, EPOCH = Increment(iter=1, batches_done=1), Increment(epoch=1, flow_done=1)


def test_completed_step_is_counted_by_advance() -> None:
    """Hooks of a step see the counters before it; ``advance`` counts the step once."""
    position = Position(epoch=1, iter=7, inner_iter=2, batches_done=2, completed=STEP)
    assert (position.iter, position.batches_done) == (7, 2)
    position.advance()
    position.advance()
    assert position == Position(epoch=1, iter=8, inner_iter=2, batches_done=3)


def test_completed_epoch_begins_the_next() -> None:
    """After an epoch, no batches of the next one are done."""
    position = Position(epoch=1, iter=6, batches_done=3, flow_done=1, completed=EPOCH)
    position.advance()
    assert position == Position(epoch=2, iter=6, batches_done=0, flow_done=2)


@pytest.mark.parametrize("completed", [None, STEP, EPOCH])
def test_following_changes_nothing(completed: Increment | None) -> None:
    """``following`` returns what ``advance`` would lead to, without changing the position."""
    position, same = (Position(epoch=1, iter=6, batches_done=3, completed=completed) for _ in range(2))
    following = position.following()
    assert position == same
    position.advance()
    assert following == position


def test_state_of_a_position() -> None:
    """The saved form is that of earlier versions; the batches of the epoch are ``inner_iter`` in it."""
    state = {"epoch": 2, "iter": 9, "inner_iter": 1, "flow": 1, "flow_done": 3, "loaders": [(2, 1), (0, 4)]}
    position = Position(completed=STEP)
    position.load_state_dict(state)
    assert position == Position(
        2, 9, 1, batches_done=1, flow=1, flow_done=3, loaders=[LoaderPosition(2, 1), LoaderPosition(0, 4)]
    )
    assert position.state_dict() == state


@pytest.mark.parametrize("name", ["epoch", "iter", "inner_iter", "max_epochs", "max_iters"])
@pytest.mark.parametrize("kind", RUNNERS)
def test_counters_of_mmcv_can_be_read_and_written(kind: str, name: str) -> None:
    """Code written for MMCV sets the counters by their private names; the public ones follow."""
    runner = make_runner(kind, 3)
    assert getattr(runner, f"_{name}") == getattr(runner, name)
    setattr(runner, f"_{name}", 2)
    assert getattr(runner, f"_{name}") == getattr(runner, name) == 2


@pytest.mark.parametrize(("kind", "expected"), [("epoch", [4, 5]), ("iter", [2])])
def test_run_starts_at_counters_that_were_set(kind: str, expected: list[int]) -> None:
    """The run ends as if it had been resumed there, and its checkpoints are numbered accordingly."""
    runner = make_runner(kind, 3, work_dir="run", meta={})
    runner._epoch, runner._iter = 2, 4 if kind == "epoch" else 2
    seen = Recorder(lambda stage, r: r.iter if stage == "before_train_iter" else None)
    runner.register_hook(seen)
    runner.register_checkpoint_hook({"interval": 1, "by_epoch": False})
    runner.run([numbers(2)], [("train", 1)])
    assert seen.seen == expected
    saved = torch.load("run/latest.pth")["resume"]["position"]
    assert saved["iter"] == runner.iter == expected[-1] + 1
    if kind == "epoch":
        assert (saved["epoch"], saved["inner_iter"]) == (2, 2)


@pytest.mark.parametrize("kind", RUNNERS)
def test_counter_that_a_hook_sets_is_used_immediately(kind: str) -> None:
    """A hook that sets ``_iter`` after a step moves the run, and the step is counted after it."""
    runner, seen = make_runner(kind, {"epoch": 1, "iter": 13}[kind]), []
    hook = Hook()
    hook.before_train_iter = lambda r: seen.append(r.iter)
    hook.after_train_iter = lambda r: setattr(r, "_iter", 10) if r.iter == 1 else None
    runner.register_hook(hook)
    runner.run([numbers(4)], [("train", 1)])
    assert seen == [0, 1, 11, 12]


class OldRunner(EpochBasedRunner):
    """A runner of a project for MMCV 1.x, with a loop of its own."""

    def train(self, data_loader: Any, **kwargs: Any) -> None:
        self.mode, self.data_loader = "train", data_loader
        self._max_iters = self._max_epochs * len(data_loader)
        self.call_hook("before_train_epoch")
        for i, batch in enumerate(data_loader):
            self._inner_iter = i
            self.call_hook("before_train_iter")
            self.run_iter(batch, train_mode=True)
            self.call_hook("after_train_iter")
            self._iter += 1
        self.call_hook("after_train_epoch")
        self._epoch += 1


class OldIterRunner(IterBasedRunner):
    """The same by iteration."""

    def train(self, data_loader: Any, **kwargs: Any) -> None:
        self.mode, self.data_loader = "train", data_loader
        self._epoch = data_loader.epoch
        self.data_batch = next(data_loader)
        self.call_hook("before_train_iter")
        self.outputs = self.model.train_step(self.data_batch, self.optimizer)
        self.call_hook("after_train_iter")
        self._inner_iter += 1
        self._iter += 1


class OldIterRun(OldIterRunner):
    """One whose ``run`` is its own too."""

    def run(
        self, data_loaders: list[Any], workflow: list[tuple[str, int]], *args: Any, **kwargs: Any
    ) -> None:
        self.call_hook("before_run")
        stream = IterLoader(data_loaders[0])
        while self.iter < self._max_iters:
            self.train(stream)
        self.call_hook("after_run")


@pytest.mark.parametrize(
    ("kind", "unit"), [(OldRunner, "epoch"), (OldIterRunner, "iter"), (OldIterRun, "iter")]
)
def test_a_checkpoint_of_a_runner_written_for_mmcv(kind: Any, unit: str, tmp_path: Path) -> None:
    """It has the counts after its epoch or iteration, so that a resumed run continues with the next one."""

    def run(length: int, checkpoint: str = "") -> Any:
        model = Scalar()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        runner = kind(
            model, optimizer=optimizer, work_dir=str(tmp_path), logger=LOGGER, **{f"max_{unit}s": length}
        )
        runner.register_hook(OptimizerHook())
        runner.register_checkpoint_hook({"interval": 1, "by_epoch": unit == "epoch"})
        if checkpoint:
            runner.resume(checkpoint)
            assert getattr(runner, unit) == 2
        runner.run([numbers(2)], [("train", 1)])
        return runner

    whole = run(3)
    assert torch.load(tmp_path / f"{unit}_3.pth")["resume"]["position"][unit] == 3
    resumed = run(3, str(tmp_path / f"{unit}_2.pth"))
    assert (resumed.iter, getattr(resumed, unit)) == (whole.iter, getattr(whole, unit))
    assert torch.equal(*(next(each.model.parameters()) for each in (whole, resumed)))


def test_runner_written_for_mmcv_advances_the_counters() -> None:
    """A subclass whose ``train`` advances the private counters, as in MMCV, runs its epochs."""
    runner = OldRunner(Scalar(), logger=LOGGER, max_epochs=2)
    seen = Recorder(
        lambda stage, r: (r.epoch, r.iter, r.inner_iter) if stage == "before_train_iter" else None
    )
    runner.register_hook(seen)
    runner.run([numbers(2), numbers(1)], [("train", 1), ("val", 1)])
    assert seen.seen == [(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 3, 1)]
    assert (runner.epoch, runner.iter) == (2, 4)


def test_batch_position_is_that_of_the_loader() -> None:
    """In a val flow, epoch and index are those of its loader, and the iteration is that of the training."""
    seen: dict[str, list[Any]] = {}
    for kind in RUNNERS:
        runner = make_runner(kind, {"epoch": 2, "iter": 4}[kind])
        recorder = Recorder(lambda stage, r: r.batch_position if stage.startswith("after_") else None)
        for stage in ("after_train_epoch", "after_val_epoch", "after_run"):
            recorder.__dict__.pop(stage)
        runner.register_hook(recorder)
        runner.run([numbers(2), numbers(1)], [("train", 2), ("val", 1)])
        seen[kind] = recorder.seen
    assert seen["epoch"] == [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1), (4, 0, 0)]
    assert seen["iter"] == [(0, 0, 0), (1, 0, 1), (2, 0, 0), (2, 1, 0), (3, 1, 1), (4, 1, 0)]
