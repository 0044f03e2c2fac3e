from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LOGGER, Recorder, Scalar, make_runner, numbers
from torch import nn

from cfgtrain.data.builder import build_dataloader
from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.runner import ClosureHook, EpochBasedRunner, Hook, Runner, build_runner

# stage, mode, epoch, iter, inner_iter, whether there is a batch
TRACE = """
before_run          None   0 0 0 -
before_train_epoch  train  0 0 0 -
before_train_iter   train  0 0 0 batch
after_train_iter    train  0 0 0 batch
before_train_iter   train  0 1 1 batch
after_train_iter    train  0 1 1 batch
after_train_epoch   train  0 2 1 -
before_val_epoch    val    1 2 1 -
before_val_iter     val    1 2 0 batch
after_val_iter      val    1 2 0 batch
after_val_epoch     val    1 2 0 -
before_train_epoch  train  1 2 0 -
before_train_iter   train  1 2 0 batch
after_train_iter    train  1 2 0 batch
before_train_iter   train  1 3 1 batch
after_train_iter    train  1 3 1 batch
after_train_epoch   train  1 4 1 -
before_val_epoch    val    2 4 1 -
before_val_iter     val    2 4 0 batch
after_val_iter      val    2 4 0 batch
after_val_epoch     val    2 4 0 -
after_run           val    2 4 0 -
"""


def _line(stage: str, runner: Any) -> tuple[str, ...]:
    batch = "batch" if hasattr(runner, "data_batch") else "-"
    return (stage, *map(str, (runner.mode, runner.epoch, runner.iter, runner.inner_iter)), batch)


def test_stages_and_counters() -> None:
    """Hooks are called, and counters advance, exactly as in MMCV."""
    runner, recorder = make_runner("epoch", 2), Recorder(_line)
    runner.register_hook(recorder)
    runner.run([numbers(2), numbers(1)], [("train", 1), ("val", 1)])
    assert recorder.seen == [tuple(line.split()) for line in TRACE.strip().splitlines()]


@pytest.mark.parametrize(
    ("workflow", "max_epochs", "flows"),
    [
        ([("train", 1)], 3, "T0 T1 T2"),
        ([("train", 2), ("val", 1)], 3, "T0 T1 V2 T2 V3"),
        ([("val", 1), ("train", 1)], 2, "V0 T0 V1 T1"),
        ([("train", 5), ("val", 2)], 5, "T0 T1 T2 T3 T4 V5 V5"),
        ([("train", 1), ("val", 1)], 0, ""),
    ],
)
def test_workflow(workflow: list[tuple[str, int]], max_epochs: int, flows: str) -> None:
    """A train flow stops at the last epoch, later flows still run, and val passes do not count as epochs."""
    runner = make_runner("epoch", max_epochs)
    letters = {"before_train_epoch": "T", "before_val_epoch": "V"}
    recorder = Recorder(lambda stage, r: f"{letters[stage]}{r.epoch}" if stage in letters else None)
    runner.register_hook(recorder)
    runner.run([numbers(1)] * len(workflow), workflow)
    assert " ".join(recorder.seen) == flows


def test_length_in_iterations_is_known_before_the_run() -> None:
    """``max_iters`` is computed from the first train flow, and hooks can read it in ``before_run``."""
    runner = make_runner("epoch", 3)
    recorder = Recorder(lambda stage, r: r.max_iters if stage == "before_run" else None)
    runner.register_hook(recorder)
    runner.run([numbers(2), numbers(4)], [("val", 1), ("train", 1)])
    assert recorder.seen == [12]


def test_mode_of_the_model_follows_the_flow() -> None:
    """The model is in train mode in train flows; in val flows it is in eval mode without gradients."""
    runner = make_runner("epoch", 1)
    recorder = Recorder(
        lambda stage, r: (
            (r.model.training, torch.is_grad_enabled()) if "before" in stage and "iter" in stage else None
        )
    )
    runner.register_hook(recorder)
    runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])
    assert recorder.seen == [(True, True), (False, False)]


def test_steps_get_batch_and_optimizer() -> None:
    """Both steps receive the batch, the optimizer and the keyword arguments of ``run``."""
    calls: list[Any] = []
    model = Scalar()
    model.train_step = lambda *args, **kwargs: calls.append(("train", args, kwargs)) or {}
    model.val_step = lambda *args, **kwargs: calls.append(("val", args, kwargs)) or {}
    runner = make_runner("epoch", 1, model)
    runner.run([["a"], ["b"]], [("train", 1), ("val", 1)], extra=1)
    assert calls == [
        ("train", ("a", runner.optimizer), {"extra": 1}),
        ("val", ("b", runner.optimizer), {"extra": 1}),
    ]


