"""``cfgtrain hooks``: which hooks a training has, at which stages, in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfgtrain_cli.command import CfgOptions
from cfgtrain_cli.loading import import_custom_modules, load_config


def hooks(
    config: Annotated[Path, typer.Argument(help="A .py, .yaml or .json config.", show_default=False)],
    cfg_options: CfgOptions = None,
) -> None:
    """Print the hooks of a training by stage and priority, without running it."""
    cfg = load_config(config, cfg_options)
    from cfgtrain_cli.console import log_to_terminal  # loads rich, which other commands do without

    log_to_terminal()
    import_custom_modules(cfg)
    from cfgtrain.preview import preview_hooks  # loads torch, after everything that can be wrong without it

    print(preview_hooks(cfg))
