"""The score of the evaluation that a hook goes by."""

from __future__ import annotations

from typing import NamedTuple

from cfgtrain.arguments import check_choice
from cfgtrain.errors import HookError
from cfgtrain.runner.hooks.evaluation.eval_hook import BETTER, EvalHook, Rule
from cfgtrain.runner.protocol import RunnerView

__all__ = ["Score", "ScoreWatch"]


class Score(NamedTuple):
    """What an evaluation came to.

    Attributes:
        name: Of the score.
        value: May be infinite, or not a number.
        rule: Whether a greater or a less value is better.
    """

    name: str
    value: float
    rule: Rule


class ScoreWatch:
    """Hands each new score of the run's evaluation to a hook, once.

    Args:
        who: What goes by the score, as messages name it.
        monitor: Name of the score; None is the one that the evaluation keeps the best of, or
            else its first.
        rule: Whether a greater or a smaller one is better; None goes by the evaluation's rule for
            that score, or guesses from the name.

    Attributes:
        evaluation: Of the run, once it has begun.
        seen: How many evaluations there were when it was last asked; to be saved with the run.
    """

    def __init__(self, who: str, monitor: str | None = None, rule: Rule | None = None) -> None:
        check_choice("rule", rule, (*BETTER, None))
        self.who, self.monitor, self.rule = who, monitor, rule
        self.evaluation: EvalHook | None = None
        self.seen = 0

    def begin(self, runner: RunnerView) -> None:
        """Find the evaluation; to be called before the run.

        Raises:
            HookError: There is none, or it is known to have no such score.
        """
        self.evaluation = next((hook for hook in runner.hooks if isinstance(hook, EvalHook)), None)
        self.check(self.evaluation)

    def check(self, evaluation: EvalHook | None) -> None:
        """Refuse to go by nothing, or by a score that the evaluation is known to do without.

        Raises:
            HookError: There is no evaluation, or no such score.
            ArgumentError: Whether a greater one is better cannot be guessed.
        """
        if evaluation is None:
            raise HookError(f"{self.who} goes by the scores of the evaluation, and there is no evaluation.")
        names = evaluation.score_names()
        if names is not None:
            evaluation.choose(names, self.monitor, self.rule, self.who)

    def newest(self) -> Score | None:
        """Return the score of the newest evaluation, unless it is known already or brought no scores.

        Raises:
            HookError: The evaluation has no such score.
        """
        evaluation = self.evaluation
        if evaluation is None or evaluation.evaluations == self.seen:
            return None
        self.seen = evaluation.evaluations
        if not evaluation.scores:
            return None
        name, rule = evaluation.choose(evaluation.scores, self.monitor, self.rule, self.who)
        return Score(name, evaluation.scores[name], rule)
