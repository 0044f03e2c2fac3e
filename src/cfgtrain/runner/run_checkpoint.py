"""Saving and resuming a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from cfgtrain.checkpoint.background import BackgroundWriter
from cfgtrain.checkpoint.find import relocated
from cfgtrain.checkpoint.load import load_weights_of, read_checkpoint
from cfgtrain.checkpoint.ownership import rename_foreign
from cfgtrain.checkpoint.plain_data import objects_in
from cfgtrain.checkpoint.save import checkpoint_meta, make_checkpoint, save_checkpoint, write_checkpoint
from cfgtrain.checkpoint.sharded import folder_name, write_sharded
from cfgtrain.checkpoint.snapshot import Snapshots
from cfgtrain.checkpoint.state_dict import get_state_dict, load_state_dict
from cfgtrain.config.literals import read_literals
from cfgtrain.data.loader import epoch_fingerprint, num_batches, of_processes
from cfgtrain.errors import ArgumentTypeError, CheckpointError, NonFiniteLossError
from cfgtrain.filesystem.atomic import replace_symlink
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.parallel.dist import data_rank_and_size, one_per_share
from cfgtrain.parallel.fsdp import free_gathered, is_sharded_model, named_optimizer_state, share_buffers
from cfgtrain.parallel.objects import broadcast_object, gather_objects
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.hooks.checkpoint import CheckpointHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.nan_guard import all_finite
from cfgtrain.runner.hooks.optimizer import OptimizerHook
from cfgtrain.runner.hooks.priority import Priority
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.position import Position
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.runner.run_state import RunState, named_hooks
from cfgtrain.runner.stages import StopRun
from cfgtrain.suggestions import printable
from cfgtrain.utils.logging import LINES_ONLY

__all__ = ["RunCheckpoint"]

RESUME_ADVICE = (
    "Resume with the data, batch size and seed it was saved with, or from the end of an epoch, "
    "or take the weights alone with --load-from."
)


class RunCheckpoint:
    """Saves a run, and resumes it exactly where it was saved.

    The runner is passed to each method, as to those of hooks: as an attribute it would form a reference
    cycle, which keeps the model in memory until the next garbage collection.

    Args:
        position: Position of the run; changed in place when it is resumed.
        training_log: What the training logs.
        validation_log: What a val flow of an iteration runner logs.

    Attributes:
        last_saved: Path of the newest checkpoint that can be resumed from and its position, or None.
            The position is None while it is the checkpoint that this run was resumed from.
    """

    def __init__(self, position: Position, training_log: LogBuffer, validation_log: LogBuffer) -> None:
        self._position = position
        self._training_log = training_log
        self._validation_log = validation_log
        self._epoch_fingerprints: list[str] = []  # of the loaders of this run, once they are known
        self._resumed: RunState | None = None  # until all of it is restored
        self._kept_state: dict[str, Any] | None = None
        self._unfinished: dict[str, Any] | None = None
        self._superseded: Path | None = None  # of an unfinished stage, which this run finishes
        self._resumed_iter = -1
        self._snapshots = Snapshots()
        self._writer = BackgroundWriter()
        self.last_saved: tuple[str, dict[str, Any] | None] | None = None

    @property
    def is_resuming(self) -> bool:
        """Whether a resumed state is still to be restored, right before the next batch."""
        return self._resumed is not None

    def save(
        self,
        runner: RunnerView,
        path: Path,
        save_optimizer: bool,
        meta: dict[str, Any] | None,
        create_symlink: bool,
        background: Callable[[CheckpointError | None], None] | None = None,
    ) -> str:
        """Save the run; see ``BaseRunner.save_checkpoint``."""
        self.finish_saving()
        following = self._position.following()
        begun = following.epoch + (following.batches_done > 0)  # MMCV counts an epoch that has begun
        facts = {**(meta or {}), **(runner.meta or {}), "epoch": max(begun, 1), "iter": runner.iter}
        # Gradients that are waiting for the rest of their window are not saved, so the state is not exact.
        exact = save_optimizer and not runner.accumulating
        position = self._resume_position()
        self._check_finite(runner)  # before older checkpoints are removed in favor of this one
        if is_sharded_model(runner.model):
            path = path.with_name(folder_name(path.name))
            self._save_sharded(runner, path, save_optimizer, facts, exact)
        elif runner.rank != 0 and exact:
            with runner.evaluation_context():
                self._gather_state(runner)
        elif runner.rank == 0:
            with runner.evaluation_context():
                resume = self._gather_state(runner) if exact else None
                if path != self._superseded:
                    rename_foreign(path, (runner.meta or {}).get("run_id"))
                optimizer = runner.optimizer if save_optimizer else None
                if background is None:
                    save_checkpoint(runner.model, path, optimizer, facts, resume=resume)
                else:
                    snapshot = self._snapshots.take(make_checkpoint(runner.model, optimizer, facts, resume))

        def complete() -> None:
            if runner.rank == 0 and create_symlink:
                _point_latest_at(path, runner.logger)
            if exact:
                self.last_saved = (str(path), position)

        if background is None:
            complete()
        elif runner.rank != 0:
            complete()
            background(None)
        else:
            self._writer.start(partial(_write, snapshot, path, complete, background))
        return str(path)

    def _save_sharded(
        self, runner: RunnerView, path: Path, save_optimizer: bool, facts: dict[str, Any], exact: bool
    ) -> None:
        """Write a folder with all processes, each its part of the weights and of the state of the optimizer."""
        free_gathered(runner.model)
        share_buffers(runner.model)  # as the next step would do: which process writes them is not known
        with runner.evaluation_context():
            resume = self._gather_state(runner) if exact else None
            if runner.rank == 0 and path != self._superseded:
                rename_foreign(path, (runner.meta or {}).get("run_id"))
            state: dict[str, Any] = {"state_dict": get_state_dict(runner.model)}
            if save_optimizer and runner.optimizer is not None:
                state["optimizer"] = named_optimizer_state(runner.optimizer, runner.model)
            rest = None
            if runner.rank == 0:
                rest = {"meta": checkpoint_meta(runner.model, facts)}
                rest |= {} if resume is None else {"resume": resume}
            write_sharded(path, state, rest)

    def finish_saving(self) -> None:
        """Wait for the checkpoint that is being written in the background, if there is one.

        Raises:
            Exception: What ended the writing, except for a CheckpointError: that is passed to the callback
                that ``save`` was given.
        """
        self._writer.wait()

    @contextmanager
    def finishing(self, logger: logging.Logger) -> Iterator[None]:
        """Return a context that finishes the writing in the background if an exception ends its block.

        KeyboardInterrupt abandons the writing: what is not complete is removed.
        """
        try:
            try:
                yield
            except (Exception, SystemExit):  # the latter of custom code
                try:
                    self.finish_saving()
                except Exception as error:
                    logger.error("The checkpoint cannot be saved: %s: %s", type(error).__name__, error)
                raise
        except KeyboardInterrupt:
            self._writer.abandon()
            raise

    def save_interrupted(self, runner: RunnerView) -> None:
        """Save the run where it was interrupted, unless it has just been saved."""
        if runner.work_dir is None or broadcast_object(self.is_saved):
            return
        name = f"iter_{self._position.following().iter}.pth"
        saver = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if saver is not None:
            saver.save(runner, name, save_optimizer=True)
        else:
            runner.save_checkpoint(runner.work_dir, name)

    def save_stopped(self, runner: RunnerView) -> None:
        """Save a run that a hook stopped early, if a ``CheckpointHook`` would save the end of the full run."""
        savers = (hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and hook.save_last)
        saver = next(savers, None)
        following = self._position.following()
        trained = following.iter > self._resumed_iter
        if saver is None or runner.work_dir is None or not trained or broadcast_object(self.is_saved):
            return
        at_end_of_epoch = saver.by_epoch and following.batches_done == 0
        name = (
            saver.filename_tmpl.format(following.epoch) if at_end_of_epoch else f"iter_{following.iter}.pth"
        )
        saver.save(runner, name)

    def resume(
        self,
        runner: RunnerView,
        checkpoint: str | Path,
        resume_optimizer: bool = True,
        map_location: Any = "cpu",
        loaded: dict[str, Any] | None = None,
        trusted: bool = False,
    ) -> None:
        """Restore a saved run; see ``BaseRunner.resume``."""
        if map_location == "default":  # MMCV's name for the device of the model
            map_location = "cpu"
        loaded = loaded or read_checkpoint(checkpoint, map_location, trusted)
        missing = [key for key in ("state_dict", "meta") if key not in loaded]
        if missing:
            raise CheckpointError(
                f"{checkpoint} cannot be resumed from: it has no {' and no '.join(missing)}."
            )
        state = RunState.read(loaded["resume"]) if "resume" in loaded else None
        if state is not None:
            _check_same_unit(checkpoint, state.position, runner.by_epoch)
        for hook in runner.hooks:
            hook.before_load_checkpoint(runner, loaded["state_dict"])
        if state is None:  # of MMCV, perhaps with the prefix of DataParallel
            load_weights_of(runner.model, loaded["state_dict"], checkpoint)
        else:  # all of it fits, or it is an error: there is nothing to report
            load_state_dict(runner.model, loaded["state_dict"], strict=True, logger="silent")
        if "optimizer" in loaded and resume_optimizer:
            _load_optimizer(runner.optimizer, loaded["optimizer"])
        meta = _plain_part(loaded["meta"], runner.logger) if trusted else loaded["meta"]
        runner.meta = {
            **meta,
            **(runner.meta or {}),
            "hook_msgs": relocated(meta.get("hook_msgs", {}), checkpoint),
        }
        if state is not None:
            self._resumed = state
            self._unfinished = state.unfinished_of(data_rank_and_size()[0])
            self._superseded = None if state.unfinished is None else Path(checkpoint)
            self._position.load_state_dict(state.position)
        else:
            self._position.epoch, self._position.iter = meta["epoch"], _iterations(meta, runner)
        self._resumed_iter = self._position.iter
        self.last_saved = (str(checkpoint), None)
        runner.logger.info(
            "Resumed from %s: epoch %d, iteration %d",
            printable(str(checkpoint)),
            self._position.epoch,
            self._position.iter,
            extra=LINES_ONLY,
        )

    def restore_hooks(self, runner: RunnerView) -> None:
        """Restore the states of the hooks if the run is resumed and no batch has been read yet."""
        if self._resumed is not None:
            self._resumed.restore_hooks(runner.hooks, data_rank_and_size()[0])

    def restore_generators(self, runner: RunnerView) -> None:
        """Restore, once, the random states and the log buffers of a resumed run."""
        if self._resumed is not None:
            self._resumed.restore_generators(
                self._training_log, self._validation_log, data_rank_and_size()[0]
            )
            self._resumed = None

    def check_epoch_layout(self, data_loaders: list[Any], within: list[bool]) -> None:
        """Compare the epochs of the loaders with those that a resumed run was saved with.

        Args:
            data_loaders: One for each flow.
            within: For each flow, whether the run resumes within an epoch of its loader.

        Raises:
            CheckpointError: The data layout changed since the checkpoint was saved.
        """
        saved = self._resumed.position.get("epochs", []) if self._resumed is not None else []
        now = self._epoch_fingerprints = [epoch_fingerprint(loader) for loader in data_loaders]
        if saved and any(within) and len(saved) != len(now):
            raise CheckpointError(
                f"The run was saved within an epoch of a workflow of {len(saved)} flows; now there are {len(now)}. "
                + RESUME_ADVICE
            )
        for before, after, inside in zip(saved, now, within, strict=False):
            if inside and before != after:
                processes = [of_processes(each) for each in (before, after)]
                if processes[0] != processes[1]:
                    raise CheckpointError(
                        f"The run was saved within an epoch that {processes[0]} trained, and is resumed with "
                        f"{processes[1]}: its place in the data cannot be found. Resume with as many processes as "
                        "before, or from a checkpoint at the end of an epoch, or take the weights alone with "
                        "--load-from."
                    )
                raise CheckpointError(
                    f"The run was saved within an epoch of {before}; now an epoch is {after}: its place in the data "
                    f"cannot be found. {RESUME_ADVICE}"
                )

    def capture(self, runner: RunnerView) -> dict[str, Any]:
        """Return the state of the run as it is now."""
        state = RunState.capture(
            self._resume_position(), runner.hooks, self._training_log, self._validation_log
        )
        if self._unfinished is not None:
            state["unfinished"] = self._unfinished
        if runner.ended_by is not None:
            state["ended_by"] = runner.ended_by
        return state

    def _state_to_save(self, runner: RunnerView) -> dict[str, Any]:
        """Return the state that was kept, with the current lists of checkpoints, or else that of now."""
        if self._kept_state is None:
            return self.capture(runner)
        named = named_hooks(runner.hooks)
        lists = {name: hook.state_dict() for name, hook in named if isinstance(hook, CheckpointHook)}
        return {**self._kept_state, "hooks": {**self._kept_state["hooks"], **lists}}

    def _gather_state(self, runner: RunnerView) -> dict[str, Any]:
        """Return the state to save of all processes: one for each share of the data."""
        state = self._state_to_save(runner)
        return state if runner.world_size == 1 else RunState.combine(one_per_share(gather_objects(state)))

    def keep_state(self, runner: RunnerView) -> None:
        """Save the current state in all checkpoints that are written from now on."""
        self._kept_state = self.capture(runner)

    def save_due(
        self,
        runner: RunnerView,
        error: Exception | SystemExit,
        stage: str,
        failed: Hook | None,
        callbacks: list[Callable[[], None]],
    ) -> None:
        """Save the checkpoint that is due, after a hook failed when a step or an epoch was complete.

        A run that resumes from it calls the hook that failed, and those after it. With several processes this is done only
        if the hook has failed in all of them: otherwise the others may have gone on, or wait in an exchange of the hook.

        Args:
            runner: The runner.
            error: What the hook raised. Nothing is saved if a value is not finite.
            stage: ``"after_train_iter"`` or ``"after_train_epoch"``.
            failed: The hook; None if all hooks have run.
            callbacks: What the hooks before it have deferred to the end of the stage.
        """
        is_error = not isinstance(error, StopRun | NonFiniteLossError)
        if failed is None or not is_error or runner.accumulating or runner.work_dir is None:
            return
        at = runner.hooks.index(failed)
        if stage == "after_train_iter" and not _is_after_step(runner.hooks, at):
            return
        names = {id(hook): name for name, hook in named_hooks(runner.hooks)}
        if runner.world_size > 1:  # processes that have not failed here do not take part in saving
            place = f"{stage}/{self._position.following().iter}/{names[id(failed)]}"
            if runner.coordinator is None or not runner.coordinator.all_fail_at(place, error):
                return
        savers = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        ends = stage == "after_train_epoch" or _is_last_of_epoch(runner)
        due = {hook: name for hook in savers if (name := hook.name_due(runner, stage, ends)) is not None}
        remaining = [*(hook for hook in due if hook in runner.hooks[:at]), *runner.hooks[at:]]
        self._unfinished = {
            "stage": stage,
            "hooks": [names[id(hook)] for hook in remaining],
            "outputs": _plain_outputs(runner.outputs),
        }
        if stage == "after_train_epoch":
            self._position.completed = None  # the resumed run is still at the end of this epoch
        try:
            while callbacks:
                callbacks.pop()()
            self.finish_saving()
            for hook, name in due.items():
                if not self.is_saved:
                    hook.save(runner, name)
        except Exception as other:
            runner.logger.error(
                "The checkpoint that is due cannot be saved: %s: %s", type(other).__name__, other
            )
        self._unfinished = None
        if self.is_saved and self.last_saved is not None:
            runner.logger.error(
                "%s failed at the end of iteration %d. The training so far is saved in %s; a run that resumes "
                "calls it again.",
                names[id(failed)], self._position.following().iter, self.last_saved[0],
            )  # fmt: skip

    def unfinished_hooks(self, runner: RunnerView, stage: str) -> list[Hook] | None:
        """Return the hooks that a resumed run has still to call for a stage; None if there was no error."""
        if self._unfinished is None or self._unfinished["stage"] != stage:
            return None
        runner.outputs = dict(self._unfinished["outputs"])
        return [hook for name, hook in named_hooks(runner.hooks) if name in self._unfinished["hooks"]]

    def finish(self) -> None:
        """Note that all hooks of the stage have been called."""
        self._unfinished = None

    @contextmanager
    def repeatable(self, runner: RunnerView) -> Iterator[None]:
        """Return a context for work that a resumed run repeats in full if ``check_interrupt`` ends it."""
        before = self.capture(runner)
        try:
            yield
        except StopRun:
            self._kept_state = before
            self._position.completed = None
            raise

    def _resume_position(self) -> dict[str, Any]:
        resumed = self._resumed.position.get("epochs", []) if self._resumed is not None else []
        fingerprints = self._epoch_fingerprints or resumed
        return {**self._position.following().state_dict(), "epochs": fingerprints}

    @property
    def is_saved(self) -> bool:
        """Whether the run is saved where it is, so that it can be resumed from there."""
        return self.last_saved is not None and self.last_saved[1] == self._resume_position()

    def _check_finite(self, runner: RunnerView) -> None:
        """Raise if the loss so far, a weight or an extra weight of a hook is not finite."""
        self._training_log.fetch()
        model = {
            f"weight {name}": p
            for name, p in unwrap_model(runner.model).named_parameters()
            if p.requires_grad
        }
        for weights in (model, *(hook.extra_weights() for hook in runner.hooks)):
            if all_finite([*weights.values()]):
                continue
            for name, tensor in weights.items():
                if not bool(tensor.isfinite().all()):
                    value = float(tensor.detach().flatten()[~tensor.detach().isfinite().flatten()][0])
                    newest = self._position.following().iter - 1
                    raise NonFiniteLossError(
                        name=name, value=value, place=(newest, *runner.batch_position[1:])
                    )


def _write(
    checkpoint: dict[str, Any],
    path: Path,
    complete: Callable[[], None],
    finish: Callable[[CheckpointError | None], None],
) -> None:
    """Write a checkpoint, then call ``complete`` if that succeeds, and in any case ``finish``."""
    try:
        write_checkpoint(checkpoint, path)
    except CheckpointError as error:
        finish(error)
    else:
        complete()
        finish(None)


def _point_latest_at(path: Path, logger: logging.Logger) -> None:
    try:
        replace_symlink(path.parent / "latest.pth", path.name)
    except OSError as error:  # disk full, or no links on this file system; the checkpoint is saved
        logger.warning("latest.pth cannot be pointed at %s: %s", path.name, error)


def _iterations(meta: Mapping[str, Any], runner: RunnerView) -> int:
    """Return the complete iterations in a checkpoint of MMCV, as many processes as train now would have done them.

    MMCV's configs name the GPUs of a run. If their number has changed, an epoch has another number of iterations.
    """
    done: int = meta["iter"]
    try:
        gpus = read_literals(str(meta.get("config", ""))).get("gpu_ids")
    except ValueError:  # the text contains more than values
        return done
    count = len(gpus) if isinstance(gpus, list | tuple | range) else 0
    shares = data_rank_and_size()[1]
    if not runner.by_epoch or count in (0, shares):
        return done
    now = int(done * count / shares)
    runner.logger.info(
        "The checkpoint is of %d processes, and %d train now: its %d iterations are counted as %d.",
        count, shares, done, now,
    )  # fmt: skip
    return now


def _is_after_step(hooks: list[Hook], at: int) -> bool:
    """Return whether the hook at an index runs after the optimizer's step, in ``after_train_iter``."""
    steps = [index for index, hook in enumerate(hooks) if isinstance(hook, OptimizerHook)]
    return at > max(steps, default=-1) and hooks[at].priority > Priority.ABOVE_NORMAL.value  # type: ignore[attr-defined]  # set when it was registered


