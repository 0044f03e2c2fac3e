"""Suggestions for misspelled names, and small helpers for words in messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["close_names", "listed", "one_of", "printable", "suggest", "with_article"]

# Control characters except tab and newline, and characters that change the direction of the text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def close_names(word: str, names: Iterable[str], count: int = 3, cutoff: float = 0.6) -> list[str]:
    """Return up to ``count`` of ``names`` that look like ``word`` or begin with it, ignoring case.

    The most similar come first; ``cutoff``, from 0 to 1, is the least similarity.
    """
    from difflib import get_close_matches  # only errors need it

    word = word.lower()
    by_lower: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        by_lower.setdefault(name.lower(), []).append(name)
    begun = sorted(lower for lower in by_lower if lower.startswith(word)) if len(word) > 2 else []
    found = dict.fromkeys([*get_close_matches(word, by_lower, count, cutoff), *begun])
    return [name for lower in found for name in by_lower[lower]][:count]


def suggest(word: str, names: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the names most similar to ``word``, or ``""``."""
    close = close_names(word, names)
    return f" Did you mean {one_of(close)}?" if close else ""


def one_of(names: Sequence[object]) -> str:
    """Return ``"'a', 'b' or 'c'"``."""
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def listed(names: Iterable[object], most: int = 5) -> str:
    """Return the first names and the number of the others: ``"'a', 'b' and 3 more"``; without names ``"none"``."""
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - most:,} more" if len(quoted) > most else ""
    return (", ".join(quoted[:most]) or "none") + more


def printable(text: str) -> str:
    """Return a text with control characters written as in ``repr``.

    A message may quote the content or name of a file, which must not control the terminal.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def with_article(word: str) -> str:
    """Return ``"a str"``, ``"an int"``."""
    return f"{'an' if word[:1].lower() in set('aeio') else 'a'} {word}"
