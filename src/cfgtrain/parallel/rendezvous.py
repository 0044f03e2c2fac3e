"""How the processes of a run find each other at its start: through a store in the process of rank 0.

``torch.distributed`` does the same by itself, but its errors do not say which process is missing, and some of its waits
have no limit.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # it is public
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from cfgtrain.errors import RendezvousError
from cfgtrain.parallel.dist import start_error

__all__ = ["open_store"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1  # between two looks into the store
CONNECT_SECONDS = 5.0  # for one attempt to connect
ANSWER_SECONDS = 60.0  # for the server to answer
GRACE_SECONDS = 10.0  # for torch to notice by itself that there is no answer
QUIET_SECONDS = 15.0  # before it is logged that a process waits
REPORT_SECONDS = 1.0  # for the others to read an error from the store, before the process that has it ends
ATTEMPTS = 3  # to use a server that answers, but not as a store does
RANKS_SHOWN = 16

_opened = 0  # stores of this process; a later one may be on the same server


def open_store(timeout: float) -> Any:
    """Return a store of all processes, when all of them have connected to it.

    ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT`` must be set; see ``set_variables``. Under an elastic
    agent the store is that of the agent, which has counted the processes.

    Args:
        timeout: How many seconds to wait for the other processes.

    Raises:
        RendezvousError: The port is in use, rank 0 cannot be reached, a process is missing, or there are two with one
            rank or with different numbers of processes.
    """
    global _opened
    start = _Start(timeout)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return start.answered(lambda: next(iter(rendezvous("env://", timeout=start.limit)))[0])
    store = start.serve() if start.rank == 0 else start.connect()
    start.wait_for_all(PrefixStore(f"start_{_opened}", store))
    _opened += 1
    return store


class _Start:
    """The start of a process as one of several.

    Args:
        timeout: How many seconds it may take.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.limit = timedelta(seconds=timeout)
        self.began = time.monotonic()
        self.rank, self.world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.host, self.port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self.address = f"{self.host}:{self.port}"
        self._is_logged = False

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.began + self.timeout - time.monotonic()

    def serve(self) -> Any:
        """Return the store of rank 0, which is the server."""
        try:  # on all addresses of the machine; its own connection must not depend on MASTER_ADDR
            return TCPStore(
                "127.0.0.1", self.port, self.world_size, True, self.limit, wait_for_workers=False, multi_tenant=True
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:
            raise start_error(error) from error

    def connect(self) -> Any:
        """Return the store of another rank, as soon as the server can be reached."""
        for attempt in range(ATTEMPTS):
            self._wait_for_server()
            try:
                return self.answered(self._client)
            except RendezvousError:
                if attempt == ATTEMPTS - 1 or self.left < 1:
                    raise
                time.sleep(1.0)  # it may have been the server of an earlier run, which was about to end
        raise AssertionError  # unreachable

    def _client(self) -> Any:
        limit = timedelta(seconds=CONNECT_SECONDS)
        return TCPStore(self.host, self.port, self.world_size, False, limit, wait_for_workers=False)

    def _wait_for_server(self) -> None:
        """Wait until something listens at the address: torch would print the stack of each failed attempt."""
        while True:
            try:
                wait = max(min(CONNECT_SECONDS, self.left), 0.1)
                socket.create_connection((self.host, self.port), timeout=wait).close()
                return
            except OSError as error:
                if self.left <= 0:
                    self._fail_to_connect(error)
            if self.rank == 1:  # one line is enough
                self._log("Waiting for the process of rank 0 at %s.", lambda: self.address)
            time.sleep(POLL_SECONDS)

    def _fail_to_connect(self, error: OSError) -> NoReturn:
        is_name = isinstance(error, socket.gaierror)
        hint = (
            "Check MASTER_ADDR, the name or address of the machine of rank 0."
            if is_name
            else "Check that rank 0 has started, that MASTER_ADDR is its machine and MASTER_PORT is the same in all "
            "processes, and that no firewall is between them."
        )
        why = f"the name {self.host!r} is not known" if is_name else (error.strerror or str(error)).lower()
        raise RendezvousError(
            f"The process of rank 0 cannot be reached at {self.address} within {self.timeout:g} s "
            f"(dist_params.timeout): {why}.",
            hint=hint,
        ) from None

    def answered(self, make: Callable[[], Any]) -> Any:
        """Return the store that a function returns, which may wait for the answer of a server without a limit.

        Raises:
            RendezvousError: There is no answer in time, or it is not that of a store.
        """
        made: list[Any] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                made.append(make())
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        end = time.monotonic() + min(max(self.left, 0.0), ANSWER_SECONDS) + GRACE_SECONDS
        while thread.is_alive() and time.monotonic() < end:
            thread.join(POLL_SECONDS)
        if made:
            return made[0]
        raise RendezvousError(
            f"What listens at {self.address} does not answer like the process of rank 0 of this run.",
            hint="If another program uses the port, set MASTER_PORT to another one in all processes.",
        ) from (errors[0] if errors else None)

    def wait_for_all(self, store: Any) -> None:
        """Wait until all processes have connected to the store, in which no other start has written."""
        try:
            self._join(store)
            while not self._is_complete(store):
                if self.rank == 0:
                    self._log("Waiting for the other processes: %s.", lambda: self._missing(store))
                time.sleep(POLL_SECONDS)
        except RuntimeError as error:
            if isinstance(error, RendezvousError):
                raise
            raise RendezvousError(
                f"The connection to the process of rank 0 at {self.address} is lost: it has ended before all processes "
                "had started."
            ) from error

    def _join(self, store: Any) -> None:
        """Register this process."""
        size = int(store.compare_set("world_size", "", str(self.world_size)))
        if size != self.world_size:
            self._fail(
                store,
                f"The processes at {self.address} disagree about their number: it is {size} in one of them and "
                f"{self.world_size} in rank {self.rank}.",
                "Set WORLD_SIZE to the same number in all processes, and use another MASTER_PORT for each run.",
            )
        if store.add(f"joined/{self.rank}", 1) > 1:
            self._fail(
                store,
                f"Two processes at {self.address} have rank {self.rank}.",
                "Set RANK to another number in each process, from 0 to WORLD_SIZE - 1, and use another MASTER_PORT for "
                "each run.",
            )
        store.add("count", 1)

    def _is_complete(self, store: Any) -> bool:
        if store.check(["failed"]):
            text = store.get("failed").decode().partition("\n")[2]
            raise RendezvousError(text, is_reported=True)
        if store.add("count", 0) >= self.world_size:
            return True
        if self.left <= 0:
            self._fail(
                store,
                f"The run has not started within {self.timeout:g} s (dist_params.timeout): {self._missing(store)}.",
                self._hint(),
            )
        return False

    def _missing(self, store: Any) -> str:
        """Return which processes have not connected yet."""
        missing = [rank for rank in range(self.world_size) if not store.check([f"joined/{rank}"])]
        names = ", ".join(map(str, missing[:RANKS_SHOWN])) + (", ..." if len(missing) > RANKS_SHOWN else "")
        there = self.world_size - len(missing)
        return (
            f"{there} of {self.world_size} processes {'has' if there == 1 else 'have'} connected to {self.address}, and "
            f"rank{'s' * (len(missing) > 1)} {names} {'is' if len(missing) == 1 else 'are'} missing"
        )

    def _hint(self) -> str:
        if self.rank == 0 and not _is_own(self.host):
            return (
                f"MASTER_ADDR, {self.host}, is no address of the machine of rank 0, {socket.gethostname()}."
            )
        return "Start them with the same MASTER_ADDR and MASTER_PORT, or set WORLD_SIZE to the number of processes."

    def _fail(self, store: Any, message: str, hint: str) -> NoReturn:
        """Raise an error that only one of the processes reports."""
        first = store.compare_set("failed", "", f"{self.rank}\n{message}").decode()
        if self.rank == 0:  # which has the store
            time.sleep(REPORT_SECONDS)
        raise RendezvousError(message, hint=hint, is_reported=int(first.partition("\n")[0]) != self.rank)

    def _log(self, message: str, detail: Callable[[], str]) -> None:
        """Log once why the process waits, if it has waited for long; as a warning, because no log is open yet."""
        if not self._is_logged and self.timeout - self.left > QUIET_SECONDS:
            self._is_logged = True
            logger.warning(message, detail())


def _is_own(host: str) -> bool:
    """Return whether an address or name is of this machine."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, _, _, place in found:
        with suppress(OSError), socket.socket(family, kind) as probe:
            probe.bind(place)
            return True
    return False
