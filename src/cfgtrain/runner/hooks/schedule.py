"""Learning rates and momenta over a run: one engine, a curve and a slot to write to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.schedules import CosineAnnealing, Curve, Fixed, Step, Warmup, WarmupKind

__all__ = ["LrUpdaterHook", "MomentumUpdaterHook", "ScheduleHook"]

Group = dict[str, Any]


class ScheduleHook(Hook):
    """Writes the value of a curve into every parameter group.

    By epoch, the value is set before each training epoch; by iteration, before each training
    iteration. Warm-up counts iterations of the whole run in both cases. The value a group
    began with is kept in it as ``initial_<slot>`` and travels with the optimizer's state, so
    that a resumed run continues the same curve.

    Args:
        by_epoch: Whether the curve runs over epochs, or over iterations.
        warmup: ``"constant"``, ``"linear"`` or ``"exp"``, or None for none.
        warmup_iters: How many iterations it takes, or epochs with ``warmup_by_epoch``.
        warmup_ratio: The share of the curve's value it begins with, above 0, at most 1.
        warmup_by_epoch: Whether ``warmup_iters`` counts epochs.
    """

    slot: str
    curve: Curve

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: WarmupKind | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.1,
        warmup_by_epoch: bool = False,
    ) -> None:
        self.by_epoch = by_epoch
        self.warmup = None if warmup is None else Warmup(warmup, warmup_iters, warmup_ratio)
        self.warmup_by_epoch = warmup_by_epoch
        self.base_values: dict[str, list[float]] = {}
        self.regular_values: dict[str, list[float]] = {}

    def read(self, group: Group) -> float:
        """Return the group's value."""
        return float(group[self.slot])

    def write(self, group: Group, value: float) -> None:
        """Set the group's value."""
        group[self.slot] = value

    def warmed(self, value: float, factor: float) -> float:
        """Return what the curve's value is during warm-up."""
        return value * factor

    def value(self, runner: RunnerView, base: float) -> float:
        """Return the curve's value now, for a group that began with ``base``."""
        at, total = (runner.epoch, runner.max_epochs) if self.by_epoch else (runner.iter, runner.max_iters)
        return self.curve(base, at, total or 0)

    def before_run(self, runner: RunnerView) -> None:
        """Remember what each group began with.

        Raises:
            HookError: The curve counts epochs, and the run does not.
        """
        if self.by_epoch and runner.max_epochs is None:
            raise HookError(
                f"{type(self).__name__} counts epochs (by_epoch=True), and this run counts iterations: "
                "it would never change anything. Set by_epoch=False."
            )
        for name, groups in _groups(runner.optimizer).items():
            for group in groups:
                group.setdefault(f"initial_{self.slot}", self.read(group))
            self.base_values[name] = [group[f"initial_{self.slot}"] for group in groups]

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Set the value of the epoch."""
        if self.warmup is not None and self.warmup_by_epoch:
            epochs = self.warmup.iters
            self.warmup = Warmup(self.warmup.kind, epochs * len(runner.data_loader), self.warmup.ratio)
            self.warmup_by_epoch = False
        if self.by_epoch:
            self._follow_curve(runner)
            self._write_all(runner, self.regular_values)

    def before_train_iter(self, runner: RunnerView) -> None:
        """Set the value of the iteration, or its share of it during warm-up."""
        if not self.by_epoch:
            self._follow_curve(runner)
        elif self.warmup is None or runner.iter > self.warmup.iters:
            return
        warming = self.warmup is not None and runner.iter < self.warmup.iters
        self._write_all(runner, self._warm_values(runner.iter) if warming else self.regular_values)

    def _follow_curve(self, runner: RunnerView) -> None:
        self.regular_values = {
            name: [self.value(runner, base) for base in bases] for name, bases in self.base_values.items()
        }

    def _warm_values(self, at: int) -> dict[str, list[float]]:
        if self.warmup is None:
            raise ArgumentError("There is no warm-up.")
        factor = self.warmup.factor(at)
        return {
            name: [self.warmed(v, factor) for v in values] for name, values in self.regular_values.items()
        }

    def _write_all(self, runner: RunnerView, values: dict[str, list[float]]) -> None:
        for name, groups in _groups(runner.optimizer).items():
            for group, value in zip(groups, values[name], strict=True):
                self.write(group, value)


class LrUpdaterHook(ScheduleHook):
    """Base of the learning rate policies; ``get_lr(runner, base_lr)`` can be overridden."""

    slot = "lr"

    def value(self, runner: RunnerView, base: float) -> float:
        """Return the learning rate now, for a group that began with ``base``."""
        return self.get_lr(runner, base)

    def get_lr(self, runner: RunnerView, base_lr: float) -> float:
        """Return the learning rate now, for a group that began with ``base_lr``."""
        return super().value(runner, base_lr)


class MomentumUpdaterHook(ScheduleHook):
    """Base of the momentum policies: ``momentum``, or the first of ``betas``.

    During warm-up the value is divided by its share, so that it starts high.
    """

    slot = "momentum"

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: WarmupKind | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.9,
    ) -> None:
        super().__init__(by_epoch, warmup, warmup_iters, warmup_ratio)

    def read(self, group: Group) -> float:
        """Return the group's momentum or first beta."""
        return float(group["momentum"] if "momentum" in group else group["betas"][0])

    def write(self, group: Group, value: float) -> None:
        """Set the group's momentum or first beta."""
        if "momentum" in group:
            group["momentum"] = value
        else:
            group["betas"] = (value, *group["betas"][1:])

    def warmed(self, value: float, factor: float) -> float:
        """Return the momentum during warm-up."""
        return value / factor

    def value(self, runner: RunnerView, base: float) -> float:
        """Return the momentum now, for a group that began with ``base``."""
        return self.get_momentum(runner, base)

    def get_momentum(self, runner: RunnerView, base_momentum: float) -> float:
        """Return the momentum now, for a group that began with ``base_momentum``."""
        return super().value(runner, base_momentum)


