"""Start the processes of one training run."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from faults.experiment import Command, Forker


def free_port() -> int:
    """Return a port that is free on this machine, and that the system gives to no other process meanwhile.

    Those that it chooses itself, for connections and for the processes of other tests, are from 32768 on.
    """
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            return port


def start_ranks(
    forker: Forker,
    *words: str,
    count: int = 2,
    session: str = "first",
    faults: Mapping[int, str] | None = None,
    own: Mapping[int, list[str]] | None = None,
    cwd: Path | None = None,
) -> list[Command]:
    """Start ``cfgtrain`` in several processes, as a launcher does.

    Args:
        forker: Starts the commands.
        words: Arguments of all of them.
        count: Number of processes.
        session: What they record is that of the sessions ``<session>-<rank>``.
        faults: Faults of processes by rank; see ``faults.experiment``.
        own: More arguments of processes, by rank.
        cwd: Their folder.
    """
    port = str(free_port())
    return [
        forker.start(
            *words,
            *(own or {}).get(rank, []),
            cwd=cwd,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(count),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port,
            SESSION=f"{session}-{rank}",
            FAULTS=(faults or {}).get(rank, ""),
        )
        for rank in range(count)
    ]


def end_ranks(ranks: list[Command]) -> list[int]:
    """Wait for processes, and return their exit codes."""
    return [rank.end() for rank in ranks]


def run_ranks(forker: Forker, *words: str, **options: object) -> None:
    """Run ``cfgtrain`` in several processes, all of which must succeed; see ``start_ranks``."""
    ranks = start_ranks(forker, *words, **options)  # type: ignore[arg-type]
    codes = end_ranks(ranks)
    assert codes == [0] * len(codes), "\n".join(rank.text for rank in ranks)
