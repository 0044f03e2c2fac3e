"""End a run that no longer gets better."""

from __future__ import annotations

import math
from typing import Any

from cfgtrain.errors import ArgumentError, HookError
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation.eval_hook import BETTER, Rule
from cfgtrain.runner.hooks.evaluation.score_monitor import Score, ScoreWatch
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["EarlyStoppingHook"]


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Stops the run when a score of the evaluation has not got better for a while.

    The end of the run is saved as that of a full one would be; the best checkpoint is kept by
    the evaluation's ``save_best``.

    Args:
        monitor: Name of the score; None takes the one that the evaluation keeps the best of, or
            else its first.
        rule: Whether a greater or a smaller score is better; by default the evaluation's rule for
            that score, or guessed from the name.
        min_delta: By how much a score has to be better to count.
        patience: So many evaluations in a row without a better score stop the run; 0 is as 1.
        check_finite: Whether a score that is infinite or not a number stops the run at once.
        stopping_threshold: A score that is good enough: the run stops when it is reached.
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
        self.watch = ScoreWatch(type(self).__name__, monitor, rule)
        if patience < 0 or min_delta < 0:
            raise ArgumentError(
                f"patience and min_delta are not negative; they are {patience!r} and {min_delta!r}.",
                argument="patience" if patience < 0 else "min_delta",
            )
        self.min_delta = min_delta
        self.patience = patience
        self.check_finite = check_finite
        self.stopping_threshold = stopping_threshold
        self.best: float | None = None
        self.waited = 0

    def before_run(self, runner: RunnerView) -> None:
        """Find the evaluation whose scores are watched.

        Raises:
            HookError: There is none, it comes after this hook, or it has no such score.
        """
        self.watch.begin(runner)
        if runner.hooks.index(self.watch.evaluation) > runner.hooks.index(self):
            raise HookError(
                "EarlyStoppingHook needs a priority after that of the evaluation, such as 'LOWEST'."
            )

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Look at the scores of an evaluation at the end of the epoch."""
        self._look(runner)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Look at those of an evaluation after the iteration."""
        self._look(runner)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and for how long there was no better one."""
        return {"best": self.best, "waited": self.waited, "seen": self.watch.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over."""
        self.best, self.waited, self.watch.seen = state["best"], state["waited"], state["seen"]

    def _look(self, runner: RunnerView) -> None:
        score = self.watch.newest()
        why = None if score is None else self._reason(score)
        if why is not None:
            runner.stop(why)

    def _reason(self, score: Score) -> str | None:
        """Return why the run is to end after this score, or None."""
        name, value, rule = score
        better = BETTER[rule]
        if not math.isfinite(value):
            if self.check_finite:
                return f"{name} is {value}"
        elif self.stopping_threshold is not None and not better(self.stopping_threshold, value):
            return f"{name} is {value:.4f}, which is good enough ({self.stopping_threshold})"
        margin = self.min_delta if rule == "greater" else -self.min_delta
        if not math.isnan(value) and (self.best is None or better(value, self.best + margin)):
            self.best, self.waited = value, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        best = "no score" if self.best is None else f"{self.best:.4f}"
        times = "1 evaluation" if self.waited == 1 else f"{self.waited} evaluations"
        margin_of = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"{name} has not got better than {best}{margin_of} in {times}"
