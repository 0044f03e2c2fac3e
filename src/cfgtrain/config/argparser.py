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
    """Return the path of the config in ``sys.argv``, and a parser with that path as its positional argument.

    The config is the first argument with the extension of a config. Options and their values may
    come before it.
    """
    # A key may be "help".
    parser = argparse.ArgumentParser(description=description, conflict_handler="resolve")
    parser.add_argument(CONFIG, help="path of the config")
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    named = [word for word in words if word.endswith(SUFFIXES)]
    if not named:
        named = [parser.parse_args(sys.argv[1:]).config]  # exits for --help and if there is no config
    return named[0], parser


def add_args(
    parser: argparse.ArgumentParser, cfg: Mapping[str, Any], prefix: str = ""
) -> argparse.ArgumentParser:
    """Add an option such as ``--optimizer.lr`` for every leaf of a config, and return the parser.

    The type is that of the leaf: a bool gets ``--key`` and ``--no-key``, and a list takes one or more
    arguments of the type of its first item. If the leaf has no type (None, an empty list), the argument is
    parsed like a value of ``--cfg-options``. An option that is not given sets nothing in the namespace.
    A key that cannot be written as a dotted key, such as one that contains a dot, gets no option.
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
    """Return the arguments of ``add_argument`` for an option with values like this one."""
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
