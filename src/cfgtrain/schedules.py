"""Curves for learning rates and momenta: pure functions of the position in a run.

A curve is called as ``curve(base, at, total)``: the initial value of a parameter group, the 0-based epoch or
iteration, and the total number of epochs or iterations. A curve has no state, so nothing needs to be saved for
resuming. The formulas and the order of their operations are those of MMCV 1.x, so that the results are
bit-identical.

Since the last value of ``at`` is ``total - 1``, a curve ends one step before its target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import cos, pi
from typing import ClassVar, Literal

from cfgtrain.arguments import (
    check_choice,
    check_integer,
    check_number,
    check_pair,
    check_positive,
    check_type,
)
from cfgtrain.errors import ArgumentError

AnnealStrategy = Literal["cos", "linear"]
WarmupKind = Literal["constant", "linear", "exp"]


class Curve(ABC):
    """Base class of curves. A curve is a pure function, so it can be evaluated at any position, in any order.

    Attributes:
        needs_total: Whether the curve depends on the length of the run.
        length_argument: Name of the argument that may not fit the length of a run, or ``""``.
    """

    needs_total: ClassVar[bool] = False
    length_argument: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value at epoch or iteration ``at`` of ``total``."""

    def problem(self, total: int) -> str | None:
        """Return a description of why this curve does not fit a run of this length, or None if it does."""
        return None

    def unused(self, total: int) -> str | None:
        """Return what of the curve is beyond the end of a run of this length, or None."""
        return None


@dataclass(frozen=True)
class Fixed(Curve):
    """Keeps the base value."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base``."""
        return base


@dataclass(frozen=True)
class Step(Curve):
    """Multiplies the value by ``gamma`` at every step.

    Args:
        step: Number of epochs or iterations between steps, or a list of the epochs or iterations of the steps.
        gamma: The factor.
        min_value: Lower bound of the value, or None.

    Raises:
        ArgumentTypeError: ``step`` is neither an int nor a list of int.
        ArgumentError: A step is not positive.
    """

    step: int | Sequence[int]
    gamma: float = 0.1
    min_value: float | None = None

    length_argument = "step"

    def __post_init__(self) -> None:
        check_type("step", self.step, int | list | tuple, "an int or a list of int")
        for step in self.step if isinstance(self.step, Sequence) else [self.step]:
            check_integer("step", step, 1)
        if isinstance(self.step, Sequence):
            object.__setattr__(self, "step", tuple(sorted(self.step)))

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``max(base * gamma ** steps_done, min_value)``."""
        done = at // self.step if isinstance(self.step, int) else bisect_right(self.step, at)
        value = base * self.gamma**done
        return value if self.min_value is None else max(value, self.min_value)

    def unused(self, total: int) -> str | None:
        """Return the steps that the run does not reach."""
        steps = [self.step] if isinstance(self.step, int) else self.step
        return _beyond("step", [step for step in steps if step >= total])


@dataclass(frozen=True)
class Exp(Curve):
    """Multiplies the value by ``gamma`` in every epoch or iteration."""

    gamma: float

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base * gamma ** at``."""
        return float(base * self.gamma**at)


@dataclass(frozen=True)
class Poly(Curve):
    """Decreases to ``min_value`` as a power of the remaining fraction of the run."""

    power: float = 1
    min_value: float = 0

    needs_total = True

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``(base - min_value) * (1 - at / total) ** power + min_value``."""
        return float((base - self.min_value) * (1 - at / total) ** self.power + self.min_value)


@dataclass(frozen=True)
class Inv(Curve):
    """Decreases as the inverse of a power of the position."""

    gamma: float
    power: float = 1

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base * (1 + gamma * at) ** -power``."""
        return float(base * (1 + self.gamma * at) ** (-self.power))


@dataclass(frozen=True)
class Annealing(Curve):
    """Base class of curves that end at a target value.

    Exactly one of the two arguments must be given.

    Args:
        min_value: The target value.
        min_ratio: The target value as a fraction of the base value.

    Raises:
        ArgumentError: Both arguments are given, or neither.
    """

    min_value: float | None = None
    min_ratio: float | None = None

    needs_total = True

    def __post_init__(self) -> None:
        if (self.min_value is None) == (self.min_ratio is None):
            raise ArgumentError(
                "Annealing needs exactly one target: a minimum value, or its ratio to the base value."
            )

    def target(self, base: float) -> float:
        """Return the target value for a parameter group with the base value ``base``."""
        return base * self.min_ratio if self.min_ratio is not None else self.min_value or 0


@dataclass(frozen=True)
class CosineAnnealing(Annealing):
    """Half a cosine from the base value to the target (SGDR, Loshchilov & Hutter 2017)."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value at ``at / total`` of the half cosine."""
        return anneal_cos(base, self.target(base), at / total)


