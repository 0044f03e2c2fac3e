"""A command line with one option per leaf of a config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from cfgtrain.config.bases import SUFFIXES
from cfgtrain.config.key_paths import split_key
from cfgtrain.config.options import parse_value
from cfgtrain.errors import OptionError

CONFIG = "config"


def config_parser(description: str | None = None) -> tuple[str, argparse.ArgumentParser]:
    """Return the config that ``sys.argv`` names and a parser that takes it as its positional word.

    The config is the first word with the extension of one: options of it, and their values,
    may stand before.
    """
    parser = argparse.ArgumentParser(
        description=description, conflict_handler="resolve"
    )  # a key may be "help"
    parser.add_argument(CONFIG, help="path of the config")
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    named = [word for word in words if word.endswith(SUFFIXES)]
    if not named:
        named = [parser.parse_args(sys.argv[1:]).config]  # or the end: --help, or no config at all
    return named[0], parser


def add_args(
    parser: argparse.ArgumentParser, cfg: Mapping[str, Any], prefix: str = ""
) -> argparse.ArgumentParser:
    """Add an option such as ``--optimizer.lr`` for every leaf of a config, and return the parser.

    The type is that of the leaf: a bool has ``--key`` and ``--no-key``, a list takes one word or more of the type
    of its first item, and what has no type of its own (None, an empty list) reads as ``--cfg-options`` does.
    An option that is not given sets nothing in the namespace. A key that dotted keys do not reach
    (it holds a dot, say) has no option.
    """
    for key, value in cfg.items():
        if split_key(str(key)) != [key]:
            continue
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            add_args(parser, value, f"{name}.")
        elif name != CONFIG:
            parser.add_argument(f"--{name}", **_settings(value), dest=name, default=argparse.SUPPRESS)
    return parser


def _settings(value: Any) -> dict[str, Any]:
    """Return how argparse is to read a value like this one."""
    if isinstance(value, bool):
        return {"action": argparse.BooleanOptionalAction}
    kind = type(value)
    if kind in (str, int, float):
        return {"type": kind, "metavar": kind.__name__.upper()}
    if kind in (list, tuple) and value and type(value[0]) in (str, int, float):
        item = type(value[0])
        return {"type": item, "metavar": item.__name__.upper(), "nargs": "+"}
    return {"type": _any, "metavar": "VALUE"}


def _any(word: str) -> object:
    try:
        return parse_value(word)
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
