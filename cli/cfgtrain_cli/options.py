"""Arguments and options that several commands share, and the parsing of ``--cfg-options a=1 b=2``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

FLAG = "--cfg-options"

ConfigFile = Annotated[
    Path, typer.Argument(help="Config file (.py, .yaml, .yml or .json).", show_default=False)
]
CfgOptions = Annotated[
    list[str] | None,
    typer.Option(
        FLAG,
        metavar="KEY=VALUE...",
        help="Override config values, such as [b]optimizer.lr=0.02 lr_config.step=\\[8,11][/b]. "
        "[b]+key=value[/b] adds a new key.",
    ),
]

COMPAT = "--compat"
TOOLKITS = ("mmcv",)  # the packages in cfgtrain.compat that can be imported for a command


def _import_alias(name: str | None) -> str | None:
    """Import the alias of a toolkit before anything else, so that the config can import it too."""
    if name is not None:
        if name not in TOOLKITS:
            raise typer.BadParameter(f"It must be {', '.join(TOOLKITS)}, not {name!r}.")
        import_module(f"cfgtrain.compat.{name}")
    return name


Compat = Annotated[
    str | None,
    typer.Option(
        COMPAT,
        metavar="mmcv",
        callback=_import_alias,
        is_eager=True,
        help="Let [b]import mmcv[/b] import cfgtrain, for configs and code that were written for MMCV 1.x.",
    ),
]

Device = Annotated[str | None, typer.Option(help="Device, such as cpu or cuda:0. \\[default: auto]")]
TrustCheckpoint = Annotated[
    bool,
    typer.Option(
        "--trust-checkpoint",
        help="Load a checkpoint that contains more than weights and plain data. "
        "It can run any code, so only use it for files whose origin you trust.",
    ),
]


class ConfigCommand(TyperCommand):
    """A command whose ``--cfg-options`` takes any number of words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the flag before each of its words, as the parser expects."""
        return super().parse_args(ctx, repeat_flag(list(args)))


def repeat_flag(words: list[str]) -> list[str]:
    """Turn ``--cfg-options a=1 b=2`` into ``--cfg-options a=1 --cfg-options b=2``.

    A word belongs to the flag if it contains a ``=`` and does not begin with ``-``. Words after
    ``--`` are not changed.

    Raises:
        BadParameter: The flag is not followed by a ``KEY=VALUE`` word.
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
            got = f", not {words[i + 1]!r}" if i + 1 < len(words) else ""
            raise typer.BadParameter(f"{FLAG} needs KEY=VALUE, such as optimizer.lr=0.02{got}.")
        out += [word for value in values for word in (FLAG, value)]
    return out


def repeat_words(words: Sequence[str], flag: str, ends: Callable[[str], bool], missing: str) -> Iterator[str]:
    """Yield the words with ``--keys a b`` as ``--keys a --keys b``.

    Args:
        words: The arguments of a command.
        flag: The option that takes several words, such as ``--keys``. Another option ends them.
        ends: Returns whether a word after the first one is not one of them.
        missing: Message for an option without words.

    Raises:
        BadParameter: The option is not followed by a word.
    """
    is_inside = False
    for i, word in enumerate(words):
        if word == "--":
            yield from words[i:]
            return
        if word == flag:
            if i + 1 == len(words) or words[i + 1].startswith("-"):
                raise typer.BadParameter(missing)
            is_inside = True
            continue
        is_inside = is_inside and not word.startswith("-") and (words[i - 1] == flag or not ends(word))
        yield from (flag, word) if is_inside else (word,)
