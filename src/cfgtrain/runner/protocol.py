"""The attributes and methods of a runner that hooks may use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import nn

from cfgtrain.errors import CheckpointError
from cfgtrain.parallel.coordinator import Coordinator
from cfgtrain.runner.log_buffer import LogBuffer

__all__ = ["RunnerView"]


class RunnerView(Protocol):
    """The runner as hooks see it.

    Attributes:
        model: In a wrapper if the device needs one.
        optimizer: An optimizer, a dict of them, or None.
        logger: Logger of the run.
        meta: A dict of plain data that is saved in checkpoints; hooks use its ``hook_msgs``.
        log_buffer: Collects the numbers to log.
        work_dir: Absolute path, or None if nothing is to be written.
        timestamp: Start of the run, ``YYYYmmdd_HHMMSS``.
        mode: ``"train"`` or ``"val"``, None before the first flow.
        data_loader: Loader of the current flow; in ``before_run``, that of the first one.
        data_batch: The current batch, only within an iteration.
        outputs: What the last step returned.
        last_of_flow: Whether this is the last iteration of its flow, in an iteration runner.
        ended_by: Why a hook has ended the run before its full length, or None.
        accumulating: Whether gradients are accumulated that no step has used yet.
    """

    model: nn.Module
    optimizer: Any
    logger: logging.Logger
    meta: dict[str, Any] | None
    log_buffer: LogBuffer
    work_dir: str | None
    timestamp: str
    mode: str | None
    data_loader: Any
    data_batch: Any
    outputs: dict[str, Any]
    last_of_flow: bool
    ended_by: str | None
    accumulating: bool
    coordinator: Coordinator | None

    @property
    def last_saved(self) -> tuple[str, dict[str, Any] | None] | None:
        """The newest checkpoint that can be resumed from and its position; see the runner."""

    @property
    def by_epoch(self) -> bool:
        """Whether the runner counts in epochs."""

    @property
    def hooks(self) -> list[Any]:
        """The hooks, in the order in which they run."""

    @property
    def rank(self) -> int:
        """Which of the processes this is."""

    @property
    def world_size(self) -> int:
        """How many processes train together."""

    @property
    def epoch(self) -> int:
        """0-based; equal to the number of epochs that are complete."""

    @property
    def iter(self) -> int:
        """0-based over the whole run; equal to the number of iterations that are complete."""

    @property
    def completed_iters(self) -> int:
        """Complete training iterations, with the current one when its step is done and its hooks are running."""

    @property
    def inner_iter(self) -> int:
        """0-based within the epoch (epoch runner) or the flow (iteration runner)."""

    @property
    def max_epochs(self) -> int | None:
        """Length of the run in epochs, None for an iteration runner."""

    @property
    def max_iters(self) -> int | None:
        """Length of the run in iterations, None before it is known."""

    @property
    def batch_position(self) -> tuple[int, int, int]:
        """The iteration, the epoch and the index in it, all 0-based, of ``data_batch``."""

    def current_lr(self) -> Any:
        """Return the learning rate of each group, by optimizer name for a dict of optimizers."""

    def current_momentum(self) -> Any:
        """Return the momentum of each group, by optimizer name for a dict of optimizers."""

    def evaluation_context(self) -> AbstractContextManager[None]:
        """Return a context in which the model has the weights to evaluate: averages, if a hook has some."""

    def flush_logs(self) -> None:
        """Log the pending training values now, and start new averages."""

    def exclude_time(self, seconds: float) -> None:
        """Leave the last ``seconds`` out of the times that are logged per iteration."""

    def resume(self, checkpoint: str) -> None:
        """Continue where a checkpoint was saved; see the runner."""

    def save_checkpoint(
        self,
        out_dir: str,
        filename_tmpl: str | None = None,
        save_optimizer: bool = True,
        meta: dict[str, Any] | None = None,
        create_symlink: bool = True,
        background: Callable[[CheckpointError | None], None] | None = None,
    ) -> str:
        """Save the run, in the process of rank 0 only; see the runner."""

    def finish_saving(self) -> None:
        """Wait for the checkpoint that is being written in the background, if there is one."""

    @property
    def saves_in_background(self) -> bool:
        """Whether the checkpoints of the run are written in the background."""

    def defer(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when all hooks of the current stage have run; the last one deferred comes first."""

    def stop(self, reason: str, interrupted: bool = False) -> None:
        """End the run after the current iteration, or after the step if gradients are accumulated."""

    def check_interrupt(self) -> None:
        """Raise ``StopRun`` if the run has been interrupted; for work that a resumed run repeats."""
