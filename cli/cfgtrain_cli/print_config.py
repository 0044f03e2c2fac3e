"""``cfgtrain print-config``: what a config comes to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cfgtrain.config.config import Config
from cfgtrain.config.keys import NoSuchKeyError, look_up
from cfgtrain.errors import ConfigKeyError, ConfigValueError
from cfgtrain.fileio.io import dump
from cfgtrain_cli.command import CfgOptions
from cfgtrain_cli.loading import load_config


class Format(StrEnum):
    """How a config is printed."""

    py = "py"
    json = "json"
    yaml = "yaml"


# For people to read: in the order of the config, and in their own script.
_LAYOUT: dict[Format, dict[str, Any]] = {
    Format.json: {"indent": 4, "ensure_ascii": False},
    Format.yaml: {"sort_keys": False, "allow_unicode": True},
}


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
    value = cfg._cfg_dict if key is None else _look_up(cfg, key)
    print(_text(value, format, key).rstrip("\n"))


def _text(value: Any, format: Format, key: str | None) -> str:  # noqa: A002
    if format is Format.py:
        return Config(value).pretty_text if isinstance(value, dict) else repr(value)
    layout = _LAYOUT[format]
    plain = Config({"value": value}).to_dict()["value"]
    try:
        return str(dump(plain, file_format=format.value, **layout)).removesuffix("...\n")
    except (TypeError, ValueError) as error:
        raise ConfigValueError(f"{format.value} cannot hold this: {error}", key=key) from error


def _look_up(cfg: Config, key: str) -> Any:
    try:
        return look_up(cfg._cfg_dict, key)
    except NoSuchKeyError as missing:
        raise ConfigKeyError(
            f"The config has no key {key!r}: {missing.part!r} is not there.{missing.hint()}", key=key
        ) from None
