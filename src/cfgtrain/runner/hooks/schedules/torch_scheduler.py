"""Use the schedulers of ``torch.optim.lr_scheduler``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch

from cfgtrain.errors import ArgumentError, CfgTrainError, HookError
from cfgtrain.introspection.signatures import argument_problem
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.origin import describe
from cfgtrain.registries import HOOKS, TORCH_SCHEDULERS
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.schedules.absolute_values import warn_about_equal_rates, warn_about_raised_values
from cfgtrain.runner.hooks.schedules.base import param_groups
from cfgtrain.runner.hooks.schedules.slots import Group
from cfgtrain.runner.protocol import RunnerView

__all__ = ["TorchLrUpdaterHook"]


_BASES = ("LRScheduler", "_LRScheduler")  # base classes
for _name, _found in vars(torch.optim.lr_scheduler).items():
    _is_scheduler = isinstance(_found, type) and issubclass(_found, torch.optim.lr_scheduler.LRScheduler)
    if _is_scheduler and _name not in _BASES:
        TORCH_SCHEDULERS.register_module(name=_name, module=_found)


@HOOKS.register_module()
class TorchLrUpdaterHook(Hook):
    """``policy='Torch'``: any scheduler of ``torch.optim.lr_scheduler``.

    It steps before each training epoch or iteration except the first. Its state and the parameter
    groups that it changed are saved with the run, so that a resumed run continues exactly.

    Args:
        scheduler: ``type``, a name in ``torch.optim.lr_scheduler`` or an import path, and
            arguments except the optimizer. ``schedulers`` of SequentialLR and ChainedScheduler
            is a list of such configs.
        by_epoch: Whether it steps by epoch, or by iteration.
    """

    def __init__(self, scheduler: Mapping[str, Any], by_epoch: bool = True) -> None:
        _check_scheduler(scheduler)
        self.scheduler = scheduler
        self.by_epoch = by_epoch
        self.idle_stages = ("before_train_iter",) if by_epoch else ("before_train_epoch",)
        self._schedulers: dict[str, Any] = {}
        self._steps = 0
        self._groups: list[Group] = []
        self._resumed: list[Group] = []  # content of the groups at the start of the run

    def before_run(self, runner: RunnerView) -> None:
        """Build a scheduler for each optimizer."""
        if self.by_epoch and runner.max_epochs is None:
            raise HookError(
                "The scheduler steps by epoch, but this run counts iterations: it would never step. Set by_epoch=False."
            )
        optimizers = optimizers_of(runner.optimizer)
        self._groups = param_groups(runner.optimizer)
        self._resumed = [{k: v for k, v in group.items() if k != "params"} for group in self._groups]
        for group in self._groups:
            group["lr"] = group.get("initial_lr", group["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from nested schedulers of PyTorch
            own = [float(group["lr"]) for group in self._groups]
            self._schedulers = {name: _build(self.scheduler, each) for name, each in optimizers.items()}
        self._warn_about_absolute_values(runner, own)
        self._steps = 0

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Step by epoch."""
        self._advance(runner.epoch)

    def before_train_iter(self, runner: RunnerView) -> None:
        """Step by iteration."""
        self._advance(runner.iter)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the schedulers."""
        states = {name: each.state_dict() for name, each in self._schedulers.items()}
        return {"steps": self._steps, "schedulers": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state, and the parameter groups, which building the schedulers has changed."""
        for name, each in self._schedulers.items():
            each.load_state_dict(deepcopy(state["schedulers"][name]))  # some schedulers remove items
        self._steps = state["steps"]
        for group, settings in zip(self._groups, self._resumed, strict=True):
            group.update(settings)

    def _warn_about_absolute_values(self, runner: RunnerView, own: list[float]) -> None:
        """Warn about a scheduler that gives all parameters the same learning rate at its start or end."""
        given = [float(group["lr"]) for group in self._groups]
        for args in _settings(self.scheduler):
            name = f"the scheduler {args['type']}"
            if "max_lr" in args:
                warn_about_equal_rates(
                    runner, describe(args, "max_lr"), name, "max_lr", self._groups, own, given
                )
            if isinstance(args.get("eta_min"), (int, float)):
                warn_about_raised_values(
                    runner, describe(args, "eta_min"), name, "eta_min", args["eta_min"], self._groups
                )

    def _advance(self, at: int) -> None:
        if self._steps < at:
            with warnings.catch_warnings():
                # PyTorch expects an optimizer step before each scheduler step, which is not the case with
                # accumulated gradients and in a resumed run.
                warnings.simplefilter("ignore")
                while self._steps < at:
                    for each in self._schedulers.values():
                        each.step()
                    self._steps += 1


def _check_scheduler(cfg: Any) -> None:
    if not isinstance(cfg, Mapping) or "type" not in cfg:
        raise ArgumentError(
            f"scheduler must be a dict with the type of a scheduler, not {cfg!r}.", argument="scheduler"
        )
    try:
        target, given = resolve_cfg(cfg, TORCH_SCHEDULERS)
    except CfgTrainError as error:
        raise ArgumentError(
            error.message, hint=error.hint, origin=error.origin, key=error.key, argument=("scheduler", "type")
        ) from error
    if getattr(target, "__name__", "") == "ReduceLROnPlateau":
        raise ArgumentError(
            "ReduceLROnPlateau needs scores: use policy='ReduceOnPlateau'.", argument="scheduler"
        )
    problem = argument_problem(target, {"optimizer": None, **given})
    if problem is not None:
        raise ArgumentError(
            problem.message,
            hint=problem.hint,
            argument=("scheduler", *([problem.argument] if problem.argument else [])),
        )
    for each in given.get("schedulers", ()):
        _check_scheduler(each)


def _settings(cfg: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the config of a scheduler and of those inside it."""
    yield cfg
    for each in cfg.get("schedulers", ()):
        yield from _settings(each)


def _build(cfg: Mapping[str, Any], optimizer: Any) -> Any:
    args = dict(cfg)
    if "schedulers" in args:
        args["schedulers"] = [_build(each, optimizer) for each in args["schedulers"]]
    return TORCH_SCHEDULERS.build(args, default_args={"optimizer": optimizer})
