"""Options whose value is one of some words."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer

from cfgtrain.suggestions import one_of, suggest


def choice_option(kind: type[StrEnum], *names: str, help: str) -> Any:  # noqa: A002
    """Return a ``typer.Option`` whose value is a member of an enum; its error suggests the word that was meant.

    Args:
        kind: The enum.
        names: Names of the option, such as ``--format`` and ``-f``.
        help: Help text of the option.
    """
    words = [str(each) for each in kind]
    return typer.Option(
        *names,
        parser=_parser(kind, words),
        metavar=f"[{'|'.join(words)}]",
        autocompletion=lambda incomplete: [word for word in words if word.startswith(incomplete)],
        help=help,
    )


def _parser(kind: type[StrEnum], words: list[str]) -> Callable[[str], StrEnum]:
    def parse(word: str) -> StrEnum:
        if word not in words:
            raise typer.BadParameter(f"It must be {one_of(words)}, not {word!r}.{suggest(word, words)}")
        return kind(word)

    return parse
