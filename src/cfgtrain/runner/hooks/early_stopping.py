"""End a run that no longer gets better."""

from __future__ import annotations

import math
from typing import Any

from cfgtrain.errors import ArgumentError, HookError, suggest
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.evaluation import BETTER, EvalHook, Rule
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["EarlyStoppingHook"]


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Stops the run when a score of the evaluation has not got better for a while.

    The end of the run is saved as that of a full one would be; the best checkpoint is kept by
    the evaluation's ``save_best``.

    Args:
        monitor: Name of the score; None takes the first one.
        rule: Whether a greater or a smaller score is better; guessed from the name by default.
        min_delta: By how much a score has to be better to count.
        patience: Evaluations in a row that may pass without a better score; the next one stops the run.
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
        if rule not in (None, *BETTER):
            raise ArgumentError(
                f"rule is 'greater', 'less' or None, not {rule!r}.{suggest(str(rule), BETTER)}"
            )
        if patience < 0 or min_delta < 0:
            raise ArgumentError(
                f"patience and min_delta are not negative; they are {patience!r} and {min_delta!r}."
            )
        self.monitor = monitor
        self.rule = rule
        self.min_delta = min_delta
        self.patience = patience
        self.check_finite = check_finite
        self.stopping_threshold = stopping_threshold
        self.best: float | None = None
        self.waited = 0
        self._evaluation: EvalHook | None = None
        self._seen = 0

    def before_run(self, runner: RunnerView) -> None:
        """Find the evaluation whose scores are watched.

        Raises:
            HookError: There is none, or it comes after this hook.
        """
        found = next((hook for hook in runner.hooks if isinstance(hook, EvalHook)), None)
        if found is None:
            raise HookError("EarlyStoppingHook watches the scores of an evaluation, and this run has none.")
        if runner.hooks.index(found) > runner.hooks.index(self):
            raise HookError(
                "EarlyStoppingHook needs a priority after that of the evaluation, such as 'LOWEST'."
            )
        self._evaluation = found
        self._seen = found.evaluations

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Look at the scores of an evaluation at the end of the epoch."""
        self._look(runner)

    def after_train_iter(self, runner: RunnerView) -> None:
        """Look at those of an evaluation after the iteration."""
        self._look(runner)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and for how long there was no better one."""
        return {"best": self.best, "waited": self.waited, "seen": self._seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over."""
        self.best, self.waited, self._seen = state["best"], state["waited"], state["seen"]

    def _look(self, runner: RunnerView) -> None:
        evaluation = self._evaluation
        if evaluation is None or evaluation.evaluations == self._seen:
            return
        self._seen = evaluation.evaluations
        if not evaluation.scores:
            return
        name = self.monitor or next(iter(evaluation.scores))
        if name not in evaluation.scores:
            hint = suggest(name, evaluation.scores)
            raise HookError(
                f"EarlyStoppingHook watches {name!r}, but the scores are {', '.join(evaluation.scores)}.{hint}"
            )
        self.rule = self.rule or evaluation.guess_rule(name)
        why = self._reason(name, evaluation.scores[name])
        if why is not None:
            runner.stop(why)

    def _reason(self, name: str, score: float) -> str | None:
        """Return why the run is to end after this score, or None."""
        better = BETTER[self.rule or "greater"]
        if not math.isfinite(score):
            if self.check_finite:
                return f"{name} is {score}"
        elif self.stopping_threshold is not None and not better(self.stopping_threshold, score):
            return f"{name} is {score:.4f}, which is good enough ({self.stopping_threshold})"
        margin = self.min_delta if self.rule == "greater" else -self.min_delta
        if not math.isnan(score) and (self.best is None or better(score, self.best + margin)):
            self.best, self.waited = score, 0
            return None
        self.waited += 1
        if self.waited <= self.patience:
            return None
        best = "no score" if self.best is None else f"{self.best:.4f}"
        return f"{name} has not got better than {best} in {self.waited} evaluations"
