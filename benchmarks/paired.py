"""Compare two things fairly on a machine whose speed changes from minute to minute.

The two are run in turn, A B A B ..., so that both see the same machine; what is compared
is CPU time (user + system), pair by pair; the result is the median of the ratios with the
95 % interval of that median by bootstrap.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Comparison(NamedTuple):
    """Medians of the CPU seconds of A and B, and of their ratio with its interval."""

    a: float
    b: float
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} (95 %: {self.low:.2f} to {self.high:.2f})"


def compare(a: Callable[[], float], b: Callable[[], float], pairs: int = 20, warmup: int = 1) -> Comparison:
    """Run ``a`` and ``b`` in turn; each returns the CPU seconds that it took."""
    for _ in range(warmup):
        a()
        b()
    return summary([(a(), b()) for _ in range(pairs)])


def summary(times: Sequence[tuple[float, float]]) -> Comparison:
    """Return the medians of pairs of seconds and of their ratios."""
    ratios = [x / y for x, y in times]
    low, high = median_interval(ratios)
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    return Comparison(first, second, statistics.median(ratios), low, high)


def median_interval(values: Sequence[float], resamples: int = 2000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median; the resamples are always the same ones."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(resamples))
    return medians[int(0.025 * resamples)], medians[int(0.975 * resamples)]


def process_time(command: Sequence[str]) -> float:
    """Run a command to its end and return the CPU seconds of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=user_environment()
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def user_environment() -> dict[str, str]:
    """Return the environment, but that Python keeps what it has compiled, as it does for a user.

    Else each start would be charged for compiling our modules, but not for those of the floor,
    which an installer has compiled.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