def test_outputs_are_kept_and_log_vars_are_buffered() -> None:
    """``outputs`` is what the last step returned, and its ``log_vars`` are weighted by ``num_samples``."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {"log_vars": {"n": batch}, "num_samples": batch}
    runner = make_runner("epoch", 1, model)
    runner.run([[1, 3]], [("train", 1)])
    runner.log_buffer.average()
    assert runner.outputs == {"log_vars": {"n": 3}, "num_samples": 3}
    assert runner.log_buffer.output == {"n": 2.5}


@pytest.mark.parametrize("mode", ["train", "val"])
def test_step_returns_a_dict(mode: str) -> None:
    """A step that returns anything else raises a TypeError that names the step and the model."""
    model = Scalar()
    setattr(model, f"{mode}_step", lambda batch, optimizer: 1.0)
    runner = make_runner("epoch", 1, model)
    with pytest.raises(TypeError, match=f"{mode}_step of Scalar must return a dict, not a float"):
        runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])


def test_any_method_can_be_a_flow() -> None:
    """A workflow may name any method of the runner."""

    class Measuring(EpochBasedRunner):
        def measure(self, data_loader: Any, **kwargs: Any) -> None:
            self.measured = list(data_loader)

    model = Scalar()
    runner = Measuring(
        model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), logger=LOGGER, max_epochs=1
    )
    runner.run([numbers(1), "xyz"], [("train", 1), ("measure", 1)])
    assert runner.measured == ["x", "y", "z"]


@pytest.mark.parametrize("stage", ["before_run", "before_train_epoch", "after_train_iter", "after_val_iter"])
def test_after_run_is_called_after_an_error_at_any_stage(stage: str) -> None:
    """An exception at any stage is raised after ``after_run`` was called once."""

    def fail(at: str, runner: Any) -> str:
        if at == stage:
            raise ZeroDivisionError
        return at

    runner, recorder = make_runner("epoch", 1), Recorder(fail)
    runner.register_hook(recorder)
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])
    assert recorder.seen.count("after_run") == 1
    assert recorder.seen[-1] == "after_run"


def test_after_run_is_called_after_an_error_of_the_model() -> None:
    """An exception in ``train_step`` is also raised after ``after_run``."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: 1 / 0
    runner, recorder = make_runner("epoch", 1, model), Recorder(lambda stage, runner: stage)
    runner.register_hook(recorder)
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1)], [("train", 1)])
    assert recorder.seen[-2:] == ["before_train_iter", "after_run"]


@pytest.mark.parametrize("at", [0, 1, 3])
def test_stop_ends_the_run_after_the_iteration(at: int) -> None:
    """``stop`` lets the iteration finish; the first reason is kept and ``after_run`` is called."""
    runner = make_runner("epoch", 3)

    def stop(stage: str, runner: Any) -> str:
        if stage == "before_train_iter" and runner.iter == at:
            runner.stop("enough")
            runner.stop("again")
        return stage

    recorder = Recorder(stop)
    runner.register_hook(recorder)
    runner.run([numbers(2)], [("train", 1)])
    assert runner.iter == at + 1
    assert runner.stop_reason == "enough"
    assert recorder.seen[-2:] == ["after_train_iter", "after_run"]


