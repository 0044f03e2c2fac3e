"""Ctrl-C, SIGTERM and SIGHUP: the first one ends a run and saves it, the second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["SIGNALS", "RunSignals", "handle_signals", "stop_on_signals"]

# Windows has no SIGHUP.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

# `timeout` and some schedulers send each signal twice at once; nobody presses Ctrl-C twice that fast.
SAME_SIGNAL_SECONDS = 0.1

# With torchrun, Ctrl-C reaches each process twice: the terminal sends it, and then torchrun.
SAME_SIGNAL_OF_LAUNCHER_SECONDS = 2.0


class RunSignals:
    """Decides what a signal means for a run; a signal handler.

    Args:
        stop: Called with the name of the first signal.
        same_seconds: How long after the first signal others are the same one.
    """

    def __init__(self, stop: Callable[[str], None], same_seconds: float = SAME_SIGNAL_SECONDS) -> None:
        self._stop = stop
        self._same_seconds = same_seconds
        self._owner = os.getpid()
        self._first: float | None = None
        self._ignoring = False

    def ignore(self) -> None:
        """Ignore all signals from now on: the run is saved, and a signal must not change its exit code."""
        self._ignoring = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Stop the run at the first signal; raise KeyboardInterrupt at the second."""
        if self._ignoring or os.getpid() != self._owner:
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now
            self._stop(signal.Signals(number).name)
        elif now - self._first > self._same_seconds:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals(
    stop: Callable[[str], None], same_seconds: float = SAME_SIGNAL_SECONDS
) -> Iterator[RunSignals]:
    """Call ``stop`` with the name of the first signal; raise KeyboardInterrupt at the second.

    A signal that is ignored already, such as SIGHUP under ``nohup``, stays ignored. Processes
    forked meanwhile ignore all of them: the terminal sends Ctrl-C to every process, and only this
    one decides. Outside the main thread, where Python sets no handlers, nothing changes.
    """
    handler = RunSignals(stop, same_seconds)
    before = handle_signals(SIGNALS, handler)
    try:
        yield handler
    finally:
        for each, previous in before.items():
            signal.signal(each, previous)


def handle_signals(signals: Iterable[signal.Signals], handler: Any) -> dict[signal.Signals, Any]:
    """Set the handler of signals, except those that are ignored; return the previous handlers.

    Outside the main thread nothing is set.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    heeded = [each for each in signals if signal.getsignal(each) is not signal.SIG_IGN]
    return {each: signal.signal(each, handler) for each in heeded}
