"""Learning rates that are no function of the position: PyTorch's schedulers, and plateaus."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

import torch

from cfgtrain.errors import ArgumentError, CfgTrainError, HookError
from cfgtrain.registries import HOOKS
from cfgtrain.registry import Registry, resolve_cfg
from cfgtrain.runner.hooks.evaluation import Rule
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.schedule import LrUpdaterHook, param_groups
from cfgtrain.runner.hooks.score_watch import Score, ScoreWatch
from cfgtrain.runner.hooks.slots import Group
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.utils.signatures import argument_problem

__all__ = ["ReduceOnPlateauLrUpdaterHook", "TorchLrUpdaterHook"]

_SCHEDULERS = Registry("torch scheduler", scope="cfgtrain")
_BASES = ("LRScheduler", "_LRScheduler")  # which schedule nothing themselves
for _name, _found in vars(torch.optim.lr_scheduler).items():
    _is_scheduler = isinstance(_found, type) and issubclass(_found, torch.optim.lr_scheduler.LRScheduler)
    if _is_scheduler and _name not in _BASES:
        _SCHEDULERS.register_module(name=_name, module=_found)


@HOOKS.register_module()
class TorchLrUpdaterHook(Hook):
    """``policy='Torch'``: any scheduler of ``torch.optim.lr_scheduler``.

    It steps before each training epoch or iteration but the first. Its state, and what it
    wrote into the parameter groups, is saved with the run and goes on exactly.

    Args:
        scheduler: ``type``, a name in ``torch.optim.lr_scheduler`` or an import path, and
            arguments; the optimizer is added. In ``schedulers``, as SequentialLR and
            ChainedScheduler have it, are further such configs.
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
        self._resumed: list[Group] = []  # what was in the groups when the run began

    def before_run(self, runner: RunnerView) -> None:
        """Build a scheduler for each optimizer."""
        if self.by_epoch and runner.max_epochs is None:
            raise HookError(
                "The scheduler steps by epoch, and this run counts iterations: it would never step. Set by_epoch=False."
            )
        optimizer = runner.optimizer
        named = optimizer if isinstance(optimizer, dict) else {"": optimizer} if optimizer else {}
        self._groups = param_groups(optimizer)
        self._resumed = [{k: v for k, v in group.items() if k != "params"} for group in self._groups]
        for group in self._groups:
            group["lr"] = group.get("initial_lr", group["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's about how it steps within itself
            self._schedulers = {name: _build(self.scheduler, each) for name, each in named.items()}
        self._steps = 0

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Step, if by epoch."""
        self._advance(runner.epoch)

    def before_train_iter(self, runner: RunnerView) -> None:
        """Step, if by iteration."""
        self._advance(runner.iter)

    def state_dict(self) -> dict[str, Any]:
        """Return how far the schedulers are."""
        states = {name: each.state_dict() for name, each in self._schedulers.items()}
        return {"steps": self._steps, "schedulers": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over; the groups get back what building the schedulers has overwritten."""
        for name, each in self._schedulers.items():
            each.load_state_dict(deepcopy(state["schedulers"][name]))  # some take items out
        self._steps = state["steps"]
        for group, settings in zip(self._groups, self._resumed, strict=True):
            group.update(settings)

    def _advance(self, at: int) -> None:
        if self._steps < at:
            with warnings.catch_warnings():
                # They want an optimizer step before each of theirs, which accumulation and a
                # run that goes on do not have.
                warnings.simplefilter("ignore")
                while self._steps < at:
                    for each in self._schedulers.values():
                        each.step()
                    self._steps += 1


@HOOKS.register_module()
class ReduceOnPlateauLrUpdaterHook(LrUpdaterHook):
    """``policy='ReduceOnPlateau'``: multiply by ``factor`` when a score no longer gets better.

    The rules are those of ``torch.optim.lr_scheduler.ReduceLROnPlateau``. It goes by the scores of
    the evaluation, whenever there are new ones, and can be warmed up as other policies.

    Args:
        monitor: Name of the score; None is the one that the evaluation keeps the best of, or
            else its first.
        rule: ``"greater"`` or ``"less"`` is better; None is the evaluation's rule for that score,
            or guesses from the name.
        factor: Multiplies the rate; below 1.
        patience: Evaluations without a better score that are borne.
        threshold: How much a better score is better, relative to the best or absolute.
        threshold_mode: ``"rel"`` or ``"abs"``.
        cooldown: Evaluations after a reduction that do not count.
        min_lr: A floor under the rate.
        kwargs: See ``ScheduleHook``.
    """

    def __init__(
        self,
        monitor: str | None = None,
        rule: Rule | None = None,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if not 0 < factor < 1:
            raise ArgumentError(f"factor is above 0 and below 1, not {factor!r}.")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"threshold_mode is 'rel' or 'abs', not {threshold_mode!r}.")
        self.watch = ScoreWatch("policy='ReduceOnPlateau'", monitor, rule)
        self.factor, self.patience, self.cooldown, self.min_lr = factor, patience, cooldown, min_lr
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.scale, self.best = 1.0, math.nan
        self.bad, self.cooling = 0, 0
        super().__init__(**kwargs)

    def before_run(self, runner: RunnerView) -> None:
        """Find the evaluation to go by.

        Raises:
            HookError: There is none, or it is known to have no such score.
        """
        self.watch.begin(runner)
        super().before_run(runner)

    def get_lr(self, runner: RunnerView, base_lr: float) -> float:
        """Return the rate that the scores so far have left."""
        return max(base_lr * self.scale, self.min_lr)

    def regular_values(self, runner: RunnerView, groups: Sequence[Group]) -> list[float]:
        """Look whether there are new scores, and return the rates."""
        score = self.watch.newest()
        if score is not None:
            self._observe(runner, score)
        return super().regular_values(runner, groups)

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered of the scores."""
        return {name: getattr(self, name) for name in _REMEMBERED} | {"seen": self.watch.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over."""
        vars(self).update({name: state[name] for name in _REMEMBERED})
        self.watch.seen = state["seen"]

    def _observe(self, runner: RunnerView, score: Score) -> None:
        if self._is_better(score):
            self.best, self.bad = score.value, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad > self.patience:
            self.scale *= self.factor
            self.cooling, self.bad = self.cooldown, 0
            runner.logger.info(
                "No better %s than %.4g: the learning rate is now %.4g times its base.",
                score.name,
                self.best,
                self.scale,
            )

    def _is_better(self, score: Score) -> bool:
        if math.isnan(self.best):
            return not math.isnan(score.value)
        sign = 1 if score.rule == "greater" else -1
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1)
        return sign * (score.value - self.best) > margin


_REMEMBERED = ("scale", "best", "bad", "cooling")  # attributes that are saved with the run


def _check_scheduler(cfg: Any) -> None:
    if not isinstance(cfg, Mapping) or "type" not in cfg:
        raise ArgumentError(f"scheduler is a dict with the type of a scheduler, not {cfg!r}.")
    try:
        target, given = resolve_cfg(cfg, _SCHEDULERS)
    except CfgTrainError as error:
        raise ArgumentError(str(error)) from error
    if getattr(target, "__name__", "") == "ReduceLROnPlateau":
        raise ArgumentError("ReduceLROnPlateau needs scores to go by: that is policy='ReduceOnPlateau'.")
    problem = argument_problem(target, {"optimizer": None, **given})
    if problem is not None:
        raise ArgumentError(problem.text)
    for each in given.get("schedulers", ()):
        _check_scheduler(each)


def _build(cfg: Mapping[str, Any], optimizer: Any) -> Any:
    args = dict(cfg)
    if "schedulers" in args:
        args["schedulers"] = [_build(each, optimizer) for each in args["schedulers"]]
    return _SCHEDULERS.build(args, default_args={"optimizer": optimizer})