def test_stop_while_a_line_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A signal handler may call ``stop`` while a line is logged: the reason is logged once, later."""
    lines: list[str] = []

    class Signalled(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            begun = len(lines)
            if record.getMessage() == "a line":
                runner.stop("SIGINT", interrupted=True)
                assert runner.stopping
            assert len(lines) == begun
            lines.append(record.getMessage())

    runner = make_runner("epoch", 1)
    caplog.set_level(logging.INFO, runner.logger.name)
    handler = Signalled()
    runner.logger.addHandler(handler)
    try:
        runner.logger.warning("a line")
        assert lines == ["a line"]
        runner.run([numbers(2)], [("train", 1)])
    finally:
        runner.logger.removeHandler(handler)
    assert runner.iter == 0
    assert lines.count("Stopping: SIGINT") == 1


@pytest.mark.parametrize("leaves", [False, True])
def test_reason_of_an_interruption_is_logged_once_before_the_end(
    leaves: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is the first line about the end of the run, whether or not a hook raises ``StopRun``."""
    runner, lines = make_runner("epoch", 1, work_dir=tmp_path), []

    def stop(runner: Any) -> None:
        runner.stop("SIGTERM", interrupted=True)
        if leaves:
            runner.check_interrupt()

    monkeypatch.setattr(runner.logger, "info", lambda text, *args: lines.append(text))
    monkeypatch.setattr(runner.run_checkpoint, "save_interrupted", lambda runner: lines.append("saved"))
    runner.register_hook(ClosureHook("after_train_epoch" if leaves else "after_train_iter", stop))
    runner.run([numbers(2)], [("train", 1)])
    assert lines[-2:] == ["Stopping: %s", "saved"]
    assert lines.count("Stopping: %s") == 1


def test_stop_at_the_end_of_an_epoch_completes_it() -> None:
    """A stop in ``after_train_epoch`` counts the epoch and runs no other flow."""
    runner = make_runner("epoch", 3)
    runner.register_hook(
        Recorder(lambda stage, r: r.stop("plateau") if stage == "after_train_epoch" else None)
    )
    runner.run([numbers(2), numbers(2)], [("train", 1), ("val", 1)])
    assert (runner.epoch, runner.iter, runner.mode) == (1, 2, "train")


def test_stop_waits_for_an_open_window() -> None:
    """While gradients are accumulated, a run stops only at the end of the window."""
    runner = make_runner("epoch", 1)
    runner.register_optimizer_hook({"cumulative_iters": 3})
    runner.register_hook(Recorder(lambda stage, r: r.stop("cut") if r.iter == 1 else None))
    runner.run([numbers(9)], [("train", 1)])
    assert runner.iter == 3


def failing_at(where: str) -> Recorder:
    """A hook that fails at a stage."""

    def fail(stage: str, runner: Any) -> None:
        if stage == where:
            raise ZeroDivisionError

    return Recorder(fail)


@pytest.mark.parametrize("stage", ["before_train_epoch", "before_train_iter", "after_train_iter"])
def test_what_was_put_off_is_dropped_after_an_error(stage: str) -> None:
    """What was waiting for the end of a stage is not done when a hook of it failed before the step was complete."""
    runner = make_runner("epoch", 1, work_dir="run")
    done: list[str] = []
    runner.register_hook(Recorder(lambda at, runner: runner.defer(lambda: done.append(at))), "VERY_HIGH")
    runner.register_hook(failing_at(stage), "HIGH")
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1)], [("train", 1)])
    assert stage not in done


@pytest.mark.parametrize("stage", ["after_train_iter", "after_train_epoch"])
def test_a_checkpoint_that_is_due_is_written_before_an_error(stage: str) -> None:
    """A hook that fails after the last step of an epoch does not cost the epoch; a resumed run calls it again."""
    runner = make_runner("epoch", 1, work_dir="run")
    runner.register_checkpoint_hook({"interval": 1})
    runner.register_hook(failing_at(stage), "LOWEST")
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(2)], [("train", 1)])
    # The first iteration of two has no checkpoint that is due.
    expected = ["epoch_1.pth", "latest.pth"] if stage == "after_train_epoch" else []
    assert sorted(path.name for path in Path("run").glob("*.pth")) == expected
    if expected:
        second = make_runner("epoch", 1, work_dir="run")
        again = Recorder(lambda at, runner: (at, runner.epoch) if "train" in at else None)
        second.register_hook(again, "LOWEST")
        second.resume("run/epoch_1.pth")
        second.run([numbers(2)], [("train", 1)])
        assert again.seen == [("before_train_epoch", 0), ("after_train_epoch", 0)]
        assert (second.epoch, second.iter) == (1, 2)


def test_deferred_callbacks_run_after_the_stage_in_reverse_order() -> None:
    """``defer`` calls them when all hooks of the stage have run."""
    seen: list[str] = []

    class Later(Hook):
        def __init__(self, name: str) -> None:
            self.name = name

        def before_run(self, runner: Any) -> None:
            seen.append(self.name)
            runner.defer(lambda: seen.append(f"after {self.name}"))

    runner = make_runner("epoch", 1)
    runner.register_hook(Later("a"))
    runner.register_hook(Later("b"))
    runner.run([numbers(1)], [("train", 1)])
    assert seen == ["a", "b", "after b", "after a"]


