"""``cfgtrain plot``: the curves of training runs, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer
from typer.core import TyperCommand

from cfgtrain.errors import ArgumentError
from cfgtrain.experiment.history import Point, Run
from cfgtrain_cli.console import echo, print_json
from cfgtrain_cli.options import repeat_words
from cfgtrain_cli.runs import WorkDirs, place_text, read_runs, warn

if TYPE_CHECKING:
    from rich.text import Text

    from cfgtrain.visualization.curves import Panel

MODES = ("train", "val")
MAX_SCORES = 4  # that are plotted unless keys are given


class PlotCommand(TyperCommand):
    """A command whose ``--keys`` takes any number of words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the flag before each of its words, as the parser expects."""
        missing = "--keys needs the names of what was logged, such as loss accuracy."
        return super().parse_args(
            ctx, list(repeat_words(args, "--keys", lambda word: Path(word).is_dir(), missing))
        )


def plot(
    work_dirs: WorkDirs,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--keys",
            metavar="KEY...",
            help="What to plot, such as [b]loss val/accuracy lr[/b]. \\[default: the loss and the scores]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Also save the plot as a .png, .svg or .pdf file."
        ),
    ] = None,
    by: Annotated[Literal["iter", "epoch"], typer.Option(help="Unit of the horizontal axis.")] = "iter",
    smooth: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.999,
            help="Smooth training curves by an exponential moving average with this weight of the past.",
        ),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the curves as JSON.")] = False,
) -> None:
    """Plot the curves of one or several runs.

    The training is a line, the validation a line of its own.
    """
    runs = read_runs(work_dirs)
    selected = _selected(runs, keys)
    if by == "epoch":
        runs = _with_epochs(runs)
    curves = [each for key in selected for each in _curves(runs, key, smooth)]
    if as_json:
        print_json(_content(runs, curves))
        return
    from cfgtrain.visualization.curves import check_picture, draw_panels

    if output is not None:
        check_picture(output)
    panels = _panels(runs, curves, by)
    lengths = {run.iters_per_epoch for run in runs.values()}
    per_epoch = lengths.pop() if len(lengths) == 1 and by == "iter" else None
    _print(runs, panels, curves, by, per_epoch)
    if output is not None:
        unit = "iteration" if by == "iter" else "epoch"
        draw_panels(panels, output, next(iter(runs)) if len(runs) == 1 else "", per_epoch, unit)
        echo(f"Saved the plot to {output}.")


class _Curve(NamedTuple):
    key: str
    run: str
    mode: str
    points: list[Point]


def _selected(runs: Mapping[str, Run], keys: Sequence[str] | None) -> list[str]:
    """Return the keys to plot, which are all known."""
    logged = {
        mode: list(dict.fromkeys(key for run in runs.values() for key in run.keys(mode))) for mode in MODES
    }
    if not keys:
        scores = list(dict.fromkeys(key for run in runs.values() for key in run.scores()))
        losses = [key for key in logged["train"] if key == "loss"] or [
            key for key in logged["train"] if "loss" in key.lower()
        ]
        others = [key for key in scores if key not in losses]
        left_out = [*losses[MAX_SCORES:], *others[MAX_SCORES:]]
        if left_out:
            warn([f"Not plotted: {', '.join(left_out)}. Choose with --keys."])
        return [*losses[:MAX_SCORES], *others[:MAX_SCORES]] or logged["train"][:1]
    names = {f"{mode}/{key}" for mode in MODES for key in logged[mode]}
    for key in keys:
        if key not in names and not any(key in logged[mode] for mode in MODES):
            known = "; ".join(f"{mode}: {', '.join(logged[mode])}" for mode in MODES if logged[mode])
            near = (key, [*dict.fromkeys(each for mode in MODES for each in logged[mode]), *sorted(names)])
            raise ArgumentError(f"No run logs {key!r}. The keys are, in {known}.", near=near)
    return list(dict.fromkeys(keys))


def _with_epochs(runs: dict[str, Run]) -> dict[str, Run]:
    """Return the runs that count epochs."""
    kept = {label: run for label, run in runs.items() if run.epochs is not None}
    if not kept:
        raise ArgumentError("The length of an epoch is not in the logs: plot by iterations, --by iter.")
    warn([f"Left out: {label} has no epochs in its logs." for label in runs if label not in kept])
    return kept


def _curves(runs: Mapping[str, Run], key: str, smooth: float) -> Iterator[_Curve]:
    for label, run in runs.items():
        found = False
        for mode in MODES:
            name = key.removeprefix(f"{mode}/")
            points = run.points(mode, key) or (run.points(mode, name) if name != key else [])
            if points:
                found = True
                is_noisy = mode == "train" and not name.startswith(("lr", "momentum"))
                yield _Curve(key, label, mode, _smoothed(points, smooth) if is_noisy else points)
        if not found:
            warn([f"{label} logs no {key}."])


def _smoothed(points: list[Point], weight: float) -> list[Point]:
    """Return an exponential moving average of the values; those that are not finite stay as they are.

    It is s / (1 - weight**n), where s = weight * s + (1 - weight) * value begins at 0, and n is the
    number of values so far: without the division, the average would begin near 0.
    """
    smoothed, average, count = [], 0.0, 0
    for point in points:
        value = point.value
        if weight and isfinite(value):
            average, count = weight * average + (1 - weight) * value, count + 1
            value = average / (1 - weight**count)
        smoothed.append(point._replace(value=value))
    return smoothed


def _content(runs: Mapping[str, Run], curves: Sequence[_Curve]) -> dict[str, Any]:
    """Return the curves as plain types; a value that is not finite is None, as JSON has none."""
    return {
        "runs": [
            {
                "label": label,
                "work_dir": str(run.work_dir),
                "iters_per_epoch": run.iters_per_epoch,
                "curves": [
                    {
                        "key": curve.key,
                        "mode": curve.mode,
                        "iters": [point.iter for point in curve.points],
                        "epochs": [point.epoch for point in curve.points],
                        "values": [point.value if isfinite(point.value) else None for point in curve.points],
                    }
                    for curve in curves
                    if curve.run == label
                ],
            }
            for label, run in runs.items()
        ]
    }


def _panels(runs: Mapping[str, Run], curves: Sequence[_Curve], by: str) -> list[Panel]:
    from cfgtrain.visualization.curves import Line, Panel

    panels = []
    for key in dict.fromkeys(curve.key for curve in curves):
        own = [curve for curve in curves if curve.key == key]
        modes = {curve.mode for curve in own}
        lines = []
        for curve in own:
            points = sorted(
                (float(point.iter if by == "iter" else point.epoch or 0), point.value)
                for point in curve.points
                if isfinite(point.value)
            )
            at, values = [place for place, _ in points], [value for _, value in points]
            label = " ".join(
                [curve.run] * (len(runs) > 1) + [curve.mode] * (len(modes) > 1 or len(runs) == 1)
            )
            number = list(runs).index(curve.run)
            color = number if len(runs) > 1 else None
            lines.append(Line(label, at, values, curve.mode == "val", color))
        panels.append(Panel(key, lines))
    return panels


def _print(
    runs: Mapping[str, Run], panels: list[Panel], curves: Sequence[_Curve], by: str, per_epoch: int | None
) -> None:
    from rich.console import Console
    from rich.text import Text

    from cfgtrain_cli.terminal_plot import MAX_LINES, axis, legend, plot, print_lines, ticks

    width = min(Console().width, 100)
    end = max((at for panel in panels for line in panel.lines for at in line.at), default=1.0)
    lines: list[Text] = []
    if len(runs) == 1:
        label, run = next(iter(runs.items()))
        lines.append(Text.assemble((label, "bold"), f": {_length(run)}"))
    for panel in panels:
        lines += [Text(), *plot(panel, width, 10, end)]
        if by == "iter":
            lines.append(axis(width, ticks(end + 1, 1), "iteration"))
        if by == "epoch" or per_epoch is not None:
            lines.append(axis(width, ticks(end + 1, per_epoch or 1), "epoch"))
        count = len(panel.lines)
        own = [curve for curve in curves if curve.key == panel.title]
        for i, (line, curve) in enumerate(zip(panel.lines[:MAX_LINES], own, strict=False)):
            lines.append(legend(line, i, count, _describe(curve, runs[curve.run])))
        if count > MAX_LINES:
            lines.append(Text(f"and {count - MAX_LINES} more lines, not shown", style="dim"))
    print_lines(lines[1:] if len(runs) > 1 else lines)


def _length(run: Run) -> str:
    iters = f"{run.iters:,} iterations"
    return iters if run.epochs is None else f"{run.epochs:.4g} epochs, {iters}"


def _describe(curve: _Curve, run: Run) -> str:
    """Return the first and the last value of a curve, and its best one if it is a score."""
    values = [point.value for point in curve.points if isfinite(point.value)]
    left_out = len(curve.points) - len(values)
    text = f"{values[0]:.4g} → {values[-1]:.4g}" if len(values) > 1 else "".join(f"{v:.4g}" for v in values)
    best = run.best(curve.key.removeprefix("val/")) if curve.mode == "val" else None
    if best is not None and len(values) > 1:
        text += f", best {best.value:.4g} ({place_text(best)})"
    return text + (f", {left_out} not finite" if left_out else "")
