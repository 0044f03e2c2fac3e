"""Learning rates and momenta over a run: one engine, a curve and a slot to write to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.schedules.absolute_values import warn_about_raised_values
from cfgtrain.runner.hooks.schedules.slots import Group, MomentumSlot, Slot
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.schedules import Annealing, Curve, Warmup, WarmupKind

__all__ = ["LrUpdaterHook", "MomentumUpdaterHook", "ScheduleHook", "param_groups", "per_group"]

Values = list[float] | dict[str, list[float]]


class ScheduleHook(Hook):
    """Writes the value of a curve into every parameter group.

    By epoch, the value is set before each training epoch; by iteration, before each training
    iteration. Warm-up counts iterations of the whole run in both cases. The value a group
    began with is kept in it as ``initial_<slot>`` and travels with the optimizer's state, so
    that a resumed run continues the same curve. A schedule by epoch without warm-up is not
    called in iterations at all.

    Args:
        by_epoch: Whether the curve runs over epochs, or over iterations.
        warmup: ``"constant"``, ``"linear"`` or ``"exp"``, or None for none.
        warmup_iters: How many iterations it takes, or epochs with ``warmup_by_epoch``.
        warmup_ratio: The share of the curve's value it begins with, above 0, at most 1.
        warmup_by_epoch: Whether ``warmup_iters`` counts epochs.

    Attributes:
        curve: The values; a ``Curve``, or any function ``(base, at, total) -> value``.
        base_values: What each group began with.
    """

    slot: Slot
    curve: Curve | Callable[[float, int, int], float] | None = None
    _own_value: ClassVar[str | None] = None  # the method that stands in for the curve

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: WarmupKind | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.1,
        warmup_by_epoch: bool = False,
    ) -> None:
        self.by_epoch = by_epoch
        self.warmup = warmup
        self.warmup_iters, self.warmup_ratio = warmup_iters, warmup_ratio
        self.warmup_by_epoch = warmup_by_epoch
        self.warmup_epochs = warmup_iters if warmup_by_epoch else None
        self.base_values: Values = []
        self._warmup = None if warmup is None else Warmup(warmup, warmup_iters, warmup_ratio)
        self._regular: list[float] = []
        self._layout: dict[str, int] | None = None
        in_epochs_alone = by_epoch and warmup is None
        if in_epochs_alone and type(self).before_train_iter is ScheduleHook.before_train_iter:
            self.idle_stages = ("before_train_iter",)

    def value(self, runner: RunnerView, base: float) -> float:
        """Return the curve's value now, for a group that began with ``base``."""
        at, total = self._position(runner)
        return self.curve(base, at, total)  # type: ignore[misc]  # before_run has seen to it that there is one

    def warmed(self, value: float, factor: float) -> float:
        """Return what the curve's value is during warm-up."""
        return value * factor

    def start_values(self, name: str, optimizer: Any) -> list[float]:
        """Return what each group of an optimizer begins with, and keep it in the group.

        Args:
            name: Of the optimizer among several, else that of its class.
            optimizer: It.
        """
        initial, read = self.slot.initial, self.slot.read
        return [group.setdefault(initial, read(group)) for group in optimizer.param_groups]

    def regular_values(self, runner: RunnerView, groups: Sequence[Group]) -> list[float]:
        """Return what the curve, or a method of one's own in its place, says now for each group."""
        if self._own_value is not None:
            own = getattr(self, self._own_value)
            return [own(runner, self._base(group)) for group in groups]
        at, total = self._position(runner)
        return [self.curve(self._base(group), at, total) for group in groups]  # type: ignore[misc]  # as in value()

    def warm_values(self, at: int) -> list[float]:
        """Return the share that warm-up leaves of the regular values at iteration ``at``."""
        if self._warmup is None:
            raise ArgumentError("There is no warm-up.")
        factor = self._warmup.factor(at)
        return [self.warmed(value, factor) for value in self._regular]

    def before_run(self, runner: RunnerView) -> None:
        """Remember what each group began with.

        Raises:
            HookError: The curve counts epochs, and the run does not, or does not fit the run.
        """
        self._check_run(runner)
        optimizer = runner.optimizer
        if isinstance(optimizer, dict):
            self.base_values = {name: self.start_values(name, each) for name, each in optimizer.items()}
            self._layout = {name: len(values) for name, values in self.base_values.items()}
        elif optimizer is not None:
            self.base_values = self.start_values(type(optimizer).__name__, optimizer)
        self._warn_about_absolute_values(runner)

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Set the value of the epoch."""
        if self._warmup is not None and self.warmup_epochs is not None:
            self.warmup_iters = self.warmup_epochs * len(runner.data_loader)
            self._warmup = Warmup(self._warmup.kind, self.warmup_iters, self._warmup.ratio)
        if self.by_epoch:
            groups = param_groups(runner.optimizer)
            self._regular = self.regular_values(runner, groups)
            self.slot.write(groups, self._regular)

    def before_train_iter(self, runner: RunnerView) -> None:
        """Set the value of the iteration, or its share of it during warm-up."""
        warmup = self._warmup
        if self.by_epoch and (warmup is None or runner.iter > warmup.iters):
            return
        groups = param_groups(runner.optimizer)
        if not self.by_epoch:
            self._regular = self.regular_values(runner, groups)
        if warmup is not None and runner.iter < warmup.iters:
            self.slot.write(groups, self.warm_values(runner.iter))
        else:
            self.slot.write(groups, self._regular)

    def _position(self, runner: RunnerView) -> tuple[int, int]:
        if self.by_epoch:
            return runner.epoch, runner.max_epochs or 0
        return runner.iter, runner.max_iters or 0

    def _base(self, group: Group) -> float:
        """Return what a group began with; one that joins in the middle of a run begins there."""
        if self.slot.initial in group:
            return float(group[self.slot.initial])
        return group.setdefault(self.slot.initial, self.slot.read(group))  # type: ignore[no-any-return]

    def _check_run(self, runner: RunnerView) -> None:
        name, curve = type(self).__name__, self.curve
        if (self.by_epoch or self.warmup_by_epoch) and runner.max_epochs is None:
            setting = "by_epoch" if self.by_epoch else "warmup_by_epoch"
            raise HookError(
                f"{name} counts epochs ({setting}=True), and this run counts iterations: "
                f"it would never change anything. Set {setting}=False."
            )
        if self._warmup is not None and self.warmup_by_epoch and runner.max_iters is None:
            raise HookError(
                f"The warm-up of {name} takes {self.warmup_epochs} epochs, and how many iterations these have is not "
                "known here: give warmup_iters in iterations, and warmup_by_epoch=False."
            )
        total = runner.max_epochs if self.by_epoch else runner.max_iters
        if isinstance(curve, Curve):
            if curve.needs_total and total is None:
                raise HookError(
                    f"{name} follows the length of the run in iterations, which is not known here; by_epoch=True "
                    "follows its epochs."
                )
            problem = curve.problem(total) if total is not None else None
            if problem:
                raise HookError(f"{name} does not fit this run: {problem}.")
            unused = curve.unused(total) if total is not None else None
            if unused:
                runner.logger.warning(
                    "%s: %s does not reach %s: the run ends after %d %s.",
                    self.place_of(curve.length_argument), self._policy, unused, total,
                    "epochs" if self.by_epoch else "iterations",
                )  # fmt: skip
        if self.warmup is None and self.warmup_iters and not any("warmup" in cfg for cfg in self._configs):
            runner.logger.warning(
                "%s: warmup_iters has no effect without warmup='linear', 'exp' or 'constant'.",
                self.place_of("warmup_iters"),
            )
        warming = self._warmup.iters if self._warmup is not None and self.warmup_epochs is None else 0
        if warming and warming >= (runner.max_iters or warming + 1):
            runner.logger.warning(
                "The warm-up of %s takes %d iterations, and the run has %d: it never gets beyond it.",
                name, warming, runner.max_iters,
            )  # fmt: skip

    def _warn_about_absolute_values(self, runner: RunnerView) -> None:
        minimum = getattr(self.curve, "min_value", None)
        if minimum is not None:
            setting = f"min_{self.slot.name}"
            warn_about_raised_values(
                runner, self.place_of(setting), self._policy, setting, minimum, param_groups(runner.optimizer),
                self.slot.name, f"{setting}_ratio" if isinstance(self.curve, Annealing) else None,
            )  # fmt: skip

    @property
    def _policy(self) -> str:
        """The name of the policy, for messages."""
        return f"the policy {type(self).__name__.removesuffix('LrUpdaterHook').removesuffix('MomentumUpdaterHook')}"

    def _shaped(self, values: list[float]) -> Values:
        """Return one value per group as MMCV has them: by name if there are several optimizers."""
        if self._layout is None:
            return values
        rest = iter(values)
        return {name: [next(rest) for _ in range(count)] for name, count in self._layout.items()}


class LrUpdaterHook(ScheduleHook):
    """Base of the learning rate policies.

    A policy of one's own states a ``curve``, or overrides ``get_lr(runner, base_lr)``;
    ``get_warmup_lr(cur_iters)`` can be overridden as well. What ``__init__`` takes beside the
    curve's settings is described in ``ScheduleHook``.
    """

    slot = Slot("lr")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._own_value = None if cls.get_lr is LrUpdaterHook.get_lr else "get_lr"

    @property
    def base_lr(self) -> Values:
        """What each group began with; by optimizer name if there are several."""
        return self.base_values

    @base_lr.setter
    def base_lr(self, values: Values) -> None:
        self.base_values = values

    @property
    def regular_lr(self) -> Values:
        """What the curve says for each group, warm-up aside; by optimizer name if there are several."""
        return self._shaped(self._regular)

    def get_lr(self, runner: RunnerView, base_lr: float) -> float:
        """Return the learning rate now, for a group that began with ``base_lr``."""
        return self.value(runner, base_lr)

    def get_warmup_lr(self, cur_iters: int) -> Values:
        """Return the learning rates at iteration ``cur_iters`` of the warm-up."""
        return self._shaped(super().warm_values(cur_iters))

    def warm_values(self, at: int) -> list[float]:
        """Return what ``get_warmup_lr`` says for each group."""
        return _flat(self.get_warmup_lr(at))

    def _check_run(self, runner: RunnerView) -> None:
        if self.curve is None and self._own_value is None:
            raise HookError(
                f"{type(self).__name__} has neither a curve nor a get_lr(runner, base_lr) of its own."
            )
        super()._check_run(runner)


class MomentumUpdaterHook(ScheduleHook):
    """Base of the momentum policies: ``momentum``, or the first of ``betas``.

    During warm-up the value is divided by its share, so that it starts high. A policy of
    one's own states a ``curve``, or overrides ``get_momentum(runner, base_momentum)``.
    """

    slot = MomentumSlot("momentum")

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: WarmupKind | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.9,
    ) -> None:
        super().__init__(by_epoch, warmup, warmup_iters, warmup_ratio)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._own_value = None if cls.get_momentum is MomentumUpdaterHook.get_momentum else "get_momentum"

    @property
    def base_momentum(self) -> Values:
        """What each group began with; by optimizer name if there are several."""
        return self.base_values

    @base_momentum.setter
    def base_momentum(self, values: Values) -> None:
        self.base_values = values

    @property
    def regular_momentum(self) -> Values:
        """What the curve says for each group, warm-up aside; by optimizer name if there are several."""
        return self._shaped(self._regular)

    def warmed(self, value: float, factor: float) -> float:
        """Return the momentum during warm-up."""
        return value / factor

    def get_momentum(self, runner: RunnerView, base_momentum: float) -> float:
        """Return the momentum now, for a group that began with ``base_momentum``."""
        return self.value(runner, base_momentum)

    def get_warmup_momentum(self, cur_iters: int) -> Values:
        """Return the momenta at iteration ``cur_iters`` of the warm-up."""
        return self._shaped(super().warm_values(cur_iters))

    def warm_values(self, at: int) -> list[float]:
        """Return what ``get_warmup_momentum`` says for each group."""
        return _flat(self.get_warmup_momentum(at))

    def _check_run(self, runner: RunnerView) -> None:
        if self.curve is None and self._own_value is None:
            raise HookError(
                f"{type(self).__name__} has neither a curve nor a get_momentum(runner, base_momentum) of its own."
            )
        super()._check_run(runner)


def param_groups(optimizer: Any) -> list[Group]:
    """Return the parameter groups of an optimizer, of several in a dict, or of None."""
    if isinstance(optimizer, dict):
        return [group for each in optimizer.values() for group in each.param_groups]
    return optimizer.param_groups if optimizer is not None else []


def per_group(setting: str, value: Any, name: str, optimizer: Any) -> list[float]:
    """Return one number for each group of an optimizer.

    Args:
        setting: What it is, for messages.
        value: A number, a list with one for each group, or a dict of these by optimizer name.
        name: Of the optimizer among several, else that of its class.
        optimizer: It.
    """
    if isinstance(value, dict):
        if name not in value:
            raise ArgumentError(
                f"{setting} has nothing for the optimizer {name!r}; it has {', '.join(value)}."
            )
        value = value[name]
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ArgumentError(
            f"{setting} has {len(values)} values, and the optimizer {name} {count} parameter groups."
        )
    return values


def _flat(values: Values) -> list[float]:
    return values if isinstance(values, list) else [value for each in values.values() for value in each]
