"""Which score of an evaluation counts, and whether a greater or a smaller value of it is better."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from cfgtrain.errors import HookError
from cfgtrain.introspection.signatures import short_repr
from cfgtrain.score_order import COMPARE, GREATER_KEYS, LESS_KEYS, Rule, guess_rule, is_number

__all__ = ["COMPARE", "GREATER_KEYS", "LESS_KEYS", "Rule", "ScoreRules"]


class ScoreRules:
    """Selects one of the scores of an evaluation, and knows which of its values are better.

    Args:
        name: Name of the main score; None or ``"auto"`` is the first one.
        rule: Whether greater or smaller values of the main score are better; None guesses from
            its name.
        greater_keys: Names, or parts of names, of scores for which greater values are better.
        less_keys: The same for smaller values.
        rule_of: Returns the rule of a score by its name, or None to guess it.
    """

    def __init__(
        self,
        name: str | None = None,
        rule: Rule | None = None,
        greater_keys: str | Sequence[str] = GREATER_KEYS,
        less_keys: str | Sequence[str] = LESS_KEYS,
        rule_of: Callable[[str], Rule | None] | None = None,
    ) -> None:
        self.name = name
        self.rule = rule
        self.greater_keys = _as_sequence(greater_keys)
        self.less_keys = _as_sequence(less_keys)
        self.rule_of = rule_of

    def select(
        self,
        scores: Mapping[str, Any] | Collection[str],
        name: str | None = None,
        rule: Rule | None = None,
        owner: str = "save_best",
    ) -> tuple[str, Rule]:
        """Return the name of a score and its rule.

        Args:
            scores: All scores by name, or only their names if the values are not known yet.
            name: Name of the wanted score; None is the main score.
            rule: Rule of the wanted score, if it is given.
            owner: Who needs the score, for messages.

        Raises:
            HookError: There is no score of that name, or it is not a number.
            ArgumentError: The rule cannot be guessed from the name.
        """
        others = {n: v for n, v in scores.items() if not is_number(v)} if isinstance(scores, Mapping) else {}
        names = [each for each in scores if each not in others]
        main = next(iter([*names, *others]), "") if self.name in (None, "auto") else str(self.name)
        selected = name or main
        if selected in others:
            raise HookError(
                f"{owner} uses the score {selected!r}, which is {short_repr(others[selected])}: it must be a number."
            )
        if selected not in names:
            listed = ", ".join(names) or "none"
            message = f"{owner} uses the score {selected!r}, and the scores are {listed}."
            raise HookError(message, near=(selected, list(names)))
        return selected, rule or (self.rule if selected == main else None) or self.guess_rule(selected)

    def guess_rule(self, name: str) -> Rule:
        """Return whether greater or smaller values of a score are better, judging by its name if it is not known.

        Raises:
            ArgumentError: The name matches no key; see ``cfgtrain.score_order.guess_rule``.
        """
        known = None if self.rule_of is None else self.rule_of(name)
        return known or guess_rule(name, self.greater_keys, self.less_keys)


def _as_sequence(keys: str | Sequence[str]) -> Sequence[str]:
    return (keys,) if isinstance(keys, str) else keys