@dataclass(frozen=True)
class LinearAnnealing(Annealing):
    """A straight line from the base value to the target."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value at ``at / total`` of the line."""
        return anneal_linear(base, self.target(base), at / total)


@dataclass(frozen=True)
class FlatCosineAnnealing(Annealing):
    """Keeps the base value first, and then follows half a cosine to the target.

    Args:
        start_percent: Fraction of the run, 0 to 1, after which the cosine begins.

    Raises:
        ArgumentError: ``start_percent`` is not a number from 0 to 1, or not exactly one target is given.
    """

    start_percent: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("start_percent", self.start_percent, 0, 1)

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base`` before the start of the cosine, and the value on the cosine afterwards."""
        start = round(total * self.start_percent)
        if at < start:
            return base
        return anneal_cos(base, self.target(base), (at - start) / (total - start))


@dataclass(frozen=True)
class CosineRestart(Annealing):
    """A sequence of half cosines, each of which restarts at a fraction of the base value (SGDR).

    Args:
        periods: Lengths of the half cosines in epochs or iterations. Together they must cover the run.
        restart_weights: Factor of the amplitude of each half cosine.

    Raises:
        ArgumentError: The numbers of periods and weights differ, a period is not a positive int, or not exactly
            one target is given.
    """

    periods: Sequence[int] = ()
    restart_weights: Sequence[float] = (1,)
    _ends: tuple[int, ...] = field(init=False, repr=False, default=())  # ends of the periods

    needs_total = False
    length_argument = "periods"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.periods) != len(self.restart_weights):
            raise ArgumentError(
                f"Each period needs a restart weight, but there are {len(self.periods)} periods and "
                f"{len(self.restart_weights)} weights.",
                argument="restart_weights",
            )
        for period in self.periods:
            check_integer("periods", period, 1)
        object.__setattr__(self, "_ends", tuple(accumulate(self.periods)))

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value on the cosine of the period that contains ``at``.

        Raises:
            ArgumentError: ``at`` is after the last period.
        """
        i = bisect_right(self._ends, at)
        if i == len(self._ends):
            raise ArgumentError(
                f"{at} is after the end of the periods {list(self.periods)}, which is {sum(self.periods)}."
            )
        start = self._ends[i - 1] if i else 0
        factor = min((at - start) / self.periods[i], 1)
        return anneal_cos(base, self.target(base), factor, self.restart_weights[i])

    def problem(self, total: int) -> str | None:
        """Return a description if the periods end before the run."""
        if sum(self.periods) >= total:
            return None
        return f"the periods {list(self.periods)} end at {sum(self.periods)}, but the run ends at {total}"

    def unused(self, total: int) -> str | None:
        """Return the restarts that the run does not reach."""
        return _beyond("restart", [end for end in self._ends[:-1] if end >= total])


