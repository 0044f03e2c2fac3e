"""Ctrl-C and SIGTERM: the first one stops a run after the iteration, the second one immediately."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["stop_on_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# `timeout` and some schedulers send each signal twice at once; a user does not press Ctrl-C twice as fast.
SAME_SIGNAL_SECONDS = 0.1


@contextmanager
def stop_on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Call ``stop`` with the name of the first signal; raise KeyboardInterrupt at the second.

    Processes that are forked in this context ignore both signals: the terminal sends Ctrl-C to all
    of them, and only this process handles it. Outside the main thread, where Python can set no
    handlers, the context does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()
    first: float | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if os.getpid() != owner:
            return
        now = time.monotonic()
        if first is None:
            first = now
            stop(signal.Signals(number).name)
        elif now - first > SAME_SIGNAL_SECONDS:
            raise KeyboardInterrupt

    before: list[tuple[signal.Signals, Any]] = [(each, signal.signal(each, handle)) for each in SIGNALS]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
