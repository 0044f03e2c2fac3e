"""Schedules of learning rates and momenta: hooks that write the values of a curve to a slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch.optim import Optimizer

from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.optim.optimizers import Optimizers, optimizers_of
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.schedules.absolute_values import warn_about_raised_values
from cfgtrain.runner.hooks.schedules.slots import Group, MomentumSlot, Slot
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.schedules import Annealing, Curve, Warmup, WarmupKind

__all__ = ["LrUpdaterHook", "MomentumUpdaterHook", "ScheduleHook"]

Values = list[float] | dict[str, list[float]]


class ScheduleHook(Hook):
    """Writes the value of a curve to every parameter group.

    By epoch, the value is set before each training epoch; by iteration, before each training
    iteration. Warm-up counts iterations of the whole run in both cases. The initial value of a
    group is stored in it as ``initial_<slot>`` and saved with the state of the optimizer, so that a
    resumed run continues the same curve. A schedule by epoch without warm-up is not called in
    iterations.

    Args:
        by_epoch: Whether the curve is over epochs, or over iterations.
        warmup: ``"constant"``, ``"linear"`` or ``"exp"``; None for no warm-up.
        warmup_iters: Length of the warm-up in iterations, or in epochs with ``warmup_by_epoch``.
        warmup_ratio: Factor of the curve's value at the start, above 0, at most 1.
        warmup_by_epoch: Whether ``warmup_iters`` counts epochs.

    Attributes:
        curve: A ``Curve``, or any function ``(base, at, total) -> value``.
        base_values: The initial value of each group.
    """

    slot: Slot
    curve: Curve | Callable[[float, int, int], float] | None = None
    _value_method: ClassVar[str | None] = None  # name of the method that replaces the curve

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
        self._num_groups: dict[str, int] = {}  # by optimizer
        if by_epoch and warmup is None:
            self.set_idle(["before_train_iter"], ScheduleHook)

    def value(self, runner: RunnerView, base: float) -> float:
        """Return the current value of the curve for a group with the initial value ``base``."""
        at, total = self._position(runner)
        return self.curve(base, at, total)  # type: ignore[misc]  # before_run has checked that there is one

    def warmed(self, value: float, factor: float) -> float:
        """Return the value of the curve during warm-up."""
        return value * factor

    def start_values(self, name: str, optimizer: Any) -> list[float]:
        """Return the initial value of each group of an optimizer, and store it in the group.

        Args:
            name: Name of the optimizer if there are several, otherwise that of its class.
            optimizer: The optimizer.
        """
        initial, read = self.slot.initial, self.slot.read
        return [group.setdefault(initial, read(group)) for group in optimizer.param_groups]

    def regular_values(self, runner: RunnerView, groups: Sequence[Group]) -> list[float]:
        """Return the current value of the curve, or of the method that replaces it, for each group."""
        if self._value_method is not None:
            value = getattr(self, self._value_method)
            return [value(runner, self._base(group)) for group in groups]
        at, total = self._position(runner)
        return [self.curve(self._base(group), at, total) for group in groups]  # type: ignore[misc]  # as in value()

    def warm_values(self, at: int) -> list[float]:
        """Return the values at iteration ``at`` of the warm-up."""
        if self._warmup is None:
            raise ArgumentError("There is no warm-up.")
        factor = self._warmup.factor(at)
        return [self.warmed(value, factor) for value in self._regular]

    def before_run(self, runner: RunnerView) -> None:
        """Store the initial value of each group.

        Raises:
            HookError: The curve does not match the run, for example because only one of them counts epochs.
        """
        self._check_run(runner)
        named = optimizers_of(runner.optimizer).items()
        values = {name: self.start_values(name or type(each).__name__, each) for name, each in named}
        self._num_groups = {name: len(each) for name, each in values.items()}
        self.base_values = self._shaped(flat(values))
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
        """Set the value of the iteration, also during warm-up."""
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
        """Return the initial value of a group; a group that was added during the run starts with its own value."""
        if self.slot.initial in group:
            return float(group[self.slot.initial])
        return group.setdefault(self.slot.initial, self.slot.read(group))  # type: ignore[no-any-return]

    def _check_run(self, runner: RunnerView) -> None:
        name, curve = type(self).__name__, self.curve
        if curve is None and self._value_method is None:
            slot = self.slot.name
            raise HookError(f"{name} has no curve and does not override get_{slot}(runner, base_{slot}).")
        if (self.by_epoch or self.warmup_by_epoch) and runner.max_epochs is None:
            setting = "by_epoch" if self.by_epoch else "warmup_by_epoch"
            raise HookError(
                f"{name} counts epochs ({setting}=True), but this run counts iterations: "
                f"it would never change anything. Set {setting}=False."
            )
        if self._warmup is not None and self.warmup_by_epoch and runner.max_iters is None:
            raise HookError(
                f"The warm-up of {name} takes {self.warmup_epochs} epochs, but their number of iterations is not known: "
                "set warmup_iters in iterations, and warmup_by_epoch=False."
            )
        total = runner.max_epochs if self.by_epoch else runner.max_iters
        if isinstance(curve, Curve):
            if curve.needs_total and total is None:
                raise HookError(
                    f"{name} needs the length of the run in iterations, which is not known; set by_epoch=True to use "
                    "its epochs."
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
                "The warm-up of %s takes %d iterations, but the run has only %d: it ends during the warm-up.",
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
        """Return one value per group as in MMCV: by optimizer name for a dict of optimizers."""
        if self._num_groups.keys() <= {""}:
            return values
        rest = iter(values)
        return {name: [next(rest) for _ in range(count)] for name, count in self._num_groups.items()}


class LrUpdaterHook(ScheduleHook):
    """Base of the learning rate policies.

    A custom policy sets a ``curve`` or overrides ``get_lr(runner, base_lr)``;
    ``get_warmup_lr(cur_iters)`` can be overridden as well. ``ScheduleHook`` describes the arguments
    of ``__init__`` besides the settings of the curve.
    """

    slot = Slot("lr")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._value_method = None if cls.get_lr is LrUpdaterHook.get_lr else "get_lr"

    @property
    def base_lr(self) -> Values:
        """The initial value of each group; by optimizer name if there are several."""
        return self.base_values

    @base_lr.setter
    def base_lr(self, values: Values) -> None:
        self.base_values = values

    @property
    def regular_lr(self) -> Values:
        """The value of the curve for each group, without warm-up; by optimizer name if there are several."""
        return self._shaped(self._regular)

    def get_lr(self, runner: RunnerView, base_lr: float) -> float:
        """Return the current learning rate of a group with the initial value ``base_lr``."""
        return self.value(runner, base_lr)

    def get_warmup_lr(self, cur_iters: int) -> Values:
        """Return the learning rates at iteration ``cur_iters`` of the warm-up."""
        return self._shaped(super().warm_values(cur_iters))

    def warm_values(self, at: int) -> list[float]:
        """Return ``get_warmup_lr`` for each group."""
        return flat(self.get_warmup_lr(at))


class MomentumUpdaterHook(ScheduleHook):
    """Base of the momentum policies: ``momentum``, or the first of ``betas``.

    During warm-up the value is divided by the factor, so that it starts high. A custom policy
    sets a ``curve`` or overrides ``get_momentum(runner, base_momentum)``.
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
        cls._value_method = None if cls.get_momentum is MomentumUpdaterHook.get_momentum else "get_momentum"

    @property
    def base_momentum(self) -> Values:
        """The initial value of each group; by optimizer name if there are several."""
        return self.base_values

    @base_momentum.setter
    def base_momentum(self, values: Values) -> None:
        self.base_values = values

    @property
    def regular_momentum(self) -> Values:
        """The value of the curve for each group, without warm-up; by optimizer name if there are several."""
        return self._shaped(self._regular)

    def warmed(self, value: float, factor: float) -> float:
        """Return the momentum during warm-up."""
        return value / factor

    def get_momentum(self, runner: RunnerView, base_momentum: float) -> float:
        """Return the current momentum of a group with the initial value ``base_momentum``."""
        return self.value(runner, base_momentum)

    def get_warmup_momentum(self, cur_iters: int) -> Values:
        """Return the momenta at iteration ``cur_iters`` of the warm-up."""
        return self._shaped(super().warm_values(cur_iters))

    def warm_values(self, at: int) -> list[float]:
        """Return ``get_warmup_momentum`` for each group."""
        return flat(self.get_warmup_momentum(at))


def param_groups(optimizer: Optimizers) -> list[Group]:
    """Return the parameter groups of all optimizers."""
    if isinstance(optimizer, Optimizer):  # called in each iteration
        return optimizer.param_groups
    return [group for each in optimizers_of(optimizer).values() for group in each.param_groups]


def per_group(setting: str, value: Any, name: str, optimizer: Any) -> list[float]:
    """Return one number for each group of an optimizer.

    Args:
        setting: Name of the setting, for messages.
        value: A number, a list with one for each group, or a dict of these by optimizer name.
        name: Name of the optimizer if there are several, otherwise that of its class.
        optimizer: The optimizer.
    """
    if isinstance(value, dict):
        if name not in value:
            raise ArgumentError(
                f"{setting} has no value for the optimizer {name!r}; it has values for {', '.join(value)}."
            )
        value = value[name]
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ArgumentError(
            f"{setting} has {len(values)} values, but the optimizer {name} has {count} parameter groups."
        )
    return values


def flat(values: Values) -> list[float]:
    """Return the values of all groups, also if there are several optimizers, as one list."""
    return values if isinstance(values, list) else [value for each in values.values() for value in each]
