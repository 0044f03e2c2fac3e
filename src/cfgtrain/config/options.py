r"""The KEY=VALUE words of the command line, such as ``optimizer.lr=0.02``.

    word    key "=" value        split at the first "="; "+key" adds a new key
    value   piece                one value
            piece "," pieces     a list: a,b  1,  ,1
    piece   'text'  "text"       a string; \\ and \' (or \") are the escapes
            [pieces]  (pieces)   a list, a tuple: (1) and (1,) are the same tuple
            {key: piece, ...}    a dict; its keys are pieces too
            bare                 int, float, true/false in any case, None, else a string

Spaces around a piece are ignored, spaces inside a bare piece are kept. An empty piece between
two commas is the empty string; a trailing comma adds nothing. A piece that starts with a
bracket or a quote must end with the matching one. Elsewhere in a bare piece, brackets
and quotes are ordinary characters: ``f(a,b)[1]`` and ``it's`` are strings. But the brackets must
match, commas inside them do not split, and a quote at the end is an error.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from cfgtrain.errors import OptionError

# The parser makes three calls per level, so this is far from the limit of Python's stack.
MAX_DEPTH = 100

_CLOSERS = {"[": "]", "(": ")", "{": "}"}
_OPENERS = {closer: opener for opener, closer in _CLOSERS.items()}
_QUOTED = {quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}", re.DOTALL) for quote in "'\""}
_OR_QUOTE = ", or put quotes around the whole string"


class _BracketError(OptionError):
    """A bracket is not matched; ``DictAction`` does not catch this error."""


def parse_value(text: str) -> object:
    """Return the value of ``text``; the docstring of the module has the grammar.

    Raises:
        OptionError: A bracket or quote is not matched, or brackets nest deeper than MAX_DEPTH.
    """
    return _Reader(text).value()


def parse_options(words: Sequence[str]) -> dict[str, object]:
    """Return ``{key: value}`` of KEY=VALUE words, ordered by the last word for each key.

    A leading ``+`` is kept in the key. Keys are not split at dots: ``merge_from_dict`` does that.

    Raises:
        OptionError: A word has no ``=``, no key, or a value that cannot be parsed.
    """
    options: dict[str, object] = {}
    for word in words:
        _put_last(options, *_parse_word(word))
    return options


def typed_values(words: Sequence[str]) -> dict[str, str]:
    """Return the text after the ``=`` of KEY=VALUE words, by key; ``007`` stays ``007``."""
    return {key.strip(): text for key, _, text in (word.partition("=") for word in words)}


class DictAction(argparse.Action):
    """Collect KEY=VALUE words in one dict: ``add_argument("--options", nargs="+", action=DictAction)``.

    If the option is repeated, the words are added up; the default, if it is a dict, comes first.
    For words that cannot be parsed, ``parser.error`` is called. Only for unmatched brackets
    OptionError is raised, which is also the AssertionError that MMCV 1.x raises.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the words in ``values`` to those that ``namespace`` has already."""
        try:
            given = parse_options([values] if isinstance(values, str) else values or ())
        except _BracketError:
            raise
        except OptionError as error:
            raise argparse.ArgumentError(self, str(error)) from error  # the parser calls its error()
        before = getattr(namespace, self.dest, None)
        options: dict[str, object] = dict(before) if isinstance(before, Mapping) else {}
        for key, value in given.items():
            _put_last(options, key, value)
        setattr(namespace, self.dest, options)


def _put_last(options: dict[str, object], key: str, value: object) -> None:
    # Options are merged in the order of the dict, so the later word has to be the later item.
    options.pop(key, None)
    options[key] = value


def _parse_word(word: str) -> tuple[str, object]:
    key, equals, _ = word.partition("=")
    if not equals:
        example = _short(f"{word.strip() or 'optimizer.lr'}=1")
        raise _error(word, 0, f"there is no '='. Write KEY=VALUE, such as {example}.")
    if not key.strip().removeprefix("+").strip():
        raise _error(word, 0, "there is no key before the '='. Write KEY=VALUE, such as 'optimizer.lr=1'.")
    return key.strip(), _Reader(word, len(key) + 1).value()


class _Reader:
    """Parses a value from left to right; ``at`` is the index in ``word`` of the next character."""

    def __init__(self, word: str, start: int = 0) -> None:
        self.word = word
        self.at = start
        self.depth = 0

    def value(self) -> object:
        """Parse to the end of the word."""
        first = self.piece(",")
        return [first, *self.items("")] if self.take(",") else first

    def items(self, closer: str) -> list[object]:
        """Parse pieces up to ``closer``, or to the end of the word if ``closer`` is empty."""
        found: list[object] = []
        while self.peek() not in ("", closer):
            found.append(self.piece("," + closer))
            if not self.take(","):
                break
        return found

    def pairs(self) -> dict[object, object]:
        """Parse ``key: piece`` pairs up to a closing brace."""
        found: dict[object, object] = {}
        while self.peek() not in ("", "}"):
            start = self.at
            key = self.piece(":,}")
            self.check_key(start, key)
            found[key] = self.piece(",}")
            if not self.take(","):
                break
        return found

    def check_key(self, start: int, key: object) -> None:
        """Check the dict key that began at ``start``, and step over the colon after it."""
        if self.at == start:
            raise self.wrong(start, "a key is missing here. Write {key: value}.")
        if not self.take(":") and self.at < len(self.word):
            raise self.wrong(start, f"there is no ':' after the key. Write {{key: value}}{_OR_QUOTE}.")
        try:
            hash(key)
        except TypeError:
            raise self.wrong(
                start, "a list or dict cannot be a key. Use a string, number or tuple."
            ) from None

    def piece(self, stops: str) -> object:
        """Parse one piece up to the end or to a character of ``stops``, which is not consumed."""
        opening, start = self.peek(), self.at
        if opening in _CLOSERS:
            value = self.bracketed(opening)
        elif opening in _QUOTED:
            value = self.quoted(opening)
        else:
            return _scalar(self.bare(stops))
        following = self.peek()
        if following in _OPENERS and following not in stops:
            raise self.unmatched_bracket()
        if following and following not in stops:
            before = _short(self.word[start : self.at])
            raise self.wrong(self.at, f"this follows {before} directly. Put a comma between them{_OR_QUOTE}.")
        return value

    def bracketed(self, opening: str) -> object:
        """Parse a list, tuple or dict."""
        start, closer = self.at, _CLOSERS[opening]
        self.at += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.wrong(
                start, f"brackets nest {self.depth} levels deep here. At most {MAX_DEPTH} are allowed."
            )
        value = self.pairs() if opening == "{" else self.items(closer)
        if not self.take(closer):
            raise self.unclosed(start)
        self.depth -= 1
        return tuple(value) if opening == "(" else value

    def quoted(self, quote: str) -> str:
        r"""Parse a string in quotes; a backslash that escapes nothing is kept: ``'C:\data'``."""
        match = _QUOTED[quote].match(self.word, self.at)
        if match is None:
            advice = (
                f"End the string with {quote}; inside, write \\{quote} for the quote and \\\\ for a backslash"
            )
            raise self.wrong(self.at, f"the quote is never closed. {advice}.")
        self.at = match.end()
        return re.sub(rf"\\([\\{quote}])", r"\1", match[1])

    def bare(self, stops: str) -> str:
        """Parse unquoted text; a stop inside brackets of the text is part of it."""
        start = self.at
        opened: list[int] = []
        while self.at < len(self.word) and (opened or self.word[self.at] not in stops):
            char = self.word[self.at]
            if char in _CLOSERS:
                opened.append(self.at)
            elif char in _OPENERS and (not opened or self.word[opened.pop()] != _OPENERS[char]):
                raise self.unmatched_bracket()
            self.at += 1
        if opened:
            raise self.unclosed(opened[-1])
        text = self.word[start : self.at].strip()
        if text[-1:] in _QUOTED:
            raise self.wrong(
                start, "the quote at the end has no opening quote. Put quotes around the whole string."
            )
        return text

    def peek(self) -> str:
        """Skip spaces and return the next character, or "" at the end."""
        while self.word[self.at : self.at + 1].isspace():
            self.at += 1
        return self.word[self.at : self.at + 1]

    def take(self, char: str) -> bool:
        """Step over ``char`` if it comes next."""
        if self.peek() != char:
            return False
        self.at += 1
        return True

    def unclosed(self, start: int) -> OptionError:
        opening = self.word[start]
        problem = f"the {opening!r} is never closed. Add {_CLOSERS[opening]!r}{_OR_QUOTE}."
        return self.wrong(start, problem, _BracketError)

    def unmatched_bracket(self) -> OptionError:
        closer = self.word[self.at]
        problem = f"the {closer!r} has no opening bracket. Remove it, add {_OPENERS[closer]!r}{_OR_QUOTE}."
        return self.wrong(self.at, problem, _BracketError)

    def wrong(self, at: int, problem: str, kind: type[OptionError] = OptionError) -> OptionError:
        return _error(self.word, at, problem, kind)


def _error(word: str, at: int, problem: str, kind: type[OptionError] = OptionError) -> OptionError:
    return kind(f"{_short(word[at:])} at column {at + 1}: {problem}", key=word)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _scalar(text: str) -> object:
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    words = {"true": True, "false": False}
    return None if text == "None" else words.get(text.lower(), text)
