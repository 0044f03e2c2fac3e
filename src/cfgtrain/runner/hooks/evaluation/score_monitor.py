"""The newest score of the evaluation, for hooks that act on it."""

from __future__ import annotations

from typing import NamedTuple

from cfgtrain.arguments import check_choice
from cfgtrain.errors import HookError
from cfgtrain.evaluation.score_rules import COMPARE, Rule
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["Score", "ScoreMonitor"]


class Score(NamedTuple):
    """A score of an evaluation.

    Attributes:
        name: Name of the score.
        value: Its value; it may be infinite or NaN.
        rule: Whether greater or smaller values are better.
    """

    name: str
    value: float
    rule: Rule


class ScoreMonitor:
    """Returns each new score of the evaluation of a run to a hook once.

    Args:
        owner: Who uses the score, for messages.
        monitor: Name of the score; None is the score of ``save_best`` of the evaluation, or else
            its first one.
        rule: Whether greater or smaller values are better; None is the rule of the evaluation for
            that score, or guesses from the name.

    Attributes:
        evaluation: The evaluation of the run, after ``begin``.
        seen: Number of evaluations at the last call of ``newest``; it is saved with the run.
    """

    def __init__(self, owner: str, monitor: str | None = None, rule: Rule | None = None) -> None:
        check_choice("rule", rule, (*COMPARE, None))
        self.owner, self.monitor, self.rule = owner, monitor, rule
        self.evaluation: EvalHook | None = None
        self.seen = 0

    def begin(self, runner: RunnerView) -> None:
        """Find the evaluation of a run before it starts.

        Raises:
            HookError: There is no evaluation, or it has no such score, as far as that is known.
        """
        self.evaluation = next((hook for hook in runner.hooks if isinstance(hook, EvalHook)), None)
        self.check(self.evaluation)

    def check(self, evaluation: EvalHook | None) -> None:
        """Raise if there is no evaluation, or if it is known to have no such score.

        Raises:
            HookError: There is no evaluation, or no such score.
            ArgumentError: The rule cannot be guessed from the name.
        """
        if evaluation is None:
            raise HookError(f"{self.owner} uses the scores of the evaluation, but there is no evaluation.")
        evaluation.check_score(self.monitor, self.rule, self.owner)

    def newest(self) -> Score | None:
        """Return the score of the newest evaluation, or None if it was returned before or has no scores.

        Raises:
            HookError: The evaluation has no such score, or it is not a number.
        """
        evaluation = self.evaluation
        if evaluation is None or evaluation.evaluations == self.seen:
            return None
        self.seen = evaluation.evaluations
        scores = evaluation.newest or {**evaluation.scores, **evaluation.losses}
        if not scores:
            return None
        name, rule = evaluation.score_rules.select(scores, self.monitor, self.rule, self.owner)
        return Score(name, float(scores[name]), rule)
