"""Measure the time of iterations."""

from __future__ import annotations

from time import perf_counter

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["IterTimerHook"]


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Logs ``time`` per iteration and ``data_time``, the part of it spent waiting for data, in seconds."""

    def __init__(self) -> None:
        self._last = self._ready = perf_counter()

    def before_run(self, runner: RunnerView) -> None:
        """Start the clock."""
        self._last = perf_counter()

    def before_epoch(self, runner: RunnerView) -> None:
        """Start the clock: time between epochs is not counted."""
        self._last = perf_counter()

    def exclude_time(self, seconds: float) -> None:
        """Do not count the last ``seconds``, as of an evaluation between iterations."""
        self._last += seconds
        self._ready += seconds

    def before_iter(self, runner: RunnerView) -> None:
        """Record when the data is available."""
        self._ready = perf_counter()

    def after_iter(self, runner: RunnerView) -> None:
        """Log both times, and restart the clock."""
        now, last = perf_counter(), self._last
        runner.log_buffer.update({"data_time": self._ready - last, "time": now - last})
        self._last = now