def test_unknown_stage_is_refused() -> None:
    """Calling an unknown stage is an error with a suggestion."""
    with pytest.raises(HookError, match="Did you mean 'before_run'"):
        make_runner("epoch", 1).call_hook("befor_run")


CONSTRUCTION: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"logger": None}, TypeError, "logger"),
    ({"logger": "root"}, TypeError, "logger"),
    ({"meta": []}, TypeError, "meta"),
    ({"work_dir": 1}, TypeError, "work_dir"),
    ({"optimizer": "SGD"}, TypeError, "optimizer"),
    ({"optimizer": {"a": "SGD"}}, TypeError, "optimizer"),
    ({"model": nn.Linear(1, 1)}, AssertionError, "Linear has no train_step"),
    ({"max_iters": 1}, ValueError, "^Only one of"),
]


@pytest.mark.parametrize("kind", ["EpochBasedRunner", "IterBasedRunner"])
@pytest.mark.parametrize(("wrong", "error", "text"), CONSTRUCTION)
def test_wrong_arguments(kind: str, wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    """An invalid argument raises the same type of error as in MMCV."""
    right = {"model": Scalar(), "logger": LOGGER, "max_epochs": 1}
    with pytest.raises(error, match=text):
        build_runner({"type": kind}, {**right, **wrong})


def test_batch_processor_is_deprecated() -> None:
    """A ``batch_processor`` works, with a warning, for a model without ``train_step`` and ``val_step``."""

    def processor(model: nn.Module, batch: Any, train_mode: bool) -> dict[str, Any]:
        return {"train": train_mode, "batch": batch}

    with pytest.warns(DeprecationWarning, match="batch_processor"):
        runner = make_runner("epoch", 1, nn.Linear(1, 1), batch_processor=processor)
    runner.run([["a"]], [("train", 1)])
    assert runner.outputs == {"train": True, "batch": "a"}


def test_batch_processor_and_steps_exclude_each_other() -> None:
    """A model with ``train_step`` accepts no ``batch_processor``, which must be a function."""
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(RuntimeError, match="cannot be used with a batch_processor"),
    ):
        make_runner("epoch", 1, batch_processor=print)
    with pytest.raises(TypeError, match="must be a function"):
        make_runner("epoch", 1, batch_processor="step")


def test_work_dir_is_made_and_absolute(tmp_path: Path) -> None:
    """The work directory is created unless it exists, and ``work_dir`` is its absolute path."""
    for _ in range(2):
        runner = make_runner("epoch", 1, work_dir="a/b")
    assert runner.work_dir == str(tmp_path / "a/b")
    assert Path("a/b").is_dir()


def test_fresh_runner() -> None:
    """Before a run the counters are zero, and the names of model, hooks and rank are known."""
    runner = make_runner("epoch", 2)
    assert (runner.epoch, runner.iter, runner.inner_iter, runner.mode) == (0, 0, 0, None)
    assert (runner.max_epochs, runner.max_iters, runner.model_name) == (2, None, "Scalar")
    assert (runner.rank, runner.world_size, runner.hooks) == (0, 1, [])


def test_length_as_argument_of_run_is_deprecated() -> None:
    """``run(max_epochs=...)`` causes a warning; no length at all is an error."""
    runner = make_runner("epoch", 5)
    with pytest.warns(DeprecationWarning, match="max_epochs"):
        runner.run([numbers(1)], [("train", 1)], max_epochs=2)
    assert runner.epoch == 2
    with pytest.raises(ArgumentError, match="needs max_epochs"):
        EpochBasedRunner(Scalar(), logger=LOGGER).run([numbers(1)], [("train", 1)])


OPTIMIZERS: list[tuple[str, dict[str, Any], float, float]] = [
    ("SGD", {"lr": 0.2, "momentum": 0.5}, 0.2, 0.5),
    ("Adam", {"lr": 0.3}, 0.3, 0.9),
    ("Adagrad", {"lr": 0.4}, 0.4, 0),
]


