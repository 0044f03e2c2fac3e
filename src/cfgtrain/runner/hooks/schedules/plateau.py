"""Reduce the learning rate when a score stops improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.eval_hook import Rule
from cfgtrain.runner.hooks.evaluation.score_monitor import Score, ScoreWatch
from cfgtrain.runner.hooks.schedules.base import LrUpdaterHook, param_groups
from cfgtrain.runner.hooks.schedules.slots import Group
from cfgtrain.runner.protocol import RunnerView

__all__ = [
    "ReduceOnPlateauLrUpdaterHook",
]


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
        min_lr: The rate is not reduced below this value; a lower rate stays as it is.
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
            raise ArgumentError(f"factor is above 0 and below 1, not {factor!r}.", argument="factor")
        check_choice("threshold_mode", threshold_mode, ("rel", "abs"))
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
        if self.min_lr and all(
            group["initial_lr"] <= self.min_lr for group in param_groups(runner.optimizer)
        ):
            runner.logger.warning(
                "%s: the policy ReduceOnPlateau never changes the learning rate, because it is not above min_lr=%g.",
                self.place_of("min_lr"), self.min_lr,
            )  # fmt: skip

    def get_lr(self, runner: RunnerView, base_lr: float) -> float:
        """Return the rate that the scores so far have left."""
        return max(base_lr * self.scale, min(self.min_lr, base_lr))

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
