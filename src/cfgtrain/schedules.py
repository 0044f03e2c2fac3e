"""Curves for learning rates and momenta: pure functions of the position in a run.

A curve is called as ``curve(base, at, total)``: the value that a parameter group started
with, the 0-based epoch or iteration, and how many there are. It keeps no state, so a
resumed run needs none, a test is a table and a plot is a comprehension. The formulas and
the order of their operations are those of MMCV 1.x, equal to the last bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Literal, Protocol

from cfgtrain.errors import ArgumentError, ArgumentTypeError

WarmupKind = Literal["constant", "linear", "exp"]


class Curve(Protocol):
    """What a schedule is made of."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value at epoch or iteration ``at`` of ``total``."""


@dataclass(frozen=True)
class Fixed:
    """The base value throughout."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base``."""
        return base


@dataclass(frozen=True)
class Step:
    """Multiply by ``gamma`` at every step.

    Args:
        step: Every so many epochs or iterations, or a list of the ones at which to multiply.
        gamma: The factor.
        min_value: A floor under the result, or None.
    """

    step: int | Sequence[int]
    gamma: float = 0.1
    min_value: float | None = None

    def __post_init__(self) -> None:
        steps = list(self.step) if isinstance(self.step, Sequence) else [self.step]
        if not all(isinstance(step, int) for step in steps):
            raise ArgumentTypeError(f"step is an int or a list of int, not {self.step!r}.")
        if not all(step > 0 for step in steps):
            raise ArgumentError(f"Steps are positive; step is {self.step!r}.")

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base * gamma ** steps_done``, not below ``min_value``."""
        done = at // self.step if isinstance(self.step, int) else bisect_right(sorted(self.step), at)
        value = base * self.gamma**done
        return value if self.min_value is None else max(value, self.min_value)


@dataclass(frozen=True)
class CosineAnnealing:
    """Half a cosine from the base value to a target (SGDR, Loshchilov & Hutter 2017).

    Args:
        min_value: The target as a value, or
        min_ratio: as a fraction of the base value. Exactly one of the two.
    """

    min_value: float | None = None
    min_ratio: float | None = None

    def __post_init__(self) -> None:
        if (self.min_value is None) == (self.min_ratio is None):
            raise ArgumentError(
                "Cosine annealing needs a target: either a minimum or its ratio to the base value."
            )

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value after ``at / total`` of the way; the target itself is past the end."""
        target = base * self.min_ratio if self.min_ratio is not None else self.min_value
        return anneal_cos(base, target or 0, at / total)


def anneal_cos(start: float, end: float, factor: float, weight: float = 1) -> float:
    """Go from ``start`` to ``end`` on half a cosine as ``factor`` goes from 0 to 1."""
    return end + 0.5 * weight * (start - end) * (cos(pi * factor) + 1)


@dataclass(frozen=True)
class Warmup:
    """The first iterations of a run, in which a value approaches what its curve says.

    Args:
        kind: Constant, or linear or exponential in the iterations.
        iters: How many iterations it takes.
        ratio: The share of the curve's value at iteration 0, above 0 and at most 1.
    """

    kind: WarmupKind
    iters: int
    ratio: float

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "linear", "exp"):
            raise ArgumentError(f"warmup is 'constant', 'linear' or 'exp', not {self.kind!r}.")
        if not self.iters > 0:
            raise ArgumentError(f"warmup_iters is positive, not {self.iters!r}.")
        if not 0 < self.ratio <= 1:
            raise ArgumentError(f"warmup_ratio is above 0 and at most 1, not {self.ratio!r}.")

    def factor(self, at: int) -> float:
        """Return the share of the curve's value at iteration ``at``."""
        if self.kind == "constant":
            return self.ratio
        if self.kind == "linear":
            return 1 - (1 - at / self.iters) * (1 - self.ratio)
        return float(self.ratio ** (1 - at / self.iters))
