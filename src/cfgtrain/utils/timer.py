"""Measure time."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType

from cfgtrain.errors import TimerError

__all__ = ["Timer", "TimerError", "check_time"]


class Timer:
    """A stopwatch.

        with Timer(print_tmpl="it took {:.1f} s"):
            ...

    Args:
        start: Whether to start the timer at once.
        print_tmpl: Text to print at the end of a ``with`` block; its ``{}`` is replaced by the duration of the
            block in seconds.
    """

    def __init__(self, start: bool = True, print_tmpl: str | None = None) -> None:
        self._is_running = False
        self.print_tmpl = "{:.3f}" if print_tmpl is None else print_tmpl
        self._started = self._checked = self._entered = 0.0
        if start:
            self.start()

    @property
    def is_running(self) -> bool:
        """Whether the timer is running: it was started, and no ``with`` block has ended since."""
        return self._is_running

    def start(self) -> None:
        """Start the timer. If it is running already, only ``since_last_check`` is reset."""
        now = perf_counter()
        if not self._is_running:
            self._started = now
            self._is_running = True
        self._checked = now

    def since_start(self) -> float:
        """Return the seconds since the timer was started.

        Raises:
            TimerError: The timer is not running.
        """
        return self._check() - self._started

    def since_last_check(self) -> float:
        """Return the seconds since the last call of ``start``, ``since_start`` or ``since_last_check``.

        Raises:
            TimerError: The timer is not running.
        """
        last = self._checked
        return self._check() - last

    def _check(self) -> float:
        if not self._is_running:
            raise TimerError("The timer is not running: start it first.")
        self._checked = perf_counter()
        return self._checked

    def __enter__(self) -> Timer:
        self.start()
        self._entered = self._checked
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        print(self.print_tmpl.format(perf_counter() - self._entered))
        self._is_running = False


_timers: dict[str, Timer] = {}


def check_time(timer_id: str) -> float:
    """Return the seconds since the last call with the same ``timer_id``; 0 on the first call."""
    if timer_id not in _timers:
        _timers[timer_id] = Timer()
        return 0.0
    return _timers[timer_id].since_last_check()
