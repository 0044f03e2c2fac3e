"""The words of ``cfgtrain list`` and ``cfgtrain show``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from cfgtrain_cli.command import CfgOptions
from cfgtrain_cli.loading import import_custom_modules, load_config

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Also what the custom_imports of this config register."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_names(
    registry: Annotated[
        str | None,
        typer.Argument(help="Such as hook or pipelines; without it, all registries.", show_default=False),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Argument(help="Such as 'Res*' or a part of a name; case does not matter.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    cfg_options: CfgOptions = None,
    as_json: AsJson = False,
) -> None:
    """List the registries, or the names in one of them that a type= may be.

    A word that is no registry is looked for in all of them: cfgtrain list resize
    """
    _import_project(config, cfg_options)
    from cfgtrain_cli.registry_commands import (  # loads torch, after everything that can be wrong without it
        catalog,
        report,
    )

    if registry is None:
        found = catalog.registries()
        _print_json(map(catalog.registry_facts, found)) if as_json else report.print_registries(found)
    else:
        entries = catalog.search(registry, pattern)
        _print_json(map(catalog.entry_facts, entries)) if as_json else report.print_entries(entries)


def show(
    name: Annotated[
        str, typer.Argument(help="A registered name, scope.name or import path.", show_default=False)
    ],
    config: ConfigFile = None,
    cfg_options: CfgOptions = None,
    as_json: AsJson = False,
) -> None:
    """Show what a type= stands for: its arguments, documentation, file, and how a config says it."""
    _import_project(config, cfg_options)
    from cfgtrain_cli.registry_commands import (  # loads torch, after everything that can be wrong without it
        catalog,
        report,
    )
    from cfgtrain_cli.registry_commands.snippet import snippet

    entries = catalog.find(name)
    if as_json:
        _print_json({**catalog.entry_facts(entry), "config": snippet(entry)} for entry in entries)
    else:
        report.print_details(entries)


def _print_json(items: Iterable[object]) -> None:
    print(json.dumps(list(items), indent=2, ensure_ascii=False))


def _import_project(config: Path | None, cfg_options: list[str] | None) -> None:
    if config is not None:
        import_custom_modules(load_config(config, cfg_options))
    elif cfg_options:
        raise typer.BadParameter("There is no config to override: it is named by --config.")
