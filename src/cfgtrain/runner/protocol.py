"""What a hook may read of a runner, and what it may ask of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import nn

from cfgtrain.runner.log_buffer import LogBuffer

__all__ = ["RunnerView"]


class RunnerView(Protocol):
    """The runner as hooks see it.

    Attributes:
        model: In a wrapper where the device asks for one.
        optimizer: An optimizer, a dict of them, or None.
        logger: Of the run.
        meta: Facts that are saved with checkpoints; ``hook_msgs`` in it belongs to hooks.
        log_buffer: Where numbers to be logged go.
        work_dir: Absolute, or None when nothing is to be written.
        timestamp: Of the start of the run, ``YYYYmmdd_HHMMSS``.
        mode: ``"train"`` or ``"val"``, None before the first flow.
        data_loader: Of the current flow.
        data_batch: The current batch, only within an iteration.
        outputs: What the last step returned.
        last_of_flow: Of an iteration runner, whether this is the last iteration of its flow.
        accumulating: Whether gradients are waiting for the rest of their window.
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
    accumulating: bool

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
    def epoch(self) -> int:
        """0-based; equal to the number of epochs that are complete."""

    @property
    def iter(self) -> int:
        """0-based over the whole run; equal to the number of iterations that are complete."""

    @property
    def inner_iter(self) -> int:
        """0-based within the epoch (epoch runner) or the flow (iteration runner)."""

    @property
    def max_epochs(self) -> int | None:
        """Length of the run in epochs, None for an iteration runner."""

    @property
    def max_iters(self) -> int | None:
        """Length of the run in iterations, None before it is known."""

    def current_lr(self) -> Any:
        """Return the learning rate of each group, by optimizer name if there are several."""

    def current_momentum(self) -> Any:
        """Return the momentum of each group, by optimizer name if there are several."""

    @property
    def batch_position(self) -> tuple[int, int, int]:
        """The iteration, the epoch and the batch of it, all 0-based, that ``data_batch`` is."""

    def evaluation_context(self) -> AbstractContextManager[None]:
        """Return what is to be entered while the model is evaluated: it then has averaged weights, if any."""

    def resume(self, checkpoint: str) -> None:
        """Go on from a checkpoint; see the runner."""

    def save_checkpoint(self, out_dir: str, filename_tmpl: str = ..., **kwargs: Any) -> str:
        """Save the run; see the runner."""

    def defer(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once all hooks of the current stage have run, last asked first."""

    def stop(self, reason: str, interrupted: bool = False) -> None:
        """End the run at the next safe point."""

    def check_interrupt(self) -> None:
        """Leave the run here if it is to be broken off; for what a resumed run does again."""