def _is_last_of_epoch(runner: RunnerView) -> bool:
    return runner.by_epoch and num_batches(runner.data_loader) == runner.inner_iter + 1


def _plain_outputs(value: Any) -> Any:
    """Return the numbers in what a training step returned, for hooks that read them."""
    if isinstance(value, Mapping):
        plain = {str(key): _plain_outputs(each) for key, each in value.items()}
        return {key: each for key, each in plain.items() if each is not None}
    if isinstance(value, Tensor):
        return value.detach().cpu() if value.numel() == 1 else None
    return value if isinstance(value, int | float | str) else None


def _check_same_unit(checkpoint: str | Path, position: dict[str, Any], by_epoch: bool) -> None:
    """Raise if the checkpoint is of an epoch runner and this is an iteration runner, or the reverse."""
    if not position["loaders"] and not position.get("epochs"):
        return  # of a subclass with a ``run`` of its own, written for MMCV: it does not say
    if position["iter"] > 0 and bool(position["loaders"]) == by_epoch:
        units = ("iterations", "epochs") if by_epoch else ("epochs", "iterations")
        raise CheckpointError(
            f"{checkpoint} is of a run that is counted in {units[0]}, and this one is counted in {units[1]}. "
            "Its weights alone can be taken with --load-from."
        )


