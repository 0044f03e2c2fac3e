"""Live progress of a command that processes files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar


class _Result(Protocol):
    """What is known of one file after it was processed."""

    @property
    def error(self) -> str | None: ...


R = TypeVar("R", bound=_Result)


def with_progress(results: Iterator[R], total: int, name: Callable[[R], str]) -> Iterator[R]:
    """Yield results, and show their number on a terminal.

    Args:
        results: The results; those with an ``error`` are counted as failed.
        total: Their number.
        name: Returns the text to the left of the bar.
    """
    if total < 2 or not sys.stderr.isatty():
        yield from results
        return
    from cfgtrain.terminal import LiveProgress  # imports rich, which pipes do not need

    progress = LiveProgress(total)
    failed = 0
    try:
        for done, result in enumerate(results, start=1):
            failed += result.error is not None
            progress.update(done, name(result), {"failed": failed} if failed else {})
            yield result
    finally:
        progress.stop()
