"""How a run is saved, and gone on with."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from cfgtrain.checkpoint.find import set_aside
from cfgtrain.checkpoint.load import REVISE_KEYS, load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.data.loader import epoch_fingerprint
from cfgtrain.errors import ArgumentTypeError, CheckpointError, NonFiniteLossError
from cfgtrain.filesystem.atomic import replace_symlink
from cfgtrain.runner.hooks.checkpoint import CheckpointHook
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.registration import HookRegistration
from cfgtrain.runner.resume import Position, RunState

if TYPE_CHECKING:
    from cfgtrain.runner.protocol import RunnerView

__all__ = ["RunSaving"]

RESUME_ADVICE = (
    "Resume with the data, batch size and seed it was saved with, or from the end of an epoch, "
    "or take the weights alone with --load-from."
)


class RunSaving(HookRegistration):
    """What a runner knows of where it stands, and how that is written and read.

    Attributes:
        checkpoint_tmpl: Name of a checkpoint, with ``{}`` for the complete epochs or iterations.
        last_saved: Path of the newest checkpoint to go on from, and where it does, or None; the
            place is None as long as it is the one that this run was resumed from.
    """

    checkpoint_tmpl: str
    model: nn.Module
    optimizer: Any
    logger: logging.Logger
    meta: dict[str, Any] | None
    work_dir: str | None
    _training_log: LogBuffer
    _validation_log: LogBuffer
    accumulating: bool
    _batch_position: tuple[int, int, int]

    def __init__(self) -> None:
        super().__init__()
        self._epoch = self._iter = self._inner_iter = 0
        self._next = Position()
        self._epochs: list[str] = []
        self._resumed: RunState | None = None
        self._state_at_interruption: dict[str, Any] | None = None
        self.last_saved: tuple[str, Position | None] | None = None

    def load_checkpoint(
        self,
        filename: str | Path,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Any = REVISE_KEYS,
    ) -> Any:
        """Load weights and nothing else; see ``cfgtrain.checkpoint.load_checkpoint``."""
        self.logger.info("Loading weights from %s", filename)
        return load_checkpoint(self.model, filename, map_location, strict, revise_keys)

    def save_checkpoint(
        self,
        out_dir: str | Path,
        filename_tmpl: str | None = None,
        save_optimizer: bool = True,
        meta: dict[str, Any] | None = None,
        create_symlink: bool = True,
    ) -> str:
        """Save the run as it is after the current iteration or epoch.

        Args:
            out_dir: Folder of the checkpoint.
            filename_tmpl: Its name, with ``{}`` for the complete epochs or iterations.
            save_optimizer: Whether the run can be continued from it.
            meta: More facts to save.
            create_symlink: Whether ``latest.pth`` is pointed at it.

        Returns:
            The path of the checkpoint.

        Raises:
            CheckpointError: It cannot be written; the checkpoints that are there stay.
            NonFiniteLossError: The loss, a weight, or an average of weights, is not finite.
        """
        if not isinstance(meta, dict | None):
            raise ArgumentTypeError(f"meta is a dict or None, not {meta!r}.")
        path = Path(out_dir) / (filename_tmpl or self.checkpoint_tmpl).format(self._num_completed())
        epoch = self._next.epoch + (self._next.inner_iter > 0)  # one that has begun counts, as in MMCV
        facts = {**(meta or {}), **(self.meta or {}), "epoch": max(epoch, 1), "iter": self._iter}
        # With gradients waiting in an open window there is no exact state to go on from.
        exact = save_optimizer and not self.accumulating
        self._check_finite()  # before a good checkpoint goes for a worthless one
        with self.evaluation_context():
            resume = (self._state_at_interruption or self._state()) if exact else None
            set_aside(path, (self.meta or {}).get("run_id"))
            save_checkpoint(self.model, path, self.optimizer if save_optimizer else None, facts, resume)
        if exact:
            self.last_saved = (str(path), replace(self.position()))
        if create_symlink:
            try:
                replace_symlink(Path(out_dir) / "latest.pth", path.name)
            except OSError as error:  # full, or a file system without links; the checkpoint is there
                self.logger.warning("latest.pth cannot be pointed at %s: %s", path.name, error)
        return str(path)

    def resume(
        self,
        checkpoint: str | Path,
        resume_optimizer: bool = True,
        map_location: Any = "cpu",
        loaded: dict[str, Any] | None = None,
    ) -> None:
        """Go on where a checkpoint was saved; to be called before ``run``.

        A checkpoint of this toolkit brings back everything, to the last bit. One of MMCV
        brings back what it holds: weights, optimizer, epoch, iteration and meta.

        Args:
            checkpoint: Its path.
            resume_optimizer: Whether the state of the optimizer is taken over.
            map_location: Where the tensors go first.
            loaded: What it holds, if it has been read already.

        Raises:
            CheckpointError: It cannot be read, or does not fit the model or the runner.
        """
        loaded = loaded or read_checkpoint(checkpoint, map_location)
        missing = [key for key in ("state_dict", "meta") if key not in loaded]
        if missing:
            raise CheckpointError(
                f"{checkpoint} cannot be resumed from: it has no {' and no '.join(missing)}."
            )
        for hook in self.hooks:
            hook.before_load_checkpoint(cast("RunnerView", self), loaded["state_dict"])
        load_state_dict(self.model, loaded["state_dict"], strict="resume" in loaded)
        if "optimizer" in loaded and resume_optimizer:
            self._load_optimizer(loaded["optimizer"])
        self.meta = {**loaded["meta"], **(self.meta or {}), "hook_msgs": loaded["meta"].get("hook_msgs", {})}
        self._epoch, self._iter = loaded["meta"]["epoch"], loaded["meta"]["iter"]
        if "resume" in loaded:
            self._resumed = RunState.read(loaded["resume"])
            self._next = place = self._resumed.position
            if place.iter > 0 and bool(place.loaders) == self.by_epoch:
                units = ("iterations", "epochs") if self.by_epoch else ("epochs", "iterations")
                raise CheckpointError(
                    f"{checkpoint} is of a run that is counted in {units[0]}, and this one is counted in {units[1]}. "
                    "Its weights alone can be taken with --load-from."
                )
            self._epoch, self._iter, self._inner_iter = place.epoch, place.iter, place.inner_iter
        self.last_saved = (str(checkpoint), None)
        self.logger.info("Resumed from %s: epoch %d, iteration %d", checkpoint, self._epoch, self._iter)

    @contextmanager
    def evaluation_context(self) -> Iterator[None]:
        """Give the model meanwhile the weights that are to be evaluated and saved, averages if a hook has some."""
        with ExitStack() as entered:
            for hook in self.hooks:
                entered.enter_context(hook.evaluation_context(cast("RunnerView", self)))
            yield

    def position(self) -> Position:
        """Return where a run that is saved now goes on."""
        return replace(self._next, epochs=self._epochs) if self._epochs else self._next

    @property
    def within_round(self) -> bool:
        """Whether the run stands within a round of the workflow: flows after the last training are still to come."""
        return bool(self._next.flow or self._next.flow_done)

    def _check_finite(self) -> None:
        """Refuse to save what is lost: the loss so far, a weight, or an average of weights, is not finite."""
        self._training_log.fetch()
        model = {f"weight {name}": p for name, p in self.model.named_parameters() if p.requires_grad}
        for held in (model, *(hook.extra_weights() for hook in self.hooks)):
            for name, tensor in held.items():
                if not bool(tensor.isfinite().all()):
                    value = float(tensor.detach().flatten()[~tensor.detach().isfinite().flatten()][0])
                    place = (self._next.iter - 1, *self._batch_position[1:])
                    raise NonFiniteLossError(name=name, value=value, place=place)

    def _check_epoch_layout(self, data_loaders: list[Any], within: list[bool]) -> None:
        """Note what the epochs of the loaders are made of, and compare it with what they were.

        Args:
            data_loaders: One for each flow.
            within: Of each, whether the run goes on within an epoch of it.

        Raises:
            CheckpointError: The place where the run is to go on is another one now.
        """
        before, self._epochs = self._next.epochs, [epoch_fingerprint(loader) for loader in data_loaders]
        if before and any(within) and len(before) != len(self._epochs):
            raise CheckpointError(
                f"The run was saved within an epoch of a workflow of {len(before)} flows; now there are {len(self._epochs)}. "
                + RESUME_ADVICE
            )
        for was, is_now, inside in zip(before, self._epochs, within, strict=False):
            if inside and was != is_now:
                raise CheckpointError(
                    f"The run was saved within an epoch of {was}; now an epoch is {is_now}: its place in the data "
                    f"cannot be found. {RESUME_ADVICE}"
                )

    def _state(self) -> dict[str, Any]:
        return RunState.capture(self.position(), self.hooks, self._training_log, self._validation_log)

    def save_interrupted(self) -> None:
        """Save the run where it was interrupted, unless that has just been done."""
        if self.work_dir is None or (self.last_saved and self.last_saved[1] == self.position()):
            return
        name = f"iter_{self._next.iter}.pth"
        saver = next((hook for hook in self.hooks if isinstance(hook, CheckpointHook)), None)
        if saver is not None:
            saver.save(cast("RunnerView", self), name, save_optimizer=True)
        else:
            self.save_checkpoint(self.work_dir, name)

    def save_stopped(self) -> None:
        """Save the end of a run that a hook stopped early, where a hook saves that of a full one."""
        saver = next(
            (hook for hook in self.hooks if isinstance(hook, CheckpointHook) and hook.save_last), None
        )
        if (
            saver is None
            or self.work_dir is None
            or (self.last_saved and self.last_saved[1] == self.position())
        ):
            return
        at_end = saver.by_epoch and self._next.inner_iter == 0
        name = saver.filename_tmpl.format(self._epoch) if at_end else f"iter_{self._next.iter}.pth"
        saver.save(cast("RunnerView", self), name)

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        if self.optimizer is None:
            raise ArgumentTypeError(
                "The checkpoint holds the state of an optimizer, and the runner has none."
            )
        several = self.optimizer if isinstance(self.optimizer, dict) else {"": self.optimizer}
        states = state if isinstance(self.optimizer, dict) else {"": state}
        for name, each in several.items():
            try:
                _check_same_kind(each, states[name])
                each.load_state_dict(states[name])
            except (KeyError, ValueError) as error:
                raise CheckpointError(
                    f"The state of the optimizer {name!r} in the checkpoint does not fit {type(each).__name__}: "
                    f"{error}. A run goes on with the optimizer that it began with; for another, begin a new one "
                    "with load_from."
                ) from error

    @abstractmethod
    def _num_completed(self) -> int:
        """Return the complete epochs or iterations once the current one is."""


def _check_same_kind(optimizer: Any, state: dict[str, Any]) -> None:
    """Refuse the state of another kind of optimizer, which torch would take and fail on later."""
    theirs = {name for group in state["param_groups"] for name in group} - {"params"}
    own = {name for group in optimizer.param_groups for name in group} - {"params"}
    missing = {name for name in own - theirs if not name.startswith("initial_")}
    if missing:
        raise ValueError(f"it has no {' and no '.join(sorted(missing))}")
