"""Reduce the learning rate when a score stops improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError
from cfgtrain.evaluation.score_rules import Rule
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.score_monitor import Score, ScoreMonitor
from cfgtrain.runner.hooks.schedules.base import LrUpdaterHook, param_groups
from cfgtrain.runner.hooks.schedules.slots import Group
from cfgtrain.runner.protocol import RunnerView

__all__ = ["ReduceOnPlateauLrUpdaterHook"]


@HOOKS.register_module()
class ReduceOnPlateauLrUpdaterHook(LrUpdaterHook):
    """``policy='ReduceOnPlateau'``: multiplies by ``factor`` when a score no longer improves.

    The rules are those of ``torch.optim.lr_scheduler.ReduceLROnPlateau``. The policy uses the
    scores of the evaluation whenever there are new ones, and supports warm-up like other policies.

    Args:
        monitor: Name of the score; None is the score of ``save_best`` of the evaluation, or else
            its first one.
        rule: Whether ``"greater"`` or ``"less"`` is better; None is the rule of the evaluation for
            that score, or guesses from the name.
        factor: Factor of the learning rate; below 1.
        patience: Number of evaluations without an improvement before a reduction.
        threshold: Smallest difference that counts as an improvement.
        threshold_mode: Whether the threshold is relative to the best score (``"rel"``) or
            absolute (``"abs"``).
        cooldown: Number of evaluations after a reduction that are ignored.
        min_lr: The learning rate is not reduced below this value; a lower one stays as it is.
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
            raise ArgumentError(f"factor must be above 0 and below 1, not {factor!r}.", argument="factor")
        check_choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.score_monitor = ScoreMonitor("policy='ReduceOnPlateau'", monitor, rule)
        self.factor, self.patience, self.cooldown, self.min_lr = factor, patience, cooldown, min_lr
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.scale, self.best = 1.0, math.nan
        self.bad, self.cooling = 0, 0
        super().__init__(**kwargs)

    def before_run(self, runner: RunnerView) -> None:
        """Find the evaluation.

        Raises:
            HookError: There is no evaluation, or it is known to have no such score.
        """
        self.score_monitor.begin(runner)
        super().before_run(runner)
        if self.min_lr and all(
            group["initial_lr"] <= self.min_lr for group in param_groups(runner.optimizer)
        ):
            runner.logger.warning(
                "%s: the policy ReduceOnPlateau never changes the learning rate, because it is not above min_lr=%g.",
                self.place_of("min_lr"), self.min_lr,
            )  # fmt: skip

    def get_lr(self, runner: RunnerView, base_lr: float) -> float:
        """Return the learning rate after the reductions so far."""
        return max(base_lr * self.scale, min(self.min_lr, base_lr))

    def regular_values(self, runner: RunnerView, groups: Sequence[Group]) -> list[float]:
        """Return the learning rates, after taking new scores into account."""
        score = self.score_monitor.newest()
        if score is not None:
            self._observe(runner, score)
        return super().regular_values(runner, groups)

    def state_dict(self) -> dict[str, Any]:
        """Return the reductions so far, and the scores that lead to the next one."""
        return {name: getattr(self, name) for name in _STATE} | {"seen": self.score_monitor.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        vars(self).update({name: state[name] for name in _STATE})
        self.score_monitor.seen = state["seen"]

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
                "%s has not improved on %.4g: the learning rate is now %.4g times its base.",
                score.name,
                self.best,
                self.scale,
            )

    def _is_better(self, score: Score) -> bool:
        if math.isnan(self.best) or not math.isfinite(score.value):
            return math.isfinite(score.value)
        sign = 1 if score.rule == "greater" else -1
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1)
        return sign * (score.value - self.best) > margin


_STATE = ("scale", "best", "bad", "cooling")  # attributes that are saved with the run
