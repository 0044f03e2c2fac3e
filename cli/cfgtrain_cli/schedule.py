"""``cfgtrain schedule``: learning rate and momentum over a run, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.experiment.work_dir import config_stem
from cfgtrain_cli.command import CfgOptions
from cfgtrain_cli.loading import import_custom_modules, load_config

if TYPE_CHECKING:
    from cfgtrain.preview import SchedulePreview
    from cfgtrain.visualization.curves import Line, Panel


def schedule(
    config: Annotated[Path, typer.Argument(help="A .py, .yaml or .json config.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Draw into a .png, .svg or .pdf file as well."),
    ] = None,
    iters_per_epoch: Annotated[
        int | None,
        typer.Option(min=1, help="Length of an epoch, so that the data is not looked at for it."),
    ] = None,
    cfg_options: CfgOptions = None,
) -> None:
    """Show how learning rate and momentum go over the whole run, without training."""
    cfg = load_config(config, cfg_options)
    from cfgtrain_cli.console import log_to_terminal  # loads rich, which other commands do without

    log_to_terminal()
    import_custom_modules(cfg)
    from cfgtrain.visualization.curves import Panel, check_picture, draw_panels

    if output is not None:
        check_picture(output)  # before anything is built
    from cfgtrain.preview import (
        preview_schedule,
    )  # loads torch, after everything that can be wrong without it

    preview = preview_schedule(cfg, iters_per_epoch)
    panels = [Panel("learning rate", preview.lr)]
    if any(len(set(line.values)) > 1 for line in preview.momentum) or len(preview.momentum) > 1:
        panels.append(Panel("momentum", preview.momentum))
    _print(config_stem(cfg), preview, panels)
    if output is not None:
        draw_panels(panels, output, config_stem(cfg), preview.iters_per_epoch)
        print(f"Drawn into {output}.")


def _print(name: str, preview: SchedulePreview, panels: list[Panel]) -> None:
    from rich.console import Console
    from rich.text import Text

    from cfgtrain_cli.plot import MOST, axis, legend, plot

    console = Console(highlight=False)
    width = min(console.width, 100)
    length = f"{preview.iters:,} iterations"
    if preview.iters_per_epoch is not None:
        epochs = preview.iters // preview.iters_per_epoch
        length = f"{epochs:,} epochs of {preview.iters_per_epoch:,} iterations: {length}"
    lines = [Text.assemble((name, "bold"), f": {length}")]
    for panel in panels:
        lines += [Text(), *plot(panel, width, 10, preview.iters - 1)]
        lines.append(axis(width, _ticks(preview.iters, 1), "iteration"))
        if preview.iters_per_epoch is not None:
            lines.append(axis(width, _ticks(preview.iters, preview.iters_per_epoch), "epoch"))
        count = len(panel.lines)
        lines += [legend(line, i, count, _course(line)) for i, line in enumerate(panel.lines[:MOST])]
        if count > MOST:
            lines.append(Text(f"and {count - MOST} more courses, not shown", style="dim"))
    if len(panels) == 1:
        lines.append(Text(f"\nmomentum: {_course(preview.momentum[0])}"))
    if preview.follows_scores:
        lines.append(
            Text("\nThe learning rate also follows the scores, which are not known before the training.")
        )
    for line in lines:
        console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _ticks(iters: int, unit: int) -> list[tuple[float, str]]:
    """Return up to six round counts of ``unit`` iterations, with their places from 0 to 1."""
    count = iters / unit
    step = next(n for e in range(12) for f in (1, 2, 5) if count / (n := f * 10**e) <= 6)
    return [
        (i * step * unit / max(iters - 1, 1), f"{i * step:,}") for i in range(int((count - 1e-9) // step) + 1)
    ]


def _course(line: Line) -> str:
    """Say where a line begins, turns furthest and ends."""
    values, at = line.values, line.at
    if len(set(values)) == 1:
        return f"{values[0]:.6g} throughout"
    last = len(values) - 1
    turns = [values.index(v) for v in (max(values), min(values)) if v not in (values[0], values[last])]
    told = [f"{values[i]:.4g} (iteration {at[i] + 1:,})" for i in sorted(turns)]
    return " → ".join([f"{values[0]:.4g}", *told, f"{values[last]:.4g}"])
