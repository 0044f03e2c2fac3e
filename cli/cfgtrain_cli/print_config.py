"""``cfgtrain print-config``: what a config comes to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cfgtrain.config.config import Config
from cfgtrain.config.overrides import split_key
from cfgtrain.errors import ConfigKeyError, suggest
from cfgtrain.fileio.io import dump
from cfgtrain_cli.command import CfgOptions
from cfgtrain_cli.loading import load_config


class Format(StrEnum):
    """How a config is printed."""

    py = "py"
    json = "json"
    yaml = "yaml"


def print_config(
    config: Annotated[Path, typer.Argument(help="A .py, .yaml or .json config.", show_default=False)],
    cfg_options: CfgOptions = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="Language to print in.")] = Format.py,  # noqa: A002
    key: Annotated[
        str | None, typer.Option("--key", "-k", help="Only this part, such as optimizer.lr.")
    ] = None,
) -> None:
    """Print a config with its bases merged in and the overrides applied."""
    cfg = load_config(config, cfg_options)
    print((cfg.dumps(format.value) if key is None else _part(cfg, key, format)).rstrip("\n"))


def _part(cfg: Config, key: str, format: Format) -> str:  # noqa: A002
    value = _look_up(cfg, key)
    if isinstance(value, dict):
        return Config(value).dumps(format.value)
    if format is Format.py:
        return repr(value)
    text = str(dump(Config({"value": value}).to_dict()["value"], file_format=format.value))
    return text.removesuffix("...\n")


def _look_up(cfg: Config, key: str) -> Any:
    value: Any = cfg._cfg_dict
    for part in split_key(key):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif (
            isinstance(value, (list, tuple))
            and part.lstrip("-").isdecimal()
            and -len(value) <= int(part) < len(value)
        ):
            value = value[int(part)]
        else:
            names = [str(name) for name in value] if isinstance(value, dict) else []
            raise ConfigKeyError(
                f"The config has no key {key!r}: {part!r} is not there.{suggest(part, names)}", key=key
            )
    return value