@pytest.mark.parametrize(("name", "args", "lr", "momentum"), OPTIMIZERS)
def test_current_lr_and_momentum(name: str, args: dict[str, Any], lr: float, momentum: float) -> None:
    """The momentum is that of the group, else its first beta, else 0."""
    model = Scalar()
    optimizer = getattr(torch.optim, name)(model.parameters(), **args)
    runner = make_runner("epoch", 1, model, optimizer=optimizer)
    assert (runner.current_lr(), runner.current_momentum()) == ([lr], [momentum])
    several = make_runner("epoch", 1, model, optimizer={"a": optimizer})
    assert (several.current_lr(), several.current_momentum()) == ({"a": [lr]}, {"a": [momentum]})


def test_learning_rate_needs_an_optimizer() -> None:
    """Reading the learning rate of a runner without an optimizer is an error."""
    with pytest.raises(TypeError, match="no optimizer"):
        make_runner("epoch", 1, optimizer=None).current_lr()


def test_checkpoint_of_a_fresh_runner() -> None:
    """It is ``epoch_1.pth``, ``latest.pth`` is a link to it, and ``torch.load`` reads it with its defaults."""
    runner = make_runner("epoch", 1, meta={"seed": 3})
    assert runner.save_checkpoint("out") == "out/epoch_1.pth"
    assert Path("out/latest.pth").readlink() == Path("epoch_1.pth")
    meta = torch.load("out/latest.pth")["meta"]
    assert (meta["seed"], meta["epoch"], meta["iter"]) == (3, 1, 0)


def test_checkpoint_can_be_named_and_described() -> None:
    """File name, more meta and no link can be chosen; the meta of the runner takes precedence."""
    runner = make_runner("epoch", 1, meta={"seed": 3})
    path = runner.save_checkpoint(
        ".", "e{}.pth", save_optimizer=False, meta={"seed": 1, "a": 2}, create_symlink=False
    )
    loaded = torch.load(path)
    assert path == "e1.pth"
    assert (loaded["meta"]["seed"], loaded["meta"]["a"]) == (3, 2)
    assert "optimizer" not in loaded
    assert not Path("latest.pth").is_symlink()
    with pytest.raises(TypeError, match="meta"):
        runner.save_checkpoint(".", meta=[])


def test_weights_alone_can_be_loaded(caplog: pytest.LogCaptureFixture) -> None:
    """``load_checkpoint`` loads weights, with renamed keys, and does not change the counters."""
    torch.save({"state_dict": {"module.net.w": torch.tensor(7.0)}}, "w.pth")
    runner = make_runner("epoch", 1)
    with caplog.at_level(logging.INFO, LOGGER.name):
        runner.load_checkpoint("w.pth", strict=True, revise_keys=[(r"^module\.", ""), (r"^net\.", "")])
    assert runner.model.w.item() == 7.0
    assert runner.epoch == 0
    assert "Loading weights from w.pth" in caplog.text


class Endless:
    """A stream of three batches without a length."""

    def __iter__(self) -> Any:
        return iter(numbers(3))


class Stream(torch.utils.data.IterableDataset[Any]):
    """The same as a dataset, for a DataLoader of torch."""

    def __iter__(self) -> Any:
        return iter(range(6))


