"""Agreements between the processes of a run outside its collectives: when it stops, and that one has failed.

A collective in each iteration would cost time, and a process that waits in one cannot tell the others anything. So
each process has a thread that looks into the store of the process group a few times per second.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore

from cfgtrain.errors import ProcessError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.parallel.hang import REPORT_SECONDS, HangWatch
from cfgtrain.parallel.objects import error_text

__all__ = ["Coordinator", "is_lost_connection", "is_under_agent"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1  # between two looks into the store
# How long to wait for another process to answer that the run is to stop; an agent kills after 30 seconds.
ANSWER_SECONDS = 15.0
FAILURE_SECONDS = 2.0  # how long to wait for the reason why the connection to another process was lost
END_SECONDS = 15.0  # how long a process may take to end after another one has failed

ALL_FAIL_SECONDS = 5.0  # for all processes to fail at the same place, when one of them has

TIMEOUT = 1800.0  # seconds, by default
BEAT_SECONDS = 0.5  # between two signs of life

# Called right before a process is ended that has reported why, for example to tell its launcher.
BEFORE_EXIT: list[Callable[[], None]] = []

_STOP, _FAILED = "stop", "failed"
_TIMEOUT = re.compile(r"timed? ?out", re.IGNORECASE)
# How the errors of gloo begin, which have no type of their own: "[/build/gloo/transport/tcp/pair.cc:537] Read error".
_PLACE_IN_GLOO = re.compile(r"\[[^\]\n]*\bgloo\b[^\]\n]*:\d+\] *")


class Coordinator:
    """Lets the processes of a group agree on the point at which they stop.

    Every process asks ``agreed_stop`` at the same points of the run, in each iteration, and so their numbers are the
    same. When one process requests a stop, the thread of each process publishes how many points its process
    has passed. All stop at the first point that none of them had passed then: a process that gets further than the
    number it has published waits for those of the others, which their threads publish whatever the processes do.

    Must be created in every process of the group, and closed.

    Args:
        store: The store of the process group.
        watched_parent: Whether to end this process if the process that started it ends.
        timeout: After how many seconds without progress the run has ended; see ``watching``.
    """

    def __init__(self, store: Any, watched_parent: bool = False, timeout: float = TIMEOUT) -> None:
        self.rank, self.world_size = get_dist_info()
        with suppress(NotImplementedError, RuntimeError):  # not every store can be cloned
            store = store.clone()  # a process that waits in the original one blocks all its threads
        self._store = PrefixStore("cfgtrain", store)
        self._hang = HangWatch(self._store, self.rank, self.world_size, timeout)
        self._beat, self._beaten = 0, 0.0
        self._parent = os.getppid() if watched_parent else None
        self._lock = threading.Lock()
        self._asked = 0
        self._published: int | None = None
        self._stop_at: int | None = None
        self._reason: str | None = None
        self._requested: str | None = None  # a plain attribute, as a signal handler must not take a lock
        self._failure: tuple[int, str] | None = None
        self._agreed = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cfgtrain-coordinator", daemon=True)
        self._thread.start()

    def request_stop(self, reason: str) -> None:
        """Request that all processes stop; a signal handler may call it."""
        if self._requested is None:
            self._requested = reason

    def agreed_stop(self) -> str | None:
        """Return why the run stops here, or None if it continues.

        All processes must call it equally often.

        Raises:
            ProcessError: Another process has failed, or does not answer.
        """
        with self._lock:
            self._asked += 1
            asked, published = self._asked, self._published
        # The process that has requested the stop waits from now on, so that the others do not get far.
        is_stopping = published is not None or self._requested is not None
        if not is_stopping:
            return None
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._agreed.wait(POLL_SECONDS):
            if self._failure is not None:
                raise _failed(self._failure)
            if time.monotonic() > deadline:
                raise self._lost("the run is to stop, and not all processes answer")
        return self._reason if asked >= (self._stop_at or 0) else None

    def all_fail_at(self, place: str, error: BaseException) -> bool:
        """Return, after an error, whether all processes have failed at the same place of the run.

        If so, none of them waits for another one, and they can still save the run together. All of them get the same
        answer, and it takes a few seconds if the others have not failed.

        Args:
            place: Identifies the place; the same in all processes.
            error: The error.
        """
        if is_lost_connection(error):
            return False
        count, answer = f"failed_at/{place}", f"all_fail_at/{place}"
        deadline = time.monotonic() + min(ALL_FAIL_SECONDS, self._hang.limit / 2)
        found = "no"
        try:
            self._store.add(count, 1)
            while time.monotonic() < deadline and self._failure is None:
                if self._store.add(count, 0) == self.world_size:
                    found = "yes"
                    break
                time.sleep(POLL_SECONDS)
            return bool(self._store.compare_set(answer, "", found) == b"yes")
        except RuntimeError:  # the store is lost
            return False

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Return a context that tells the other processes of an exception in it.

        An exception that only says that the connection to another process was lost is replaced by a ProcessError
        with what happened there, if that is known, and with its notes.
        """
        try:
            yield
        except ProcessError:
            raise
        except (Exception, SystemExit) as error:  # custom code may call sys.exit
            if not is_lost_connection(error):
                if self._report(error):
                    raise
                raise ProcessError(
                    f"Another process failed too: {error_text(error)}", is_reported=True
                ) from error
            found = self._first_failure()
            if found is not None:
                raise _failed(found) from error
            if _TIMEOUT.search(str(error)):
                self._hang.trigger()
                self._closed.wait(2 * REPORT_SECONDS)  # the thread reports it, and ends this process
            lost = self._lost(_PLACE_IN_GLOO.sub("", error_text(error)).splitlines()[0][:200])
            for note in getattr(error, "__notes__", ()):
                lost.add_note(note)
            raise lost from error

    @contextmanager
    def watching(self, folder: Path) -> Iterator[None]:
        """Return a context that reports a process that hangs, and ends all of them.

        In it, ``agreed_stop`` must be called at least once in each period of the timeout. Elsewhere, a collective
        that times out is reported in the same way.

        Args:
            folder: The stacks of all processes are written to a file in this folder.
        """
        self._hang.start(folder)
        try:
            yield
        finally:
            self._hang.stop()

    def close(self) -> None:
        """End the thread."""
        if not self._closed.is_set():
            self._closed.set()
            self._thread.join()
            self._hang.close()

    def _report(self, error: BaseException) -> bool:
        """Tell the other processes of an error; return whether no other one has reported the same."""
        own = error_text(error)
        with suppress(RuntimeError):  # the store is gone, and so are the others
            first = self._store.compare_set(_FAILED, "", f"{self.rank}\n{own}")
            rank, _, text = first.decode().partition("\n")
            return int(rank) == self.rank or text != own
        return True

    def _lost(self, reason: str) -> ProcessError:
        """Return the error that says which process has ended without a report; one process reports it.

        Args:
            reason: What has shown that the connection is lost; it is shown if no process is known to have ended.
        """
        lost: list[int] = []
        try:
            before = self._beats()
            time.sleep(4 * BEAT_SECONDS)
            beats = self._beats()
            lost = [rank for rank, beat in enumerate(beats) if beat == before[rank] and rank != self.rank]
            places = [self._hang.place_of(rank) for rank in lost]
        except RuntimeError:
            places = ["the process that has the store, which is that of rank 0 or the elastic agent,"]
        if not places:
            message = "The connection to another process is lost, and all of them are running."
            return ProcessError(message, hint=f"({reason})", is_reported=self.rank != 0)
        what = " and ".join(places[:8])
        have = "have" if len(places) > 1 else "has"
        first = next((rank for rank in range(self.world_size) if rank not in lost), self.rank)
        return ProcessError(
            f"The connection to another process is lost: {what} {have} ended without a report, for example because of "
            "SIGKILL, which the system sends when memory runs out.",
            is_reported=is_under_agent() or (bool(lost) and self.rank != first),
        )

    def _beats(self) -> list[bytes]:
        keys = [f"beat/{rank}" for rank in range(self.world_size)]
        return [self._store.get(key) if self._store.check([key]) else b"" for key in keys]

    def _first_failure(self) -> tuple[int, str] | None:
        deadline = time.monotonic() + FAILURE_SECONDS
        while time.monotonic() < deadline:
            if self._failure is not None:
                return self._failure
            time.sleep(POLL_SECONDS)
        return None

    def _watch(self) -> None:
        """Look into the store until the coordinator is closed; the body of the thread."""
        failed_at: float | None = None
        while not self._closed.wait(POLL_SECONDS):
            if self._parent is not None and os.getppid() != self._parent:
                self._exit("The process that has started this one has ended.")
            try:
                self._look()
            except RuntimeError as error:  # the store is in a process that has ended
                if failed_at is None and not self._closed.is_set():
                    failed_at = time.monotonic()
                    logger.debug("The store of the process group is lost: %s", error)
            if self._failure is not None and failed_at is None:
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() - failed_at > END_SECONDS:
                reason = "The store is lost." if self._failure is None else str(_failed(self._failure))
                self._exit(f"This process does not end by itself after another one has failed. {reason}")

    def _look(self) -> None:
        if time.monotonic() - self._beaten > BEAT_SECONDS:
            self._beat, self._beaten = self._beat + 1, time.monotonic()
            self._store.set(f"beat/{self.rank}", str(self._beat))
        if self._hang.look(self._asked):
            self._end()
        if self._failure is None and self._store.check([_FAILED]):
            rank, _, text = self._store.get(_FAILED).decode().partition("\n")
            if int(rank) != self.rank:
                self._failure = int(rank), text
        if self._agreed.is_set():
            return
        if self._published is None:
            if self._requested is not None:
                self._store.compare_set(_STOP, "", self._requested)
            if not self._store.check([_STOP]):
                return
            self._reason = self._store.get(_STOP).decode()
            with self._lock:
                self._published = self._asked
            self._store.set(f"passed/{self.rank}", str(self._published))
        keys = [f"passed/{rank}" for rank in range(self.world_size)]
        if self._store.check(keys):
            self._stop_at = max(int(self._store.get(key)) for key in keys) + 1
            self._agreed.set()

    def _exit(self, reason: str) -> None:
        """End the process at once: the main thread may be waiting for a process that has ended."""
        logger.error("Rank %d ends: %s", self.rank, reason)
        self._end()

    def _end(self) -> None:
        self._hang.kill_workers()
        self._hang.close()
        for before in BEFORE_EXIT:
            before()
        for handler in (*logging.getLogger().handlers, *logging.getLogger("cfgtrain").handlers):
            with suppress(Exception):
                handler.flush()
        os._exit(ExitCode.FAILED)


def is_under_agent() -> bool:
    """Return whether an elastic agent of PyTorch, such as that of torchrun, has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _failed(failure: tuple[int, str]) -> ProcessError:
    rank, text = failure
    return ProcessError(f"Rank {rank} failed: {text}", is_reported=True)


def is_lost_connection(error: BaseException) -> bool:
    """Return whether an exception says that a collective failed because of another process.

    Those are the errors of torch.distributed and of gloo; a RuntimeError of other code is not one of them.
    """
    if isinstance(error, dist.DistError):
        return True
    return type(error) is RuntimeError and _PLACE_IN_GLOO.search(str(error)) is not None
