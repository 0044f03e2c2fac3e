"""How a run is saved, and gone on with."""

from __future__ import annotations

import logging
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from cfgtrain.checkpoint.find import set_aside
from cfgtrain.checkpoint.load import REVISE_KEYS, load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.errors import ArgumentTypeError, CheckpointError
from cfgtrain.runner.hooks.checkpoint import CheckpointHook
from cfgtrain.runner.log_buffer import LogBuffer
from cfgtrain.runner.registration import HookRegistration
from cfgtrain.runner.resume import Position, RunState
from cfgtrain.utils.paths import replace_symlink

if TYPE_CHECKING:
    from cfgtrain.runner.protocol import RunnerView

__all__ = ["RunSaving"]


class RunSaving(HookRegistration):
    """What a runner knows of where it stands, and how that is written and read.

    Attributes:
        checkpoint_tmpl: Name of a checkpoint, with ``{}`` for the complete epochs or iterations.
        last_saved: Path of the newest checkpoint and where it goes on, or None.
    """

    checkpoint_tmpl: str
    model: nn.Module
    optimizer: Any
    logger: logging.Logger
    meta: dict[str, Any] | None
    work_dir: str | None
    log_buffer: LogBuffer
    window_open: bool

    def __init__(self) -> None:
        super().__init__()
        self._epoch = self._iter = self._inner_iter = 0
        self._next = Position()
        self._resumed: RunState | None = None
        self._state_at_interruption: dict[str, Any] | None = None
        self.last_saved: tuple[str, Position] | None = None

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
        """
        if not isinstance(meta, dict | None):
            raise ArgumentTypeError(f"meta is a dict or None, not {meta!r}.")
        path = Path(out_dir) / (filename_tmpl or self.checkpoint_tmpl).format(self._done_after_this())
        facts = {**(meta or {}), **(self.meta or {}), "epoch": self._epoch + 1, "iter": self._iter}
        self.log_buffer.fetch()  # a loss that is not finite shows here, before a good checkpoint goes
        # With gradients waiting in an open window there is no exact state to go on from.
        exact = save_optimizer and not self.window_open
        resume = (self._state_at_interruption or self._state()) if exact else None
        set_aside(path, (self.meta or {}).get("run_id"))
        save_checkpoint(self.model, path, self.optimizer if save_optimizer else None, facts, resume)
        self.last_saved = (str(path), replace(self.position()))
        if create_symlink:
            replace_symlink(Path(out_dir) / "latest.pth", path.name)
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
            CheckpointError: It cannot be read, or does not fit the model.
        """
        loaded = loaded or read_checkpoint(checkpoint, map_location)
        missing = [key for key in ("state_dict", "meta") if key not in loaded]
        if missing:
            raise CheckpointError(
                f"{checkpoint} cannot be resumed from: it has no {' and no '.join(missing)}."
            )
        load_state_dict(self.model, loaded["state_dict"], strict="resume" in loaded)
        if "optimizer" in loaded and resume_optimizer:
            self._load_optimizer(loaded["optimizer"])
        self.meta = {**loaded["meta"], **(self.meta or {}), "hook_msgs": loaded["meta"].get("hook_msgs", {})}
        self._epoch, self._iter = loaded["meta"]["epoch"], loaded["meta"]["iter"]
        if "resume" in loaded:
            self._resumed = RunState.read(loaded["resume"])
            self._next = place = self._resumed.position
            self._epoch, self._iter, self._inner_iter = place.epoch, place.iter, place.inner_iter
        self.logger.info("Resumed from %s: epoch %d, iteration %d", checkpoint, self._epoch, self._iter)

    def position(self) -> Position:
        """Return where a run that is saved now goes on."""
        return self._next

    def _state(self) -> dict[str, Any]:
        return RunState.capture(self.position(), self.hooks, self.log_buffer)

    def _save_interrupted(self) -> None:
        """Save the run where it was interrupted, unless that has just been done."""
        if self.work_dir is None or (self.last_saved and self.last_saved[1] == self.position()):
            return
        name = f"iter_{self._next.iter}.pth"
        saver = next((hook for hook in self.hooks if isinstance(hook, CheckpointHook)), None)
        if saver is not None:
            saver.save(cast("RunnerView", self), name)
        else:
            self.save_checkpoint(self.work_dir, name)

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        if self.optimizer is None:
            raise ArgumentTypeError(
                "The checkpoint holds the state of an optimizer, and the runner has none."
            )
        if isinstance(self.optimizer, dict):
            for name, each in self.optimizer.items():
                each.load_state_dict(state[name])
        else:
            self.optimizer.load_state_dict(state)

    @abstractmethod
    def _done_after_this(self) -> int:
        """Return the complete epochs or iterations once the current one is."""
