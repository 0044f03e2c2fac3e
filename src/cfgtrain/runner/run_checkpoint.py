"""Saving and resuming a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.checkpoint.find import relocated
from cfgtrain.checkpoint.load import read_checkpoint
from cfgtrain.checkpoint.ownership import rename_foreign
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.data.loader import epoch_fingerprint
from cfgtrain.errors import ArgumentTypeError, CheckpointError, NonFiniteLossError
from cfgtrain.filesystem.atomic import replace_symlink
from cfgtrain.random_state import RandomState
from cfgtrain.runner.hooks.checkpoint import CheckpointHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.position import Position
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.runner.stages import StopRun

__all__ = ["RunCheckpoint", "RunState"]

RESUME_ADVICE = (
    "Resume with the data, batch size and seed it was saved with, or from the end of an epoch, "
    "or take the weights alone with --load-from."
)


class RunState(NamedTuple):
    """Everything that determines how a run continues, as plain data.

    Attributes:
        position: Where the run continues; its ``epochs`` are the fingerprints of the loaders.
        random: States of the random generators, one per process.
        hooks: States of the hooks that have one, by name.
        log_buffer: Values of the training that have not been logged yet.
        validation_log: The same for a val flow of an iteration runner.
    """

    position: dict[str, Any]
    random: list[dict[str, Any]]
    hooks: dict[str, dict[str, Any]]
    log_buffer: dict[str, Any]
    validation_log: dict[str, Any]

    @staticmethod
    def capture(
        position: dict[str, Any], hooks: list[Hook], log_buffer: LogBuffer, validation_log: LogBuffer
    ) -> dict[str, Any]:
        """Return the state as it is saved in a checkpoint."""
        states = {name: hook.state_dict() for name, hook in _named(hooks)}
        return {
            "position": position,
            "random": [RandomState.capture()],
            "hooks": {name: state for name, state in states.items() if state},
            "log_buffer": log_buffer.state_dict(),
            "validation_log": validation_log.state_dict(),
        }

    @staticmethod
    def read(saved: dict[str, Any]) -> RunState:
        """Return what ``capture`` saved."""
        return RunState(**{key: saved[key] for key in RunState._fields})

    def restore_hooks(self, hooks: list[Hook]) -> None:
        """Restore the states of the hooks."""
        for name, hook in _named(hooks):
            if name in self.hooks:
                hook.load_state_dict(self.hooks[name])

    def restore_generators(self, log_buffer: LogBuffer, validation_log: LogBuffer, rank: int) -> None:
        """Restore the random generators and the log buffers, right before the next batch."""
        log_buffer.load_state_dict(self.log_buffer)
        validation_log.load_state_dict(self.validation_log)
        RandomState.restore(self.random[min(rank, len(self.random) - 1)])


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
    ) -> str:
        """Save the run; see ``BaseRunner.save_checkpoint``."""
        following = self._position.following()
        begun = following.epoch + (following.batches_done > 0)  # MMCV counts an epoch that has begun
        facts = {**(meta or {}), **(runner.meta or {}), "epoch": max(begun, 1), "iter": runner.iter}
        # Gradients that are waiting for the rest of their window are not saved, so the state is not exact.
        exact = save_optimizer and not runner.accumulating
        self._check_finite(runner)  # before older checkpoints are removed in favor of this one
        if runner.rank == 0:
            with runner.evaluation_context():
                resume = (self._kept_state or self.capture(runner)) if exact else None
                rename_foreign(path, (runner.meta or {}).get("run_id"))
                optimizer = runner.optimizer if save_optimizer else None
                save_checkpoint(runner.model, path, optimizer, facts, resume)
            if create_symlink:
                try:
                    replace_symlink(path.parent / "latest.pth", path.name)
                except (
                    OSError
                ) as error:  # disk full, or no links on this file system; the checkpoint is saved
                    runner.logger.warning("latest.pth cannot be pointed at %s: %s", path.name, error)
        if exact:
            self.last_saved = (str(path), self._resume_position())
        return str(path)

    def save_interrupted(self, runner: RunnerView) -> None:
        """Save the run where it was interrupted, unless it has just been saved."""
        if runner.work_dir is None or self._is_saved():
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
        if saver is None or runner.work_dir is None or self._is_saved():
            return
        following = self._position.following()
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
    ) -> None:
        """Restore a saved run; see ``BaseRunner.resume``."""
        loaded = loaded or read_checkpoint(checkpoint, map_location)
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
        load_state_dict(runner.model, loaded["state_dict"], strict=state is not None)
        if "optimizer" in loaded and resume_optimizer:
            _load_optimizer(runner.optimizer, loaded["optimizer"])
        meta = loaded["meta"]
        runner.meta = {
            **meta,
            **(runner.meta or {}),
            "hook_msgs": relocated(meta.get("hook_msgs", {}), checkpoint),
        }
        if state is not None:
            self._resumed = state
            self._position.load_state_dict(state.position)
        else:
            self._position.epoch, self._position.iter = meta["epoch"], meta["iter"]
        self.last_saved = (str(checkpoint), None)
        runner.logger.info(
            "Resumed from %s: epoch %d, iteration %d", checkpoint, self._position.epoch, self._position.iter
        )

    def restore_hooks(self, runner: RunnerView) -> None:
        """Restore the states of the hooks if the run is resumed and no batch has been read yet."""
        if self._resumed is not None:
            self._resumed.restore_hooks(runner.hooks)

    def restore_generators(self, runner: RunnerView) -> None:
        """Restore, once, the random states and the log buffers of a resumed run."""
        if self._resumed is not None:
            self._resumed.restore_generators(self._training_log, self._validation_log, runner.rank)
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
                raise CheckpointError(
                    f"The run was saved within an epoch of {before}; now an epoch is {after}: its place in the data "
                    f"cannot be found. {RESUME_ADVICE}"
                )

    def capture(self, runner: RunnerView) -> dict[str, Any]:
        """Return the state of the run as it is now."""
        return RunState.capture(
            self._resume_position(), runner.hooks, self._training_log, self._validation_log
        )

    def keep_state(self, runner: RunnerView) -> None:
        """Save the current state in all checkpoints that are written from now on."""
        self._kept_state = self.capture(runner)

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

    def _is_saved(self) -> bool:
        return self.last_saved is not None and self.last_saved[1] == self._resume_position()

    def _check_finite(self, runner: RunnerView) -> None:
        """Raise if the loss so far, a weight or an extra weight of a hook is not finite."""
        self._training_log.fetch()
        model = {f"weight {name}": p for name, p in runner.model.named_parameters() if p.requires_grad}
        for weights in (model, *(hook.extra_weights() for hook in runner.hooks)):
            for name, tensor in weights.items():
                if not bool(tensor.isfinite().all()):
                    value = float(tensor.detach().flatten()[~tensor.detach().isfinite().flatten()][0])
                    newest = self._position.following().iter - 1
                    raise NonFiniteLossError(
                        name=name, value=value, place=(newest, *runner.batch_position[1:])
                    )


def _named(hooks: list[Hook]) -> Iterator[tuple[str, Hook]]:
    """Yield each hook with its class name, numbered if there are several of a class."""
    seen: Counter[str] = Counter()
    for hook in hooks:
        name = type(hook).__name__
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name}#{seen[name]}"), hook


def _check_same_unit(checkpoint: str | Path, position: dict[str, Any], by_epoch: bool) -> None:
    """Raise if the checkpoint is of an epoch runner and this is an iteration runner, or the reverse."""
    if position["iter"] > 0 and bool(position["loaders"]) == by_epoch:
        units = ("iterations", "epochs") if by_epoch else ("epochs", "iterations")
        raise CheckpointError(
            f"{checkpoint} is of a run that is counted in {units[0]}, and this one is counted in {units[1]}. "
            "Its weights alone can be taken with --load-from."
        )


def _load_optimizer(optimizer: Any, state: dict[str, Any]) -> None:
    if optimizer is None:
        raise ArgumentTypeError("The checkpoint holds the state of an optimizer, and the runner has none.")
    optimizers = optimizer if isinstance(optimizer, dict) else {"": optimizer}
    states = state if isinstance(optimizer, dict) else {"": state}
    for name, each in optimizers.items():
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
