"""Whether a greater or a smaller value of a score is better, judging by the name of the score."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal

from cfgtrain.errors import ArgumentError

__all__ = ["COMPARE", "GREATER_KEYS", "LESS_KEYS", "Rule", "guess_rule", "is_number"]

Rule = Literal["greater", "less"]

# By rule, whether the first score is better than the second.
COMPARE: dict[str, Callable[[float, float], bool]] = {"greater": operator.gt, "less": operator.lt}

# Names, or parts of names, of scores for which greater or smaller values are better.
GREATER_KEYS = ("acc", "top", "AR@", "auc", "precision", "mAP", "mDice", "mIoU", "mAcc", "aAcc")
LESS_KEYS = ("loss", "mae", "mse", "perplexity")


def guess_rule(
    name: str, greater_keys: Sequence[str] = GREATER_KEYS, less_keys: Sequence[str] = LESS_KEYS
) -> Rule:
    """Return whether greater or smaller values of a score are better, judging by its name.

    Equal names take precedence over parts of names, and ``greater_keys`` over ``less_keys``.

    Raises:
        ArgumentError: The name matches no key.
    """
    greater, less = ([key.lower() for key in keys] for keys in (greater_keys, less_keys))
    lower = name.lower()
    if lower in greater or (lower not in less and any(key in lower for key in greater)):
        return "greater"
    if lower in less or any(key in lower for key in less):
        return "less"
    raise ArgumentError(
        f"Whether a greater {name!r} is better cannot be guessed: set rule='greater' or 'less'.",
        argument="rule",
    )


def is_number(score: Any) -> bool:
    """Return whether a score can be compared; it may be infinite or NaN."""
    return isinstance(score, Real)
