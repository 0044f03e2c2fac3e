"""The policies of ``lr_config`` and ``momentum_config``, each with a curve, under their MMCV names.

``ScheduleHook`` describes ``kwargs``, and the curves in ``cfgtrain.schedules`` describe the other
arguments; ``min_value`` and ``min_ratio`` there are ``min_lr`` and ``min_lr_ratio``, or
``min_momentum`` and ``min_momentum_ratio``, here. The arguments are available as attributes, for
policies that build on these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cfgtrain.errors import ArgumentError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.schedules.absolute_values import warn_about_equal_rates
from cfgtrain.runner.hooks.schedules.base import (
    LrUpdaterHook,
    MomentumUpdaterHook,
    ScheduleHook,
    param_groups,
    per_group,
)
from cfgtrain.runner.hooks.schedules.slots import Group
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.schedules import (
    AnnealStrategy,
    CosineAnnealing,
    CosineRestart,
    Cyclic,
    Exp,
    Fixed,
    FlatCosineAnnealing,
    Inv,
    LinearAnnealing,
    OneCycle,
    OneCycleDip,
    Poly,
    Step,
)

__all__ = [
    "CosineAnnealingLrUpdaterHook",
    "CosineAnnealingMomentumUpdaterHook",
    "CosineRestartLrUpdaterHook",
    "CyclicLrUpdaterHook",
    "CyclicMomentumUpdaterHook",
    "ExpLrUpdaterHook",
    "FixedLrUpdaterHook",
    "FlatCosineAnnealingLrUpdaterHook",
    "InvLrUpdaterHook",
    "LinearAnnealingLrUpdaterHook",
    "LinearAnnealingMomentumUpdaterHook",
    "OneCycleLrUpdaterHook",
    "OneCycleMomentumUpdaterHook",
    "PolyLrUpdaterHook",
    "StepLrUpdaterHook",
    "StepMomentumUpdaterHook",
]


@HOOKS.register_module()
class FixedLrUpdaterHook(LrUpdaterHook):
    """``policy='fixed'``: the learning rate of the optimizer's config."""

    curve = Fixed()


@HOOKS.register_module()
class StepLrUpdaterHook(LrUpdaterHook):
    """``policy='step'``: see ``schedules.Step``."""

    def __init__(
        self, step: int | Sequence[int], gamma: float = 0.1, min_lr: float | None = None, **kwargs: Any
    ) -> None:
        self.curve = Step(step, gamma, min_lr)
        self.step, self.gamma, self.min_lr = step, gamma, min_lr
        super().__init__(**kwargs)


@HOOKS.register_module()
class ExpLrUpdaterHook(LrUpdaterHook):
    """``policy='exp'``: see ``schedules.Exp``."""

    def __init__(self, gamma: float, **kwargs: Any) -> None:
        self.curve = Exp(gamma)
        self.gamma = gamma
        super().__init__(**kwargs)


@HOOKS.register_module()
class PolyLrUpdaterHook(LrUpdaterHook):
    """``policy='poly'``: see ``schedules.Poly``."""

    def __init__(self, power: float = 1.0, min_lr: float = 0.0, **kwargs: Any) -> None:
        self.curve = Poly(power, min_lr)
        self.power, self.min_lr = power, min_lr
        super().__init__(**kwargs)


@HOOKS.register_module()
class InvLrUpdaterHook(LrUpdaterHook):
    """``policy='inv'``: see ``schedules.Inv``."""

    def __init__(self, gamma: float, power: float = 1.0, **kwargs: Any) -> None:
        self.curve = Inv(gamma, power)
        self.gamma, self.power = gamma, power
        super().__init__(**kwargs)


@HOOKS.register_module()
class CosineAnnealingLrUpdaterHook(LrUpdaterHook):
    """``policy='CosineAnnealing'``: see ``schedules.CosineAnnealing``."""

    def __init__(self, min_lr: float | None = None, min_lr_ratio: float | None = None, **kwargs: Any) -> None:
        self.curve = CosineAnnealing(min_lr, min_lr_ratio)
        self.min_lr, self.min_lr_ratio = min_lr, min_lr_ratio
        super().__init__(**kwargs)


