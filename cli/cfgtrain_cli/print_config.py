"""``cfgtrain print-config``: a config with its bases and overrides merged in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from cfgtrain.config.config import Config
from cfgtrain.config.dump import config_text
from cfgtrain.config.key_paths import KeyPath, NoSuchKeyError, follow, split_key
from cfgtrain.errors import ConfigKeyError
from cfgtrain_cli import origins
from cfgtrain_cli.choices import choice_option
from cfgtrain_cli.console import echo
from cfgtrain_cli.loading import load_config
from cfgtrain_cli.options import CfgOptions, Compat, ConfigFile


class Format(StrEnum):
    """The format that a config is printed in."""

    py = "py"
    json = "json"
    yaml = "yaml"


# Options that make the output readable: the order of the config and its own script are kept.
_LAYOUT: dict[Format, dict[str, Any]] = {
    Format.json: {"indent": 4, "ensure_ascii": False},
    Format.yaml: {"sort_keys": False, "allow_unicode": True},
}


def print_config(
    config: ConfigFile,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
    format: Annotated[Format, choice_option(Format, "--format", "-f", help="Output format.")] = Format.py,  # noqa: A002
    key: Annotated[
        str | None,
        typer.Option("--key", "-k", metavar="KEY", help="Print only this part, such as optimizer.lr."),
    ] = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Show the file and line that set each value.")
    ] = False,
    why: Annotated[
        str | None,
        typer.Option(
            "--why",
            metavar="KEY",
            help="Explain one value: what set it, what it replaced, and which changes do not affect it.",
        ),
    ] = None,
) -> None:
    """Print a config with its base configs and overrides merged in."""
    cfg = load_config(config, cfg_options)
    if why is not None:
        _check_alone("--why", key and "--key", origin and "--origin", format is not Format.py and "--format")
        echo(origins.why(cfg, why))
        return
    path, value = ((), cfg._cfg_dict) if key is None else _look_up(cfg, key)
    if not origin:
        echo(_text(value, format, path).rstrip("\n"))
    elif format is Format.py:
        echo(origins.config_with_origins(cfg, path))
    elif format is Format.json:
        echo(origins.origins_as_json(cfg, path))
    else:
        raise typer.BadParameter("--origin supports the formats py and json, not yaml.")


def _check_alone(option: str, *others: str | bool | None) -> None:
    """Raise if ``option`` is combined with options that do not apply to it."""
    given = [str(other) for other in others if other]
    if given:
        raise typer.BadParameter(f"{option} cannot be combined with {' and '.join(given)}.")


def _text(value: Any, format: Format, path: KeyPath) -> str:  # noqa: A002
    if format is Format.py and not isinstance(value, dict):
        return repr(value)
    return config_text(value, format.value, path, **_LAYOUT.get(format, {})).removesuffix("...\n")


def _look_up(cfg: Config, key: str) -> tuple[KeyPath, Any]:
    """Return the path and the value of a key."""
    try:
        steps = list(follow(cfg._cfg_dict, split_key(key)))
        return tuple(part for part, _ in steps), steps[-1][1]
    except NoSuchKeyError as missing:
        raise ConfigKeyError(
            f"The config has no key {key!r}: {missing.part!r} does not exist.",
            hint=missing.hint(),
            key=key,
        ) from None
