"""``cfgtrain schedule``: the learning rate and momentum of a training run, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.experiment.work_dir import config_stem
from cfgtrain_cli.console import echo
from cfgtrain_cli.loading import load_project
from cfgtrain_cli.options import CfgOptions, Compat, ConfigFile

if TYPE_CHECKING:
    from cfgtrain.preview import SchedulePreview
    from cfgtrain.visualization.curves import Line, Panel


def schedule(
    config: ConfigFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Also save the plot as a .png, .svg or .pdf file."
        ),
    ] = None,
    iters_per_epoch: Annotated[
        int | None,
        typer.Option(min=1, help="Length of an epoch. \\[default: computed from the dataset]"),
    ] = None,
    cfg_options: CfgOptions = None,
    compat: Compat = None,
) -> None:
    """Plot the learning rate and momentum of a training run, without training."""
    cfg = load_project(config, cfg_options)
    from cfgtrain.visualization.curves import Panel, check_picture, draw_panels

    if output is not None:
        check_picture(output)  # report a wrong file name before anything is built
    from cfgtrain.preview import preview_schedule  # imports torch

    preview = preview_schedule(cfg, iters_per_epoch)
    panels = [Panel("learning rate", preview.lr)]
    if any(len(set(line.values)) > 1 for line in preview.momentum) or len(preview.momentum) > 1:
        panels.append(Panel("momentum", preview.momentum))
    _print(config_stem(cfg), preview, panels)
    if output is not None:
        draw_panels(panels, output, config_stem(cfg), preview.iters_per_epoch)
        echo(f"Saved the plot to {output}.")


def _print(name: str, preview: SchedulePreview, panels: list[Panel]) -> None:
    from rich.console import Console
    from rich.text import Text

    from cfgtrain_cli.terminal_plot import MAX_LINES, axis, legend, plot, print_lines, ticks

    width = min(Console().width, 100)
    length = f"{preview.iters:,} iterations"
    if preview.iters_per_epoch is not None:
        epochs = preview.iters // preview.iters_per_epoch
        length = f"{epochs:,} epochs of {preview.iters_per_epoch:,} iterations: {length}"
    lines = [Text.assemble((name, "bold"), f": {length}")]
    for panel in panels:
        lines += [Text(), *plot(panel, width, 10, preview.iters - 1)]
        lines.append(axis(width, ticks(preview.iters, 1), "iteration"))
        if preview.iters_per_epoch is not None:
            lines.append(axis(width, ticks(preview.iters, preview.iters_per_epoch), "epoch"))
        count = len(panel.lines)
        lines += [legend(line, i, count, _describe(line)) for i, line in enumerate(panel.lines[:MAX_LINES])]
        if count > MAX_LINES:
            lines.append(Text(f"and {count - MAX_LINES} more lines, not shown", style="dim"))
    if len(panels) == 1:
        lines.append(Text(f"\nmomentum: {_describe(preview.momentum[0])}"))
    if preview.follows_scores:
        lines.append(
            Text("\nThe learning rate also depends on validation scores, which are unknown before training.")
        )
    print_lines(lines)


def _describe(line: Line) -> str:
    """Return the first, the extreme and the last value of a line, as text."""
    values, at = line.values, line.at
    if len(set(values)) == 1:
        return f"{values[0]:.6g} constant"
    last = len(values) - 1
    turns = [values.index(v) for v in (max(values), min(values)) if v not in (values[0], values[last])]
    extremes = [f"{values[i]:.4g} (iteration {at[i] + 1:,})" for i in sorted(turns)]
    return " → ".join([f"{values[0]:.4g}", *extremes, f"{values[last]:.4g}"])
