"""Curves for learning rates and momenta: pure functions of the position in a run.

A curve is called as ``curve(base, at, total)``: the value that a parameter group started
with, the 0-based epoch or iteration, and how many there are. It keeps no state, so a
resumed run needs none, a test is a table and a plot is a comprehension. The formulas and
the order of their operations are those of MMCV 1.x, equal to the last bit.

As ``at`` ends one short of ``total``, a curve ends one step short of its target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import cos, pi
from typing import ClassVar, Literal

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError, ArgumentTypeError

AnnealStrategy = Literal["cos", "linear"]
WarmupKind = Literal["constant", "linear", "exp"]


class Curve(ABC):
    """What a schedule is made of: it says the same whenever it is asked, and may be asked in advance.

    Attributes:
        needs_total: Whether the length of the run changes the curve.
        length_argument: Name of the argument that may not fit the length of a run, or ``""``.
    """

    needs_total: ClassVar[bool] = False
    length_argument: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value at epoch or iteration ``at`` of ``total``."""

    def problem(self, total: int) -> str | None:
        """Return why this curve does not fit a run of this length, or None."""
        return None

    def unused(self, total: int) -> str | None:
        """Return what of the curve is beyond the end of a run of this length, or None."""
        return None


@dataclass(frozen=True)
class Fixed(Curve):
    """The base value throughout."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base``."""
        return base


@dataclass(frozen=True)
class Step(Curve):
    """Multiply by ``gamma`` at every step.

    Args:
        step: Every so many epochs or iterations, or a list of the ones at which to multiply.
        gamma: The factor.
        min_value: A floor under the result, or None.
    """

    step: int | Sequence[int]
    gamma: float = 0.1
    min_value: float | None = None

    length_argument = "step"

    def __post_init__(self) -> None:
        steps = list(self.step) if isinstance(self.step, Sequence) else [self.step]
        if not all(isinstance(step, int) for step in steps):
            raise ArgumentTypeError(f"step is an int or a list of int, not {self.step!r}.", argument="step")
        if not all(step > 0 for step in steps):
            raise ArgumentError(f"Steps are positive; step is {self.step!r}.", argument="step")
        if isinstance(self.step, Sequence):
            object.__setattr__(self, "step", tuple(sorted(self.step)))

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base * gamma ** steps_done``, not below ``min_value``."""
        done = at // self.step if isinstance(self.step, int) else bisect_right(self.step, at)
        value = base * self.gamma**done
        return value if self.min_value is None else max(value, self.min_value)

    def unused(self, total: int) -> str | None:
        """Return the steps that the run does not reach."""
        steps = [self.step] if isinstance(self.step, int) else self.step
        return _beyond("step", [step for step in steps if step >= total])


@dataclass(frozen=True)
class Exp(Curve):
    """Multiply by ``gamma`` every time."""

    gamma: float

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base * gamma ** at``."""
        return float(base * self.gamma**at)


@dataclass(frozen=True)
class Poly(Curve):
    """Fall to ``min_value`` as a power of what is left of the run."""

    power: float = 1
    min_value: float = 0

    needs_total = True

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value after ``at / total`` of the way."""
        return float((base - self.min_value) * (1 - at / total) ** self.power + self.min_value)


@dataclass(frozen=True)
class Inv(Curve):
    """Fall as the inverse of a power of the position."""

    gamma: float
    power: float = 1

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base * (1 + gamma * at) ** -power``."""
        return float(base * (1 + self.gamma * at) ** (-self.power))


@dataclass(frozen=True)
class Annealing(Curve):
    """Base of the curves that end at a target.

    Args:
        min_value: The target as a value, or
        min_ratio: as a fraction of the base value. Exactly one of the two.
    """

    min_value: float | None = None
    min_ratio: float | None = None

    needs_total = True

    def __post_init__(self) -> None:
        if (self.min_value is None) == (self.min_ratio is None):
            raise ArgumentError(
                "Annealing needs one target: either a minimum or its ratio to the base value."
            )

    def target(self, base: float) -> float:
        """Return where the curve ends for a group that began with ``base``."""
        return base * self.min_ratio if self.min_ratio is not None else self.min_value or 0


@dataclass(frozen=True)
class CosineAnnealing(Annealing):
    """Half a cosine from the base value to the target (SGDR, Loshchilov & Hutter 2017)."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value after ``at / total`` of the way."""
        return anneal_cos(base, self.target(base), at / total)


