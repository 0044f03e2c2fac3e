"""Show live progress on a terminal."""

from __future__ import annotations

from time import perf_counter

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.terminal import LiveProgress

__all__ = ["ProgressHook"]

SECONDS_BETWEEN_UPDATES = 0.1


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows epoch, iteration, loss, learning rate and remaining time below the log lines.

    The numbers are those that were logged last, so that no step has to wait for the device. If
    stderr is not a terminal, nothing is shown.
    """

    default_priority = "LOWEST"

    def __init__(self) -> None:
        self._progress: LiveProgress | None = None
        self._shown = 0.0

    def before_run(self, runner: RunnerView) -> None:
        """Show the bar."""
        self._progress = LiveProgress(runner.max_iters, runner.iter)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Update the bar, at most ten times per second."""
        now = perf_counter()
        if self._progress is None or now - self._shown < SECONDS_BETWEEN_UPDATES:
            return
        self._shown = now
        epochs = f"/{runner.max_epochs}" if runner.max_epochs else ""
        lr = runner.current_lr()
        first = next(iter(lr.values())) if isinstance(lr, dict) else lr
        latest = runner.log_buffer.latest
        numbers = {"loss": latest["loss"]} if "loss" in latest else {}
        self._progress.update(
            runner.iter + 1, f"epoch {runner.epoch + 1}{epochs}", {**numbers, "lr": first[0]}
        )

    def after_run(self, runner: RunnerView) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
