"""Compare the speed of two actions on a machine whose speed changes over time.

The actions run alternately, A B A B ..., so that both run under the same conditions. Their CPU times (user + system) are
compared pair by pair. The result is the median of the ratios, with its 95 % bootstrap interval.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

Reading = TypeVar("Reading")


class Comparison(NamedTuple):
    """The median CPU seconds of A and B, and the median of their ratio with its 95 % interval."""

    a: float
    b: float
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} (95 %: {self.low:.2f} to {self.high:.2f})"


def compare(a: Callable[[], float], b: Callable[[], float], pairs: int = 20, warmup: int = 1) -> Comparison:
    """Run ``a`` and ``b`` alternately and compare them; each returns the CPU seconds that it took."""
    for _ in range(warmup):
        a()
        b()
    return summary([(a(), b()) for _ in range(pairs)])


def summary(times: Sequence[tuple[float, float]]) -> Comparison:
    """Return the medians of pairs of seconds, and of their ratios."""
    ratios = [x / y for x, y in times]
    low, high = median_interval(ratios)
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    return Comparison(first, second, statistics.median(ratios), low, high)


class Alternating(Generic[Reading]):
    """Batches for a training loop that is compared with another one, part by part, in the same process.

    Before each part of the batches is yielded, the other loop trains on them.

    Args:
        batches: All batches.
        length: Number of batches in a part.
        other: The other loop: trains on a list of batches.
        clock: Returns the reading of a clock.

    Attributes:
        readings: The clock before the other loop, after it, and when the batches that were yielded are trained, for
            each part.
    """

    def __init__(
        self,
        batches: Sequence[Any],
        length: int,
        other: Callable[[Sequence[Any]], None],
        clock: Callable[[], Reading],
    ) -> None:
        self.dataset = batches
        self.readings: list[tuple[Reading, Reading, Reading]] = []
        self._length, self._other, self._clock = length, other, clock

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, part: slice) -> Iterator[Any]:
        return iter(self)  # loops written by hand ask for all that is left

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.dataset), self._length):
            part = self.dataset[start : start + self._length]
            before = self._clock()
            self._other(part)
            between = self._clock()
            yield from part
            self.readings.append((before, between, self._clock()))


def median_interval(values: Sequence[float], resamples: int = 2000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median, computed with a fixed seed."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(resamples))
    return medians[int(0.025 * resamples)], medians[int(0.975 * resamples)]


def process_time(command: Sequence[str]) -> float:
    """Run a command and return its CPU seconds, child processes included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=user_environment()
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def user_environment() -> dict[str, str]:
    """Return the environment variables, with Python's caching of bytecode enabled as for a user.

    Without caching, each start would include the compilation of cfgtrain's modules, but not that of the modules it is
    compared with, since an installer has compiled those.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