@dataclass(frozen=True)
class LinearAnnealing(Annealing):
    """A straight line from the base value to the target."""

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value after ``at / total`` of the way."""
        return anneal_linear(base, self.target(base), at / total)


@dataclass(frozen=True)
class FlatCosineAnnealing(Annealing):
    """The base value first, then half a cosine to the target.

    Args:
        start_percent: The share of the run, 0 to 1, after which the cosine begins.
    """

    start_percent: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("start_percent", self.start_percent)

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return ``base``, or the value on the cosine."""
        start = round(total * self.start_percent)
        if at < start:
            return base
        return anneal_cos(base, self.target(base), (at - start) / (total - start))


@dataclass(frozen=True)
class CosineRestart(Annealing):
    """A row of half cosines, each from (a share of) the base value (SGDR).

    Args:
        periods: Their lengths in epochs or iterations; together they cover the run.
        restart_weights: The share of the swing of each.
    """

    periods: Sequence[int] = ()
    restart_weights: Sequence[float] = (1,)
    _ends: tuple[int, ...] = field(init=False, repr=False, default=())  # of the periods

    needs_total = False
    length_argument = "periods"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.periods) != len(self.restart_weights):
            raise ArgumentError(
                f"Each of the {len(self.periods)} periods has a restart weight, and there are "
                f"{len(self.restart_weights)}.",
                argument="restart_weights",
            )
        if not all(isinstance(each, int) and each > 0 for each in self.periods):  # type: ignore[redundant-expr]
            raise ArgumentError(f"periods are positive int, not {list(self.periods)!r}.", argument="periods")
        object.__setattr__(self, "_ends", tuple(accumulate(self.periods)))

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value on the cosine of the period that ``at`` is in."""
        i = bisect_right(self._ends, at)
        if i == len(self._ends):
            raise ArgumentError(
                f"{at} is past the end of the periods {list(self.periods)}, which is {sum(self.periods)}."
            )
        start = self._ends[i - 1] if i else 0
        factor = min((at - start) / self.periods[i], 1)
        return anneal_cos(base, self.target(base), factor, self.restart_weights[i])

    def problem(self, total: int) -> str | None:
        """Return how far the periods fall short."""
        if sum(self.periods) >= total:
            return None
        return f"the periods {list(self.periods)} end at {sum(self.periods)}, and the run at {total}"

    def unused(self, total: int) -> str | None:
        """Return the restarts that the run does not reach."""
        return _beyond("restart", [end for end in self._ends[:-1] if end >= total])


@dataclass(frozen=True)
class Cyclic(Curve):
    """Up to a peak and down again, once or several times (Smith 2017, "Cyclical Learning Rates").

    Args:
        target_ratio: Of the peak and of the end of a cycle to the base value; a single number
            is the peak, and the end is a hundred thousandth of it.
        cyclic_times: How many cycles there are.
        step_ratio_up: The share of a cycle that goes up, from 0 to below 1.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        gamma: What remains of the peak's distance to the base value after each cycle.
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
        if not isinstance(ratios, (list, tuple)):
            raise ArgumentError(
                f"target_ratio is a number or a pair of them, not {ratios!r}.", argument="target_ratio"
            )
        ratios = (ratios[0], ratios[0] / 1e5) if len(ratios) == 1 else tuple(ratios)
        if len(ratios) != 2:
            raise ArgumentError(
                f"target_ratio is a pair of numbers, not {self.target_ratio!r}.", argument="target_ratio"
            )
        object.__setattr__(self, "target_ratio", ratios)
        if not isinstance(self.cyclic_times, int) or self.cyclic_times < 1:  # type: ignore[redundant-expr]
            raise ArgumentError(
                f"cyclic_times is a positive int, not {self.cyclic_times!r}.", argument="cyclic_times"
            )
        if not 0 <= self.step_ratio_up < 1:
            raise ArgumentError(
                f"step_ratio_up is from 0 to below 1, not {self.step_ratio_up!r}.", argument="step_ratio_up"
            )
        _check_strategy(self.anneal_strategy)

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value on the way up or down of the cycle that ``at`` is in."""
        length = total // self.cyclic_times
        top = int(self.step_ratio_up * length)
        cycle, at = divmod(at, length)
        kept = self.gamma**cycle
        peak, end = self.target_ratio  # type: ignore[misc]  # a pair by now
        peak = 1 - kept + peak * kept
        anneal = ANNEAL[self.anneal_strategy]
        if at < top:
            return anneal(base * 1, base * peak, at / top)
        return anneal(base * peak, base * end, (at - top) / (length - top))

    def problem(self, total: int) -> str | None:
        """Say that there are more cycles than iterations."""
        return f"{self.cyclic_times} cycles do not fit into {total}" if self.cyclic_times > total else None


@dataclass(frozen=True)
class OneCycle(Curve):
    """Up to a peak, and down to nearly nothing (Smith & Topin 2018, "Super-Convergence").

    The base value is where it begins.

    Args:
        peak_ratio: Of the peak to the base value.
        final_ratio: Of the end to the base value.
        pct_start: The share of the run, 0 to 1, that goes up.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        three_phase: Whether it goes down to the base value as slowly as it went up, and to
            the end only then.
        total_steps: Length of the cycle, if that is not the run's.
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
        _check_share("pct_start", self.pct_start)
        _check_strategy(self.anneal_strategy)
        steps: object = self.total_steps
        if steps is not None and not (isinstance(steps, int) and steps > 0):
            raise ArgumentError(
                f"total_steps is a positive int or None, not {self.total_steps!r}.", argument="total_steps"
            )

    def levels(self, base: float) -> tuple[float, float, float]:
        """Return the values at the start, at the peak and at the end."""
        return base * 1, base * self.peak_ratio, base * self.final_ratio

    def __call__(self, base: float, at: int, total: int) -> float:
        """Return the value in the phase that ``at`` is in."""
        start, peak, final = self.levels(base)
        length = self.total_steps or total
        marks = [0, self.pct_start * length - 1, length - 1]
        values = [start, peak, final]
        if self.three_phase:
            marks.insert(2, 2 * self.pct_start * length - 2)
            values.insert(2, start)
        for (begin, end), (value, to) in zip(pairwise(marks), pairwise(values), strict=True):
            if at <= end:
                share = (at - begin) / (end - begin) if end != begin else 1
                return ANNEAL[self.anneal_strategy](value, to, share)
        return final

    def problem(self, total: int) -> str | None:
        """Say that the cycle is over before the run is."""
        if self.total_steps is None or self.total_steps >= total:
            return None
        return f"total_steps={self.total_steps} is less than the {total} iterations of the run"


