"""How long iterations take."""

from __future__ import annotations

from time import perf_counter

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["IterTimerHook"]


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Logs, in seconds, ``time`` per iteration and the part of it spent waiting for data, ``data_time``."""

    def __init__(self) -> None:
        self._last = self._ready = perf_counter()

    def before_run(self, runner: RunnerView) -> None:
        """Start the clock."""
        self._last = perf_counter()

    def before_epoch(self, runner: RunnerView) -> None:
        """Start the clock: what lies between epochs belongs to none."""
        self._last = perf_counter()

    def exclude_time(self, seconds: float) -> None:
        """Leave the last ``seconds``, of an evaluation between iterations for example, out of both times."""
        self._last += seconds
        self._ready += seconds

    def before_iter(self, runner: RunnerView) -> None:
        """Note when the data was there."""
        self._ready = perf_counter()

    def after_iter(self, runner: RunnerView) -> None:
        """Log both times, and start again."""
        now, last = perf_counter(), self._last
        runner.log_buffer.update({"data_time": self._ready - last, "time": now - last})
        self._last = now