@pytest.mark.parametrize("loader", [Endless(), torch.utils.data.DataLoader(Stream(), batch_size=2)])
def test_loader_without_a_length(loader: Any, tmp_path: Path) -> None:
    """Each epoch ends with the loader; unknown numbers are left out of the logs."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {
        "loss": model.w * 1.0,
        "log_vars": {"loss": 1.0},
        "num_samples": 1,
    }
    runner = make_runner("epoch", 2, model, work_dir=tmp_path)
    runner.register_training_hooks(
        {"policy": "step", "step": 1},
        {},
        {"interval": 1},
        {"interval": 3, "hooks": [{"type": "TextLoggerHook"}]},
        custom_hooks_config={"type": "ProgressHook"},
    )
    runner.run([loader], [("train", 1)])
    assert (runner.epoch, runner.iter, runner.max_iters) == (2, 6, None)
    assert runner.current_lr() == [0.1 * 0.1]


def test_missing_length_is_an_error() -> None:
    """A schedule by iteration, and a hook that needs the end of the epoch, report the missing length."""
    runner = make_runner("epoch", 1)
    runner.register_lr_hook({"policy": "CosineAnnealing", "min_lr": 0, "by_epoch": False})
    with pytest.raises(HookError, match="length of the run in iterations, which is not known"):
        runner.run([Endless()], [("train", 1)])
    runner = make_runner("epoch", 1)
    runner.register_hook(
        Recorder(lambda stage, r: Hook().end_of_epoch(r) if stage == "after_train_iter" else None)
    )
    with pytest.raises(HookError, match="needs the end of the epoch, but the data loader has no length"):
        runner.run([Endless()], [("train", 1)])


def test_warmup_by_epoch_needs_a_length() -> None:
    """Warm-up by epoch over a stream is refused with a suggestion."""
    runner = make_runner("epoch", 1)
    warmup = {"warmup": "linear", "warmup_iters": 1, "warmup_by_epoch": True}
    runner.register_lr_hook({"policy": "step", "step": 1, **warmup})
    with pytest.raises(HookError, match=r"takes 1 epochs, .* is not known: set warmup_iters in iterations"):
        runner.run([Endless()], [("train", 1)])


@pytest.mark.parametrize("size", [0, 3])
def test_no_batch_to_train_on_is_an_error(size: int) -> None:
    """An epoch without batches is an error with the size of the dataset and the effect of ``drop_last``."""
    runner = make_runner("epoch", 2)
    with pytest.raises(
        ArgumentError, match=f"no batches: there are {size} samples, .* fewer than 4 samples is dropped"
    ):
        runner.run([build_dataloader(list(range(size)), 4, drop_last=True)], [("train", 1)])
    with pytest.raises(ArgumentError, match="no batches"):
        make_runner("epoch", 2).run([iter(())], [("train", 1)])


def test_val_flow_needs_a_val_step() -> None:
    """A model without ``val_step`` is refused before the run, not after the first epoch."""

    class TrainOnly(nn.Module):
        def train_step(self, batch: Any, optimizer: Any) -> dict[str, Any]:
            return {}

    model = TrainOnly()
    model.w = nn.Parameter(torch.ones(()))
    runner = make_runner("epoch", 1, model)
    with pytest.raises(ArgumentError, match="TrainOnly has no val_step"):
        runner.run([numbers(1), numbers(1)], [("train", 1), ("val", 1)])


def test_every_after_run_is_called() -> None:
    """If ``after_run`` of a hook fails, those of the other hooks are still called, and the error is raised."""
    runner, ended = make_runner("epoch", 1), []
    for name in ("a", "b"):
        hook = Hook()
        hook.after_run = lambda runner, name=name: ended.append(name) or {}[name]
        runner.register_hook(hook)
    with pytest.raises(KeyError, match="a"):
        runner.run([numbers(1)], [("train", 1)])
    assert ended == ["a", "b"]


def test_error_of_the_run_takes_precedence_over_that_of_after_run(caplog: pytest.LogCaptureFixture) -> None:
    """If the run has failed, an error of ``after_run`` is logged, and the first error is raised."""
    model, hook = Scalar(), Hook()
    model.train_step = lambda batch, optimizer: 1 / 0
    hook.after_run = lambda runner: {}["gone"]
    runner = make_runner("epoch", 1, model)
    runner.register_hook(hook)
    with pytest.raises(ZeroDivisionError):
        runner.run([numbers(1)], [("train", 1)])
    assert "after_run of a hook failed: KeyError: 'gone'" in caplog.text


@pytest.mark.parametrize(
    ("stage", "at", "file"), [("after_train_epoch", 1, "epoch_2.pth"), ("after_train_iter", 4, "iter_5.pth")]
)
def test_end_of_a_stopped_run_is_saved(stage: str, at: int, file: str, tmp_path: Path) -> None:
    """A run that a hook stops is saved where it stopped, like the end of a full run."""
    runner = make_runner("epoch", 9, work_dir=tmp_path)
    runner.register_checkpoint_hook({"interval": 5})
    count = "epoch" if "epoch" in stage else "iter"
    runner.register_hook(
        Recorder(lambda now, r: r.stop("enough") if now == stage and getattr(r, count) == at else None),
        "LOWEST",
    )
    runner.run([numbers(3)], [("train", 1)])
    assert [path.name for path in tmp_path.glob("*_*.pth")] == [file]
    assert runner.last_saved[0] == str(tmp_path / file)
    assert torch.load(tmp_path / file)["meta"]["epoch"] == 2  # those that have begun


def test_old_name_of_the_runner_warns() -> None:
    """``Runner`` is an ``EpochBasedRunner`` with a DeprecationWarning."""
    with pytest.warns(DeprecationWarning, match="EpochBasedRunner"):
        runner = Runner(Scalar(), logger=LOGGER, max_epochs=1)
    assert isinstance(runner, EpochBasedRunner)
