from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tiny import RUNNERS, Recorder, Scalar, make_runner, numbers

from cfgtrain.runner import Hook, IterTimerHook
from cfgtrain.runner.hooks import timer


class Inside(Hook):
    """Records when its context is entered and exited."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen

    @contextmanager
    def step_context(self, runner: Any) -> Iterator[None]:
        self.seen.append(f"{self.name} opens")
        try:
            yield
        finally:
            self.seen.append(f"{self.name} closes")


def stages_of_an_iteration(stage: str, runner: Any) -> str | None:
    return stage if stage.endswith("iter") else None


@pytest.mark.parametrize("kind", RUNNERS)
def test_step_context_is_open_in_the_training_step_only(kind: str) -> None:
    """Contexts of several hooks are nested; other hooks and val steps run outside of them."""
    model, seen = Scalar(), []
    model.train_step = lambda batch, optimizer: seen.append("train_step") or {}
    model.val_step = lambda batch, optimizer: seen.append("val_step") or {}
    runner = make_runner(kind, 1, model)
    recorder = Recorder(stages_of_an_iteration)
    recorder.seen = seen
    runner.register_hook(recorder)
    for name in ("first", "second"):
        runner.register_hook(Inside(name, seen))
    runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])
    train = ["first opens", "second opens", "train_step", "second closes", "first closes"]
    assert seen == [
        *("before_train_iter", *train, "after_train_iter"),
        *("before_val_iter", "val_step", "after_val_iter"),
    ]


def test_step_context_is_closed_after_an_error() -> None:
    """After a failed step, no context is open."""
    model, seen = Scalar(), []
    model.train_step = lambda batch, optimizer: 1 / 0
    runner = make_runner("epoch", 1, model)
    runner.register_hook(Inside("it", seen))
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1)], [("train", 1)])
    assert seen == ["it opens", "it closes"]


def test_only_overridden_step_contexts_are_entered() -> None:
    """The context of a hook that does not override ``step_context``, or is idle, is not entered."""
    runner, seen = make_runner("epoch", 1), []
    idle = Inside("idle", seen)
    idle.idle_stages = ("step_context",)
    for hook in (Hook(), idle):
        runner.register_hook(hook)
    runner.run([numbers(1)], [("train", 1)])
    assert (seen, runner.hook_list.step_contexts) == ([], [])


def test_step_context_of_a_hook_added_during_the_run() -> None:
    """A hook that another hook registers during the run has its context entered from then on."""
    runner, seen = make_runner("epoch", 1), []
    adding = Hook()
    adding.before_train_iter = lambda r: r.register_hook(Inside("new", seen)) if r.iter == 1 else None
    runner.register_hook(adding)
    runner.run([numbers(4)], [("train", 1)])
    assert seen == ["new opens", "new closes"] * 2


def test_flushed_logs_are_those_of_the_training(tmp_path: Path) -> None:
    """Pending values are logged by every logger before anything else is logged, and new averages start."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {"log_vars": {"loss": float(batch)}, "num_samples": 1}
    runner = make_runner("iter", 6, model, work_dir=tmp_path)
    runner.register_logger_hooks({"interval": 2, "hooks": [{"type": "TextLoggerHook", "by_epoch": False}]})
    flushing = Hook()

    def flush(runner: Any) -> None:
        if runner.iter in (2, 3):
            runner.flush_logs()
            assert not runner.log_buffer.output
            assert not runner.log_buffer.val_history
            runner.log_buffer.output["score"] = 7.0
            runner.log_buffer.ready = True

    flushing.after_train_iter = flush
    runner.register_hook(flushing)
    runner.run([numbers(6)], [("train", 1)])
    (file,) = tmp_path.glob("*.log.json")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    seen = [(line["iter"], line.get("loss"), line.get("score")) for line in lines]
    assert seen == [(2, 0.5, None), (3, None, 7.0), (4, 3.0, None), (4, None, 7.0), (6, 4.5, None)]


def test_excluded_time_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Excluded time is part of neither ``time`` nor ``data_time`` of an iteration."""
    now = 0.0

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(timer, "perf_counter", lambda: now)
    model = Scalar()
    model.train_step = lambda batch, optimizer: work(1.0) or {}
    runner = make_runner("epoch", 1, model)
    runner.register_hook(IterTimerHook())
    slow = Hook()

    def evaluate(runner: Any) -> None:
        work(100.0)
        runner.exclude_time(100.0)

    slow.after_train_iter = evaluate
    runner.register_hook(slow, "HIGH")
    runner.run([numbers(3)], [("train", 1)])
    history = runner.log_buffer.val_history
    assert (list(history["time"]), list(history["data_time"])) == ([1.0] * 3, [0.0] * 3)


@pytest.mark.parametrize("kind", RUNNERS)
def test_runner_is_freed_with_its_last_reference(kind: str, tmp_path: Path) -> None:
    """No reference cycle keeps a runner, its model and its workers alive until a garbage collection."""
    runner = make_runner(kind, 1, work_dir=tmp_path, meta={})
    runner.register_training_hooks(
        {"policy": "step", "step": 1},
        {},
        {"interval": 1},
        {"interval": 1, "hooks": [{"type": "TextLoggerHook"}]},
        {"policy": "step", "step": 1},
    )
    runner.run([numbers(2), numbers(1)], [("train", 1), ("val", 1)])
    reference = weakref.ref(runner)
    gc.disable()
    try:
        del runner
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", RUNNERS)
def test_the_loader_of_the_first_flow_is_known_before_the_run(kind: str) -> None:
    """A hook can read the length of the loader and its dataset in ``before_run``."""
    runner = make_runner(kind, 1)
    recorder = Recorder(lambda stage, runner: len(runner.data_loader) if stage == "before_run" else None)
    runner.register_hook(recorder)
    runner.run([numbers(3), numbers(2)], [("train", 1), ("val", 1)])
    assert recorder.seen == [3]
