"""Write one checkpoint at a time in a thread.

A thread, not a process: it ends with the training if that is killed, so that nothing is written to the
folder after another process has resumed the run. PyTorch does not hold Python's lock while it writes a tensor.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

__all__ = ["BackgroundWriter"]


class BackgroundWriter:
    """Runs one function at a time in a thread."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._ended = (
            threading.Event()
        )  # Thread.join() believes that a thread has ended when Ctrl-C interrupts it
        self._error: BaseException | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Wait for the function before, and call this one in a thread.

        Raises:
            Exception: What the function before has raised.
        """
        self.wait()

        def run() -> None:
            try:
                write()
            except BaseException as error:  # raised again by wait()
                self._error = error
            finally:
                self._ended.set()

        self._ended.clear()
        # Not a daemon: Python waits for it at exit, as it must not end within a function of PyTorch.
        self._thread = threading.Thread(target=run, name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end of the function.

        Raises:
            Exception: What it has raised.
        """
        if self._thread is None:
            return
        self._ended.wait()
        self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def abandon(self) -> None:
        """Raise KeyboardInterrupt in the function, and wait for it to clean up.

        A tensor that is being written is finished before.
        """
        if self._thread is None:
            return
        thread = self._thread
        identifier = ctypes.c_ulong(thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(identifier, ctypes.py_object(KeyboardInterrupt))
        # If the function has just ended, the exception may come before the thread sets the event.
        while thread.is_alive() and not self._ended.wait(0.05):
            pass
        self._thread = self._error = None