@dataclass(frozen=True)
class OneCycleDip(OneCycle):
    """``OneCycle`` for a momentum: from the base value down to ``low``, and up again."""

    low: float = 0.85

    def levels(self, base: float) -> tuple[float, float, float]:
        """Return the values at the start, at the turn and at the end."""
        return base, self.low, base


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
        check_choice("warmup", self.kind, ("constant", "linear", "exp"))
        if not self.iters > 0:
            raise ArgumentError(f"warmup_iters is positive, not {self.iters!r}.", argument="warmup_iters")
        if not 0 < self.ratio <= 1:
            raise ArgumentError(
                f"warmup_ratio is above 0 and at most 1, not {self.ratio!r}.", argument="warmup_ratio"
            )

    def factor(self, at: int) -> float:
        """Return the share of the curve's value at iteration ``at``."""
        if self.kind == "constant":
            return self.ratio
        if self.kind == "linear":
            return 1 - (1 - at / self.iters) * (1 - self.ratio)
        return float(self.ratio ** (1 - at / self.iters))


def anneal_cos(start: float, end: float, factor: float, weight: float = 1) -> float:
    """Go from ``start`` to ``end`` on half a cosine as ``factor`` goes from 0 to 1."""
    return end + 0.5 * weight * (start - end) * (cos(pi * factor) + 1)


def anneal_linear(start: float, end: float, factor: float) -> float:
    """Go from ``start`` to ``end`` on a straight line as ``factor`` goes from 0 to 1."""
    return start + (end - start) * factor


ANNEAL: dict[str, Callable[[float, float, float], float]] = {"cos": anneal_cos, "linear": anneal_linear}


def _check_share(name: str, value: object) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ArgumentError(f"{name} is a share of the run from 0 to 1, not {value!r}.", argument=name)


def _beyond(what: str, positions: Sequence[int]) -> str | None:
    if not positions:
        return None
    *others, last = map(str, positions)
    return f"the {what}s {', '.join(others)} and {last}" if others else f"the {what} {last}"


def _check_strategy(value: str) -> None:
    check_choice("anneal_strategy", value, ANNEAL)