def _load_optimizer(optimizer: Any, state: dict[str, Any]) -> None:
    if optimizer is None:
        raise ArgumentTypeError("The checkpoint holds the state of an optimizer, and the runner has none.")
    states = state if isinstance(optimizer, dict) else {"": state}
    for name, each in optimizers_of(optimizer).items():
        try:
            _check_same_kind(each, states[name])
            each.load_state_dict(states[name])
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"The state of the optimizer {name!r} in the checkpoint does not fit {type(each).__name__}: "
                f"{error}. A run resumes with the optimizer that it began with; for another, begin a new one "
                "with load_from."
            ) from error


def _check_same_kind(optimizer: Any, state: dict[str, Any]) -> None:
    """Raise if the state is of another kind of optimizer: torch would load it and fail later."""
    saved = {name for group in state["param_groups"] for name in group} - {"params"}
    expected = {name for group in optimizer.param_groups for name in group} - {"params"}
    missing = {name for name in expected - saved if not name.startswith("initial_")}
    if missing:
        raise ValueError(f"it has no {' and no '.join(sorted(missing))}")


def _plain_part(meta: dict[str, Any], logger: logging.Logger) -> dict[str, Any]:
    """Return what this run can save of the meta of a trusted checkpoint, and warn about the rest."""
    dropped = {key: [*objects_in(value, key)] for key, value in meta.items()}
    for places in filter(None, dropped.values()):
        what = ", ".join(f"{place} ({kind})" for place, kind in places[:5])
        logger.warning(
            "The meta of the checkpoint contains more than plain data, which is dropped: %s.", what
        )
    return {key: value for key, value in meta.items() if not dropped[key]}
