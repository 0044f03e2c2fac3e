"""Start and stop the worker processes of a loader."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data import get_worker_info

from cfgtrain.parallel.stacks import write_stacks_on_signal

PARENT_SECONDS = 5.0  # between two looks whether the parent process has ended

__all__ = ["init_stream_worker", "init_worker", "signals_blocked"]


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM while workers start. The workers unblock SIGINT in ``init_worker``.

    It also restores the handler of SIGCHLD, which torch replaces. With torch's handler, the death of a worker would
    raise wherever the main process is, possibly in the middle of a step or of saving a checkpoint. Without it, the
    death is detected a few seconds later, while the main process waits for the next batch, when the state of the
    training is consistent.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    child_handler = signal.getsignal(signal.SIGCHLD)
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        if child_handler is not None:
            signal.signal(signal.SIGCHLD, child_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


def init_worker(worker_id: int) -> None:
    """Make a worker ignore SIGINT, and SIGTERM unless its main process sends it.

    A signal that is sent to all processes of a command, such as Ctrl-C, is handled by the main process alone. This
    function also disables the threads of OpenCV, since the threads of all workers would compete for the cores.
    """
    cv2 = sys.modules.get("cv2")
    if cv2 is not None:
        cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    worker = get_worker_info()
    place = getattr(worker.dataset, "place", None) if worker is not None else None
    key = (place or {}).get("key")
    write_stacks_on_signal(f"worker {worker_id}{f' of {key}' if key else ''}")
    if hasattr(signal, "sigtimedwait"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def init_stream_worker(first: int, count: int, worker_id: int) -> None:
    """Initialize a worker that reads a share of a stream: the share ``first + worker_id`` of ``count``."""
    init_worker(worker_id)
    worker = get_worker_info()
    if worker is not None:
        worker.dataset.share_of = (first + worker_id, count)  # type: ignore[attr-defined]  # a StreamReader


def _exit_with_parent(parent: int) -> None:
    """Exit this worker when its parent process sends SIGTERM or ends; ignore SIGTERM from other processes.

    torch looks for the end of the parent only between batches, so that a worker that hangs would not end.
    """
    while os.getppid() == parent:
        received = signal.sigtimedwait([signal.SIGTERM], PARENT_SECONDS)
        if received is not None and received.si_pid == parent:
            break
    os._exit(0)