@dataclass(frozen=True)
class Cyclic(Curve):
    """Rises to a peak and falls again, once or several times (Smith 2017, "Cyclical Learning Rates").

    Args:
        target_ratio: Ratios of the peak and of the end of a cycle to the base value. A single number is the
            ratio of the peak; the end is then 1e-5 times the peak.
        cyclic_times: Number of cycles in the run.
        step_ratio_up: Fraction of a cycle in which the value rises, 0 <= ratio < 1.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        gamma: Factor by which the difference between the peak and the base value shrinks after each cycle.

    Raises:
        ArgumentError: An argument is out of range.
    """

    target_ratio: float | Sequence[float] = (10, 1e-4)
    cyclic_times: int = 1
    step_ratio_up: float = 0.4
    anneal_strategy: AnnealStrategy = "cos"
    gamma: float = 1

    needs_total = True
    length_argument = "cyclic_times"

    def __post_init__(self) -> None:
        ratios = self.target_ratio
        if isinstance(ratios, (int, float)):
            ratios = (ratios,)
        if isinstance(ratios, list | tuple) and len(ratios) == 1:
            ratios = (ratios[0], ratios[0] / 1e5)
        object.__setattr__(self, "target_ratio", check_pair("target_ratio", ratios))
        check_integer("cyclic_times", self.cyclic_times, 1)
        if not 0 <= self.step_ratio_up < 1:
            raise ArgumentError(
                f"step_ratio_up must be at least 0 and below 1, not {self.step_ratio_up!r}.",
                argument="step_ratio_up",
            )
        check_choice("anneal_strategy", self.anneal_strategy, ANNEAL)

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value in the cycle that contains ``at``."""
        length = total // self.cyclic_times
        top = int(self.step_ratio_up * length)
        cycle, at = divmod(at, length)
        kept = self.gamma**cycle
        peak, end = self.target_ratio  # type: ignore[misc]  # __post_init__ has made it a pair
        peak = 1 - kept + peak * kept
        anneal = ANNEAL[self.anneal_strategy]
        if at < top:
            return anneal(base * 1, base * peak, at / top)
        return anneal(base * peak, base * end, (at - top) / (length - top))

    def problem(self, total: int) -> str | None:
        """Return a description if there are more cycles than iterations."""
        return f"{self.cyclic_times} cycles do not fit into {total}" if self.cyclic_times > total else None


@dataclass(frozen=True)
class OneCycle(Curve):
    """Rises from the base value to a peak, and falls to almost 0 (Smith & Topin 2018, "Super-Convergence").

    Args:
        peak_ratio: Ratio of the peak to the base value.
        final_ratio: Ratio of the final value to the base value.
        pct_start: Fraction of the run, 0 to 1, in which the value rises.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        three_phase: Whether the value first falls to the base value, in as many steps as it rose, and then in
            a third phase to the final value.
        total_steps: Length of the cycle; by default the length of the run.

    Raises:
        ArgumentError: An argument is out of range.
    """

    peak_ratio: float = 25
    final_ratio: float = 1e-4
    pct_start: float = 0.3
    anneal_strategy: AnnealStrategy = "cos"
    three_phase: bool = False
    total_steps: int | None = None

    needs_total = True
    length_argument = "total_steps"

    def __post_init__(self) -> None:
        check_number("pct_start", self.pct_start, 0, 1)
        check_choice("anneal_strategy", self.anneal_strategy, ANNEAL)
        if self.total_steps is not None:
            check_integer("total_steps", self.total_steps, 1)

    def levels(self, base: float) -> tuple[float, float, float]:
        """Return the values at the start, at the peak and at the end."""
        return base * 1, base * self.peak_ratio, base * self.final_ratio

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value in the phase that contains ``at``; after the cycle, the final value."""
        start, peak, final = self.levels(base)
        length = self.total_steps or total
        marks = [0, self.pct_start * length - 1, length - 1]
        values = [start, peak, final]
        if self.three_phase:
            marks.insert(2, 2 * self.pct_start * length - 2)
            values.insert(2, start)
        for (begin, end), (value, to) in zip(pairwise(marks), pairwise(values), strict=True):
            if at <= end:
                fraction = (at - begin) / (end - begin) if end != begin else 1
                return ANNEAL[self.anneal_strategy](value, to, fraction)
        return final

    def problem(self, total: int) -> str | None:
        """Return a description if the cycle ends before the run."""
        if self.total_steps is None or self.total_steps >= total:
            return None
        return f"total_steps={self.total_steps} is less than the {total} iterations of the run"


@dataclass(frozen=True)
class OneCycleDip(OneCycle):
    """``OneCycle`` for a momentum: falls from the base value to ``low``, and rises again."""

    low: float = 0.85

    def levels(self, base: float) -> tuple[float, float, float]:
        """Return the values at the start, at the lowest point and at the end."""
        return base, self.low, base


@dataclass(frozen=True)
class Warmup:
    """A factor by which the value of a curve is reduced in the first iterations of a run.

    Args:
        kind: ``"constant"``, or ``"linear"`` or ``"exp"`` (exponential) growth of the factor to 1.
        iters: Number of warm-up iterations.
        ratio: The factor at iteration 0, 0 < ratio <= 1.

    Raises:
        ArgumentError: An argument is out of range.
    """

    kind: WarmupKind
    iters: int
    ratio: float

    def __post_init__(self) -> None:
        check_choice("warmup", self.kind, ("constant", "linear", "exp"))
        check_positive("warmup_iters", self.iters)
        if not 0 < self.ratio <= 1:
            raise ArgumentError(
                f"warmup_ratio must be above 0 and at most 1, not {self.ratio!r}.", argument="warmup_ratio"
            )

    def factor(self, at: int) -> float:
        """Return the factor at iteration ``at``."""
        if self.kind == "constant":
            return self.ratio
        if self.kind == "linear":
            return 1 - (1 - at / self.iters) * (1 - self.ratio)
        return float(self.ratio ** (1 - at / self.iters))


def anneal_cos(start: float, end: float, factor: float, weight: float = 1) -> float:
    """Interpolate between ``start`` and ``end`` along half a cosine.

    Args:
        start: Value at factor 0.
        end: Value at factor 1.
        factor: Position, 0 to 1.
        weight: Factor of the difference between ``start`` and ``end``.
    """
    return end + 0.5 * weight * (start - end) * (cos(pi * factor) + 1)


def anneal_linear(start: float, end: float, factor: float) -> float:
    """Interpolate linearly between ``start`` (at factor 0) and ``end`` (at factor 1)."""
    return start + (end - start) * factor


ANNEAL: dict[str, Callable[[float, float, float], float]] = {"cos": anneal_cos, "linear": anneal_linear}


def _beyond(what: str, positions: Sequence[int]) -> str | None:
    if not positions:
        return None
    *others, last = map(str, positions)
    return f"the {what}s {', '.join(others)} and {last}" if others else f"the {what} {last}"