@HOOKS.register_module()
class FixedLrUpdaterHook(LrUpdaterHook):
    """``policy='fixed'``: the learning rate the optimizer was given."""

    curve = Fixed()


@HOOKS.register_module()
class StepLrUpdaterHook(LrUpdaterHook):
    """``policy='step'``: see ``schedules.Step``."""

    def __init__(
        self, step: int | Sequence[int], gamma: float = 0.1, min_lr: float | None = None, **kwargs: Any
    ) -> None:
        self.curve = Step(step, gamma, min_lr)
        super().__init__(**kwargs)


@HOOKS.register_module()
class StepMomentumUpdaterHook(MomentumUpdaterHook):
    """``policy='step'``: see ``schedules.Step``."""

    def __init__(
        self, step: int | Sequence[int], gamma: float = 0.5, min_momentum: float | None = None, **kwargs: Any
    ) -> None:
        self.curve = Step(step, gamma, min_momentum)
        super().__init__(**kwargs)


@HOOKS.register_module()
class CosineAnnealingLrUpdaterHook(LrUpdaterHook):
    """``policy='CosineAnnealing'``: see ``schedules.CosineAnnealing``."""

    def __init__(self, min_lr: float | None = None, min_lr_ratio: float | None = None, **kwargs: Any) -> None:
        self.curve = CosineAnnealing(min_lr, min_lr_ratio)
        super().__init__(**kwargs)


@HOOKS.register_module()
class CosineAnnealingMomentumUpdaterHook(MomentumUpdaterHook):
    """``policy='CosineAnnealing'``: see ``schedules.CosineAnnealing``."""

    def __init__(
        self, min_momentum: float | None = None, min_momentum_ratio: float | None = None, **kwargs: Any
    ) -> None:
        self.curve = CosineAnnealing(min_momentum, min_momentum_ratio)
        super().__init__(**kwargs)


def _groups(optimizer: Any) -> dict[str, list[Group]]:
    """Return the parameter groups by optimizer name; a single optimizer's is ``""``."""
    if isinstance(optimizer, dict):
        return {name: each.param_groups for name, each in optimizer.items()}
    return {"": optimizer.param_groups} if optimizer is not None else {}
