"""Stop a run whose score no longer improves."""

from __future__ import annotations

import math
from typing import Any

from cfgtrain.arguments import check_number
from cfgtrain.errors import HookError
from cfgtrain.evaluation.score_rules import COMPARE, Rule
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.score_monitor import Score, ScoreMonitor
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["EarlyStoppingHook"]


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Stops the run if a score of the evaluation has not improved for some time.

    The end of the run is saved as for a complete run; ``save_best`` of the evaluation keeps the
    best checkpoint.

    Args:
        monitor: Name of the score; None is the score of ``save_best`` of the evaluation, or else
            its first one.
        rule: Whether greater or smaller values are better; None is the rule of the evaluation for
            that score, or guesses from the name.
        min_delta: Smallest difference that counts as an improvement.
        patience: Number of successive evaluations without an improvement that stop the run; 0 is
            the same as 1.
        check_finite: Whether a score that is infinite or NaN stops the run immediately.
        stopping_threshold: The run stops when the score reaches this value.
    """

    default_priority = "LOWEST"  # after the evaluation

    def __init__(
        self,
        monitor: str | None = None,
        rule: Rule | None = None,
        min_delta: float = 0.0,
        patience: int = 5,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
    ) -> None:
        self.score_monitor = ScoreMonitor(type(self).__name__, monitor, rule)
        self.min_delta = check_number("min_delta", min_delta, 0)
        self.patience = check_number("patience", patience, 0)
        self.check_finite = check_finite
        self.stopping_threshold = stopping_threshold
        self.best: float | None = None
        self.waited = 0

    def before_run(self, runner: RunnerView) -> None:
        """Find the evaluation.

        Raises:
            HookError: There is no evaluation, it runs after this hook, or it has no such score.
        """
        self.score_monitor.begin(runner)
        if runner.hooks.index(self.score_monitor.evaluation) > runner.hooks.index(self):
            raise HookError(
                "EarlyStoppingHook needs a priority after that of the evaluation, such as 'LOWEST'."
            )

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Check the score of an evaluation at the end of the epoch."""
        self._check(runner)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Check the score of an evaluation after the iteration."""
        self._check(runner)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score, and how many evaluations did not improve it."""
        return {"best": self.best, "waited": self.waited, "seen": self.score_monitor.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self.best, self.waited, self.score_monitor.seen = state["best"], state["waited"], state["seen"]

    def _check(self, runner: RunnerView) -> None:
        score = self.score_monitor.newest()
        reason = None if score is None else self._reason(score)
        if reason is not None:
            runner.stop(reason)

    def _reason(self, score: Score) -> str | None:
        """Return why this score stops the run, or None."""
        name, value, rule = score
        is_better = COMPARE[rule]
        if not math.isfinite(value):
            if self.check_finite:
                return f"{name} is {value}"
        elif self.stopping_threshold is not None and not is_better(self.stopping_threshold, value):
            return f"{name} is {value:.4f}, which reaches stopping_threshold={self.stopping_threshold}"
        margin = self.min_delta if rule == "greater" else -self.min_delta
        if math.isfinite(value) and (self.best is None or is_better(value, self.best + margin)):
            self.best, self.waited = value, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        best = "no score" if self.best is None else f"{self.best:.4f}"
        times = "1 evaluation" if self.waited == 1 else f"{self.waited} evaluations"
        margin_of = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"{name} has not improved on {best}{margin_of} in {times}"
