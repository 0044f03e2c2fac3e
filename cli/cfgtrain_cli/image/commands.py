"""The words of ``cfgtrain image resize`` and ``cfgtrain image flip``."""

from __future__ import annotations

import re
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.introspection.cpus import count_usable_cpus

if TYPE_CHECKING:
    from cfgtrain_cli.image.tasks import Task

app = typer.Typer(help="Resize or flip pictures, one or thousands.", no_args_is_help=True)


class Interpolation(StrEnum):
    """How pixels between pixels are found."""

    auto = "auto"
    nearest = "nearest"
    bilinear = "bilinear"
    bicubic = "bicubic"
    area = "area"
    lanczos = "lanczos"


class Direction(StrEnum):
    """What a flip swaps."""

    horizontal = "horizontal"
    vertical = "vertical"
    diagonal = "diagonal"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Files, folders with all that is below them, and quoted patterns such as 'photos/**/*.jpg'.",
        show_default=False,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="OUTPUT",
        help="A file for an input that is one file; else a folder, in which the input's folders are mirrored.",
        show_default=False,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        "--quality",
        "-q",
        min=1,
        max=100,
        help="Of JPEG, WebP and AVIF. \\[default: 95; lossless WebP stays so]",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Pictures to work on at once. \\[default: one per processor]"),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that are there. An input is never replaced.")
]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave out what has its output already, to go on after a stop."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done, and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Tell the result as JSON on standard output.")]


@app.command(no_args_is_help=True)
def resize(
    inputs: Inputs,
    output: Output,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Width and height in pixels, such as 640x480.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="A factor, such as 0.5.")] = None,
    long_edge: Annotated[
        int | None, typer.Option(min=1, help="The longer edge in pixels; with --short-edge, each is a bound.")
    ] = None,
    short_edge: Annotated[int | None, typer.Option(min=1, help="The shorter edge in pixels.")] = None,
    keep_ratio: Annotated[
        bool, typer.Option("--keep-ratio", help="Fit into --size rather than stretch to it.")
    ] = False,
    shrink_only: Annotated[
        bool, typer.Option("--shrink-only", help="Enlarge nothing: smaller pictures keep their size.")
    ] = False,
    interpolation: Annotated[
        Interpolation, typer.Option(help="[b]auto[/b] takes area to shrink and bicubic to enlarge.")
    ] = Interpolation.auto,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Resize pictures.

    Pictures are put upright by their EXIF orientation; format, bit depth, transparency and metadata are
    kept, and what cannot be kept is told. Say one of --size, --scale, or --long-edge and --short-edge.
    """
    ways = [size is not None, scale is not None, long_edge is not None or short_edge is not None]
    if sum(ways) != 1:
        raise typer.BadParameter("Say one of --size, --scale, or --long-edge and --short-edge.")
    if scale is not None and not 0 < scale < float("inf"):
        raise typer.BadParameter(f"A scale is above 0, not {scale:g}.", param_hint="--scale")
    box = None if size is None else _parse_size(size)
    from cfgtrain_cli.image.tasks import Resize

    task = Resize(box, scale, long_edge, short_edge, keep_ratio, shrink_only, interpolation.value)
    _run(task, inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


@app.command(no_args_is_help=True)
def flip(
    inputs: Inputs,
    output: Output,
    direction: Annotated[
        Direction, typer.Option("--direction", "-d", help="Horizontal swaps left and right; diagonal, both.")
    ] = Direction.horizontal,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Mirror pictures, as they are seen: they are put upright first.

    Format, bit depth, transparency and metadata are kept, and what cannot be kept is told.
    """
    from cfgtrain_cli.image.tasks import Flip

    _run(Flip(direction.value), inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,6})[xX]([1-9]\d{0,6})", text.strip())
    if match is None:
        raise typer.BadParameter(
            f"A size is WxH in pixels, such as 640x480, not {text!r}.", param_hint="--size"
        )
    return int(match[1]), int(match[2])


def _run(
    task: Task,
    inputs: list[str],
    output: str,
    quality: int | None,
    jobs: int | None,
    overwrite: bool,
    skip_existing: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Plan, do, tell."""
    from cfgtrain_cli.image.batch import Batch, Settings, look_at
    from cfgtrain_cli.image.plan import make_plan
    from cfgtrain_cli.image.report import as_json, failures, planned, summary, with_progress

    begin = time.perf_counter()
    plan = make_plan(inputs, output, overwrite=overwrite, skip_existing=skip_existing)
    settings = Settings(task, quality, overwrite, min(jobs or count_usable_cpus(), max(len(plan.jobs), 1)))
    batch = Batch(plan.jobs, settings)
    todo = (look_at(job, task) for job in plan.jobs) if dry_run else batch.outcomes()
    try:
        outcomes = list(with_progress(todo, len(plan.jobs)))
    except KeyboardInterrupt:
        todo.close()
        written = sum(outcome.error is None for outcome in batch.finished)
        print(
            f"Interrupted: {written} of {len(plan.jobs)} pictures are done, and none by half. "
            "The same command with --skip-existing does the rest.",
            file=sys.stderr,
        )
        raise
    seconds = time.perf_counter() - begin
    if json:
        print(as_json(outcomes, plan, seconds, dry_run))
    elif dry_run:
        print(planned(outcomes, plan))
    else:
        print(summary(outcomes, plan, task.done, output, seconds))
    wrong = failures(outcomes, plan)
    if wrong and not json:
        print(wrong, file=sys.stderr)
    if wrong:
        raise typer.Exit(1)
