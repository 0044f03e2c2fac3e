"""``cfgtrain hooks``: the hooks of a training run, by stage and priority."""

from __future__ import annotations

from cfgtrain_cli.console import echo
from cfgtrain_cli.loading import load_project
from cfgtrain_cli.options import CfgOptions, Compat, ConfigFile


def hooks(config: ConfigFile, cfg_options: CfgOptions = None, compat: Compat = None) -> None:
    """List the hooks of a training run by stage and priority, without training."""
    cfg = load_project(config, cfg_options)
    from cfgtrain.preview import preview_hooks  # imports torch; mistakes in the config are reported first

    echo(preview_hooks(cfg))
