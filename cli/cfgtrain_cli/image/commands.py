"""The commands ``cfgtrain image resize`` and ``cfgtrain image flip``."""

from __future__ import annotations

import re
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.exit_codes import ExitCode
from cfgtrain.introspection.cpus import count_usable_cpus
from cfgtrain_cli.console import echo, print_json

if TYPE_CHECKING:
    from cfgtrain_cli.image.tasks import Task

app = typer.Typer(help="Resize or flip images.", no_args_is_help=True)


class Interpolation(StrEnum):
    """The interpolation of a resize."""

    auto = "auto"
    nearest = "nearest"
    bilinear = "bilinear"
    bicubic = "bicubic"
    area = "area"
    lanczos = "lanczos"


class Direction(StrEnum):
    """The direction of a flip."""

    horizontal = "horizontal"
    vertical = "vertical"
    diagonal = "diagonal"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Files, folders, and quoted patterns such as 'photos/**/*.jpg'.",
        show_default=False,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="OUTPUT",
        help="Output file if the input is one file, else a folder, which mirrors the folders of the input.",
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
        help="Quality of JPEG, WebP and AVIF. \\[default: 95; lossless WebP stays lossless]",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Number of threads. \\[default: number of CPUs]"),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files. Inputs are never replaced.")
]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Skip images whose output exists."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Show what would be done, without writing anything.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(no_args_is_help=True)
def resize(
    inputs: Inputs,
    output: Output,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Width and height in pixels, such as 640x480.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Scale factor, such as 0.5.")] = None,
    long_edge: Annotated[
        int | None,
        typer.Option(min=1, help="Length of the longer edge, or its maximum if --short-edge is given too."),
    ] = None,
    short_edge: Annotated[
        int | None,
        typer.Option(min=1, help="Length of the shorter edge, or its maximum if --long-edge is given too."),
    ] = None,
    keep_ratio: Annotated[
        bool, typer.Option("--keep-ratio", help="Keep the aspect ratio: fit the image into --size.")
    ] = False,
    shrink_only: Annotated[
        bool, typer.Option("--shrink-only", help="Never enlarge: smaller images keep their size.")
    ] = False,
    interpolation: Annotated[
        Interpolation, typer.Option(help="[b]auto[/b] uses area to shrink and bicubic to enlarge.")
    ] = Interpolation.auto,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Resize images.

    Give the new size by --size, --scale, or --long-edge and --short-edge.

    Images are rotated upright by their EXIF orientation. Format, bit depth,
    transparency and metadata are kept; anything that cannot be kept is reported.
    """
    ways = [size is not None, scale is not None, long_edge is not None or short_edge is not None]
    if sum(ways) != 1:
        raise typer.BadParameter("Give exactly one of --size, --scale, or --long-edge and --short-edge.")
    if scale is not None and not 0 < scale < float("inf"):
        raise typer.BadParameter(f"The scale must be above 0, not {scale:g}.", param_hint="--scale")
    box = None if size is None else _parse_size(size)
    from cfgtrain_cli.image.tasks import Resize

    task = Resize(box, scale, long_edge, short_edge, keep_ratio, shrink_only, interpolation.value)
    _run(task, inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


@app.command(no_args_is_help=True)
def flip(
    inputs: Inputs,
    output: Output,
    direction: Annotated[
        Direction,
        typer.Option(
            "--direction",
            "-d",
            help="[b]horizontal[/b] swaps left and right, [b]diagonal[/b] flips both ways.",
        ),
    ] = Direction.horizontal,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Flip images.

    Images are first rotated upright by their EXIF orientation. Format, bit depth,
    transparency and metadata are kept; anything that cannot be kept is reported.
    """
    from cfgtrain_cli.image.tasks import Flip

    _run(Flip(direction.value), inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,6})[xX]([1-9]\d{0,6})", text.strip())
    if match is None:
        raise typer.BadParameter(
            f"The size must be WxH in pixels, such as 640x480, not {text!r}.", param_hint="--size"
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
    """Plan the jobs, run them, and report the outcomes."""
    from cfgtrain_cli.image.batch import Batch, Settings, preview_job
    from cfgtrain_cli.image.plan import make_plan
    from cfgtrain_cli.image.report import dry_run_report, failure_report, json_report, summary, with_progress

    begin = time.perf_counter()
    plan = make_plan(inputs, output, overwrite=overwrite, skip_existing=skip_existing)
    settings = Settings(task, quality, overwrite, min(jobs or count_usable_cpus(), max(len(plan.jobs), 1)))
    batch = Batch(plan.jobs, settings)
    todo = (preview_job(job, task) for job in plan.jobs) if dry_run else batch.outcomes()
    try:
        outcomes = list(with_progress(todo, len(plan.jobs)))
    except KeyboardInterrupt:
        todo.close()
        written = sum(outcome.error is None for outcome in batch.finished)
        echo(
            f"Interrupted: {written} of {len(plan.jobs)} images were written completely, the others not at all. "
            "To process the rest, add --skip-existing.",
            err=True,
        )
        raise
    seconds = time.perf_counter() - begin
    if json:
        print_json(json_report(outcomes, plan, seconds, dry_run))
    elif dry_run:
        echo(dry_run_report(outcomes, plan))
    else:
        echo(summary(outcomes, plan, task.done, output, seconds))
    failed = failure_report(outcomes, plan)
    if failed and not json:
        echo(failed, err=True)
    if failed:
        raise typer.Exit(ExitCode.FAILED)
