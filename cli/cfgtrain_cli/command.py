"""How ``--cfg-options a=1 b=2`` is taken apart, for every command that reads a config."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

FLAG = "--cfg-options"

CfgOptions = Annotated[
    list[str] | None,
    typer.Option(
        FLAG,
        metavar="KEY=VALUE...",
        help="Override values, such as [b]optimizer.lr=0.02 data.train.pipeline\\[0].scale=(16,16)[/b]; "
        "[b]+key=value[/b] adds a new key.",
    ),
]


class ConfigCommand(TyperCommand):
    """A command whose ``--cfg-options`` takes any number of words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the flag before each of its words, which is what the parser understands."""
        return super().parse_args(ctx, spread(list(args)))


def spread(words: list[str]) -> list[str]:
    """Turn ``--cfg-options a=1 b=2`` into ``--cfg-options a=1 --cfg-options b=2``.

    A word belongs to the flag while it holds a ``=`` and is no option itself; ``--`` ends
    everything.

    Raises:
        BadParameter: The flag is followed by nothing that it could take.
    """
    out: list[str] = []
    rest = iter(range(len(words)))
    for i in rest:
        if words[i] == "--":
            return out + words[i:]
        name, has_value, first = words[i].partition("=")
        if name != FLAG:
            out.append(words[i])
            continue
        values = [first] if has_value else []
        while i + 1 < len(words) and "=" in words[i + 1] and not words[i + 1].startswith("-"):
            i = next(rest)
            values.append(words[i])
        if not values:
            follows = f", not by {words[i + 1]!r}" if i + 1 < len(words) else ""
            raise typer.BadParameter(
                f"{FLAG} is followed by KEY=VALUE words{follows}, such as optimizer.lr=0.02."
            )
        out += [word for value in values for word in (FLAG, value)]
    return out