@HOOKS.register_module()
class FlatCosineAnnealingLrUpdaterHook(LrUpdaterHook):
    """``policy='FlatCosineAnnealing'``: see ``schedules.FlatCosineAnnealing``."""

    def __init__(
        self,
        start_percent: float = 0.75,
        min_lr: float | None = None,
        min_lr_ratio: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.curve = FlatCosineAnnealing(min_lr, min_lr_ratio, start_percent)
        self.start_percent, self.min_lr, self.min_lr_ratio = start_percent, min_lr, min_lr_ratio
        super().__init__(**kwargs)


@HOOKS.register_module()
class CosineRestartLrUpdaterHook(LrUpdaterHook):
    """``policy='CosineRestart'``: see ``schedules.CosineRestart``."""

    def __init__(
        self,
        periods: Sequence[int],
        restart_weights: Sequence[float] = (1,),
        min_lr: float | None = None,
        min_lr_ratio: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.curve = CosineRestart(min_lr, min_lr_ratio, periods, restart_weights)
        self.periods, self.restart_weights = periods, restart_weights
        self.min_lr, self.min_lr_ratio = min_lr, min_lr_ratio
        super().__init__(**kwargs)


@HOOKS.register_module()
class LinearAnnealingLrUpdaterHook(LrUpdaterHook):
    """``policy='LinearAnnealing'``: see ``schedules.LinearAnnealing``."""

    def __init__(self, min_lr: float | None = None, min_lr_ratio: float | None = None, **kwargs: Any) -> None:
        self.curve = LinearAnnealing(min_lr, min_lr_ratio)
        self.min_lr, self.min_lr_ratio = min_lr, min_lr_ratio
        super().__init__(**kwargs)


@HOOKS.register_module()
class CyclicLrUpdaterHook(LrUpdaterHook):
    """``policy='cyclic'``: see ``schedules.Cyclic``. It counts iterations."""

    def __init__(
        self,
        by_epoch: bool = False,
        target_ratio: float | Sequence[float] = (10, 1e-4),
        cyclic_times: int = 1,
        step_ratio_up: float = 0.4,
        anneal_strategy: AnnealStrategy = "cos",
        gamma: float = 1,
        **kwargs: Any,
    ) -> None:
        _counts_iterations(self, by_epoch)
        if not 0 < gamma <= 1:
            raise ArgumentError(f"gamma must be above 0 and at most 1, not {gamma!r}.", argument="gamma")
        self.curve = Cyclic(target_ratio, cyclic_times, step_ratio_up, anneal_strategy, gamma)
        self.target_ratio, self.cyclic_times, self.step_ratio_up, self.gamma = (
            self.curve.target_ratio, cyclic_times, step_ratio_up, gamma,
        )  # fmt: skip
        super().__init__(by_epoch, **kwargs)


@HOOKS.register_module()
class OneCycleLrUpdaterHook(LrUpdaterHook):
    """``policy='OneCycle'``: see ``schedules.OneCycle``. It counts iterations.

    Args:
        max_lr: The maximum; a number, a list with one for each group, or a dict of these by
            optimizer. The learning rate in the optimizer's config is not used.
        total_steps: Iterations of the cycle, at least those of the run; None for those of the run.
        pct_start: The fraction of the cycle, 0 to 1, in which the learning rate increases.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        div_factor: The maximum divided by the initial value.
        final_div_factor: The initial value divided by the final value.
        three_phase: Whether it decreases symmetrically to the initial value before the final phase.
    """

    def __init__(
        self,
        max_lr: float | Sequence[float] | dict[str, Any],
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: AnnealStrategy = "cos",
        div_factor: float = 25,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("by_epoch", False)
        _counts_iterations(self, kwargs["by_epoch"])
        _check_numbers("max_lr", max_lr)
        self.curve = OneCycle(
            div_factor, 1 / final_div_factor, pct_start, anneal_strategy, three_phase, total_steps
        )
        self.max_lr, self.div_factor, self.final_div_factor = max_lr, div_factor, final_div_factor
        super().__init__(**kwargs)

    def start_values(self, name: str, optimizer: Any) -> list[float]:
        """Return the initial values below the maximum, which replace those of the optimizer's config."""
        peaks = per_group("max_lr", self.max_lr, name, optimizer)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group[self.slot.initial] = peak / self.div_factor
        return super().start_values(name, optimizer)

    def _warn_about_absolute_values(self, runner: RunnerView) -> None:
        groups = param_groups(runner.optimizer)
        own, given = ([float(group[key]) for group in groups] for key in ("lr", self.slot.initial))
        warn_about_equal_rates(runner, self.place_of("max_lr"), self._policy, "max_lr", groups, own, given)


@HOOKS.register_module()
class StepMomentumUpdaterHook(MomentumUpdaterHook):
    """``policy='step'``: see ``schedules.Step``."""

    def __init__(
        self, step: int | Sequence[int], gamma: float = 0.5, min_momentum: float | None = None, **kwargs: Any
    ) -> None:
        self.curve = Step(step, gamma, min_momentum)
        self.step, self.gamma, self.min_momentum = step, gamma, min_momentum
        super().__init__(**kwargs)


@HOOKS.register_module()
class CosineAnnealingMomentumUpdaterHook(MomentumUpdaterHook):
    """``policy='CosineAnnealing'``: see ``schedules.CosineAnnealing``."""

    def __init__(
        self, min_momentum: float | None = None, min_momentum_ratio: float | None = None, **kwargs: Any
    ) -> None:
        self.curve = CosineAnnealing(min_momentum, min_momentum_ratio)
        self.min_momentum, self.min_momentum_ratio = min_momentum, min_momentum_ratio
        super().__init__(**kwargs)


@HOOKS.register_module()
class LinearAnnealingMomentumUpdaterHook(MomentumUpdaterHook):
    """``policy='LinearAnnealing'``: see ``schedules.LinearAnnealing``."""

    def __init__(
        self, min_momentum: float | None = None, min_momentum_ratio: float | None = None, **kwargs: Any
    ) -> None:
        self.curve = LinearAnnealing(min_momentum, min_momentum_ratio)
        self.min_momentum, self.min_momentum_ratio = min_momentum, min_momentum_ratio
        super().__init__(**kwargs)


@HOOKS.register_module()
class CyclicMomentumUpdaterHook(MomentumUpdaterHook):
    """``policy='cyclic'``: see ``schedules.Cyclic``. It counts iterations."""

    def __init__(
        self,
        by_epoch: bool = False,
        target_ratio: float | Sequence[float] = (0.85 / 0.95, 1.0),
        cyclic_times: int = 1,
        step_ratio_up: float = 0.4,
        anneal_strategy: AnnealStrategy = "cos",
        gamma: float = 1,
        **kwargs: Any,
    ) -> None:
        _counts_iterations(self, by_epoch)
        self.curve = Cyclic(target_ratio, cyclic_times, step_ratio_up, anneal_strategy, gamma)
        self.target_ratio, self.cyclic_times, self.step_ratio_up, self.gamma = (
            self.curve.target_ratio, cyclic_times, step_ratio_up, gamma,
        )  # fmt: skip
        super().__init__(by_epoch, **kwargs)


@HOOKS.register_module()
class OneCycleMomentumUpdaterHook(MomentumUpdaterHook):
    """``policy='OneCycle'``: see ``schedules.OneCycleDip``. It counts iterations.

    Args:
        base_momentum: The minimum, when the learning rate is at its maximum; a number, a list
            with one for each group, or a dict of these by optimizer.
        max_momentum: The initial and final value, likewise. The momentum in the optimizer's
            config is not used.
        pct_start: The fraction of the run, 0 to 1, in which the momentum decreases.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        three_phase: Whether it increases as fast as it decreased, and is constant from then on.
    """

    def __init__(
        self,
        base_momentum: float | Sequence[float] | dict[str, Any] = 0.85,
        max_momentum: float | Sequence[float] | dict[str, Any] = 0.95,
        pct_start: float = 0.3,
        anneal_strategy: AnnealStrategy = "cos",
        three_phase: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("by_epoch", False)
        _counts_iterations(self, kwargs["by_epoch"])
        _check_numbers("base_momentum", base_momentum)
        _check_numbers("max_momentum", max_momentum)
        self.lows, self.highs = base_momentum, max_momentum
        self._settings: dict[str, Any] = {
            "pct_start": pct_start, "anneal_strategy": anneal_strategy, "three_phase": three_phase,
        }  # fmt: skip
        self.curve = OneCycleDip(**self._settings)
        self._curves: dict[float, OneCycleDip] = {}
        super().__init__(**kwargs)

    def start_values(self, name: str, optimizer: Any) -> list[float]:
        """Return the maximum, which replaces the value of the optimizer's config, and store both in the groups."""
        values = super().start_values(name, optimizer)  # raises if the optimizer has no momentum
        lows = per_group("base_momentum", self.lows, name, optimizer)
        highs = per_group("max_momentum", self.highs, name, optimizer)
        for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
            group.update(base_momentum=low, max_momentum=high, initial_momentum=high)
            self._curves[low] = OneCycleDip(low=low, **self._settings)
        self.slot.write(optimizer.param_groups, highs)
        return highs[: len(values)]

    def regular_values(self, runner: RunnerView, groups: Sequence[Group]) -> list[float]:
        """Return the current values of the curve between the two momenta of each group."""
        at, total = self._position(runner)
        return [self._curves[g["base_momentum"]](g["max_momentum"], at, total) for g in groups]


def _counts_iterations(hook: ScheduleHook, by_epoch: bool) -> None:
    if by_epoch:
        raise ArgumentError(
            f"{type(hook).__name__} counts iterations: by_epoch must be False.", argument="by_epoch"
        )


def _check_numbers(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, list, tuple, dict)):
        raise ArgumentError(
            f"{name} must be a number, a list with one for each group or a dict, not {value!r}.",
            argument=name,
        )
