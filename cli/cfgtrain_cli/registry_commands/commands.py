"""The commands ``cfgtrain list`` and ``cfgtrain show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgtrain_cli.console import print_json
from cfgtrain_cli.loading import load_project
from cfgtrain_cli.options import CfgOptions, Compat

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Also import the custom_imports of this config."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_names(
    registry: Annotated[
        str | None,
        typer.Argument(
            help="Name of a registry, such as hook. \\[default: list the registries]", show_default=False
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Argument(help="Part of a name, or a glob such as 'Res*'. Case is ignored.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
    as_json: AsJson = False,
) -> None:
    """List the registries, or the names in one of them.

    A word that is not a registry is searched for in all registries, for example:
    cfgtrain list resize
    """
    _import_project(config, cfg_options)
    from cfgtrain_cli.registry_commands import catalog, report  # imports torch

    if registry is None:
        found = catalog.registries()
        if as_json:
            print_json([catalog.describe_registry(each) for each in found])
        else:
            report.print_registries(found)
    else:
        entries = catalog.search(registry, pattern)
        if as_json:
            print_json([catalog.describe_entry(entry) for entry in entries])
        else:
            report.print_entries(entries)


def show(
    name: Annotated[
        str, typer.Argument(help="Registered name, scope.name or import path.", show_default=False)
    ],
    config: ConfigOption = None,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
    as_json: AsJson = False,
) -> None:
    """Show the arguments, documentation, source and config snippet of a name."""
    _import_project(config, cfg_options)
    from cfgtrain_cli.registry_commands import catalog, report  # imports torch
    from cfgtrain_cli.registry_commands.snippet import snippet

    entries = catalog.find(name)
    if as_json:
        print_json([{**catalog.describe_entry(entry), "config": snippet(entry)} for entry in entries])
    else:
        report.print_details(entries)


def _import_project(config: Path | None, cfg_options: list[str] | None) -> None:
    if config is not None:
        load_project(config, cfg_options)
    elif cfg_options:
        raise typer.BadParameter("--cfg-options needs a config: add --config FILE.")
