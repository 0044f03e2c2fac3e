"""The commands ``cfgtrain image ...``."""

from __future__ import annotations

import time
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.exit_codes import ExitCode
from cfgtrain.introspection.cpus import count_usable_cpus
from cfgtrain_cli.choices import choice_option
from cfgtrain_cli.console import echo, print_json
from cfgtrain_cli.image.options import (
    Direction,
    DryRun,
    Fill,
    Inputs,
    Interpolation,
    Jobs,
    Json,
    Output,
    Overwrite,
    PadMode,
    Quality,
    ResizeInterpolation,
    SkipExisting,
    parse_fill,
    parse_format,
    parse_numbers,
    parse_size,
)

if TYPE_CHECKING:
    from cfgtrain_cli.image.tasks import Task

app = typer.Typer(help="Resize, flip, rotate, crop, pad, convert or list images.", no_args_is_help=True)


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
        ResizeInterpolation,
        choice_option(
            ResizeInterpolation,
            "--interpolation",
            help="[b]auto[/b] uses area to shrink and bicubic to enlarge.",
        ),
    ] = ResizeInterpolation.auto,
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
    box = None if size is None else parse_size(size)
    from cfgtrain_cli.image.tasks import Resize

    task = Resize(box, scale, long_edge, short_edge, keep_ratio, shrink_only, interpolation.value)
    _run(task, inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


@app.command(no_args_is_help=True)
def flip(
    inputs: Inputs,
    output: Output,
    direction: Annotated[
        Direction,
        choice_option(
            Direction,
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


@app.command(no_args_is_help=True)
def rotate(
    inputs: Inputs,
    output: Output,
    angle: Annotated[
        float, typer.Option(help="Angle in degrees, clockwise. Multiples of 90 turn the whole image exactly.")
    ],
    expand: Annotated[
        bool, typer.Option("--expand", help="Enlarge the result to show the whole rotated image.")
    ] = False,
    interpolation: Annotated[
        Interpolation,
        choice_option(Interpolation, "--interpolation", help="Ignored for multiples of 90 degrees."),
    ] = Interpolation.bilinear,
    fill: Fill = None,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Rotate images about their centre.

    Images are first rotated upright by their EXIF orientation. Format, bit depth,
    transparency and metadata are kept; anything that cannot be kept is reported.
    """
    if not isfinite(angle):
        raise typer.BadParameter(f"The angle must be a number of degrees, not {angle}.", param_hint="--angle")
    from cfgtrain_cli.image.tasks import Rotate

    task = Rotate(angle, expand, interpolation.value, parse_fill(fill))
    _run(task, inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


@app.command(no_args_is_help=True)
def crop(
    inputs: Inputs,
    output: Output,
    box: Annotated[
        str | None,
        typer.Option(metavar="X,Y,W,H", help="The part to keep: its left top corner and its size in pixels."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size in pixels of a part at the centre.")
    ] = None,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Crop images.

    Images are first rotated upright by their EXIF orientation. Format, bit depth,
    transparency and metadata are kept; anything that cannot be kept is reported.
    """
    if (box is None) == (size is None):
        raise typer.BadParameter("Give exactly one of --box and --size.")
    place = None if box is None else parse_numbers(box, "--box", (4,))
    if place and min(place[2:]) == 0:
        raise typer.BadParameter(f"The box must have at least one pixel, not {box!r}.", param_hint="--box")
    centre = None if size is None else parse_size(size)
    from cfgtrain_cli.image.tasks import Crop

    task = Crop(place, centre)
    _run(task, inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


@app.command(no_args_is_help=True)
def pad(
    inputs: Inputs,
    output: Output,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Least size in pixels. Pixels are added at the right and bottom."),
    ] = None,
    padding: Annotated[
        str | None,
        typer.Option(metavar="L,T,R,B", help="Pixels to add: left, top, right, bottom; or N at each side."),
    ] = None,
    to_multiple: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Make width and height multiples of N, at the right and bottom."
        ),
    ] = None,
    fill: Fill = None,
    mode: Annotated[
        PadMode,
        choice_option(
            PadMode,
            "--mode",
            help="[b]constant[/b] adds the fill, [b]edge[/b] repeats the last pixel, [b]reflect[/b] mirrors "
            "without and [b]symmetric[/b] with repeating it.",
        ),
    ] = PadMode.constant,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Pad images.

    Images are first rotated upright by their EXIF orientation. Format, bit depth,
    transparency and metadata are kept; anything that cannot be kept is reported.
    """
    if sum(each is not None for each in (size, padding, to_multiple)) != 1:
        raise typer.BadParameter("Give exactly one of --size, --padding and --to-multiple.")
    least = None if size is None else parse_size(size)
    sides = None if padding is None else parse_numbers(padding, "--padding", (1, 4))
    if fill is not None and mode is not PadMode.constant:
        raise typer.BadParameter(
            f"--mode {mode} uses no color: give --fill with constant alone.", param_hint="--fill"
        )
    from cfgtrain_cli.image.tasks import Pad

    task = Pad(least, sides, to_multiple or 1, parse_fill(fill), mode.value)
    _run(task, inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json)


@app.command(no_args_is_help=True)
def convert(
    inputs: Inputs,
    output: Output,
    format: Annotated[  # noqa: A002
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="png|jpg|...",
            help="Format of the outputs, which get this suffix. \\[default: that of the output file or the input]",
        ),
    ] = None,
    grayscale: Annotated[bool, typer.Option("--grayscale", help="Convert colors to gray.")] = False,
    quality: Quality = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Convert images to another format, to gray, or to another quality.

    Images are rotated upright by their EXIF orientation. Bit depth, transparency and
    metadata are kept as far as the format can; anything that cannot be kept is reported.
    """
    from cfgtrain_cli.image.tasks import Convert

    suffix = parse_format(format, output)
    if not (suffix or Path(output).suffix or grayscale or quality):
        raise typer.BadParameter("Give --format, such as --format png, or --grayscale or --quality.")
    task = Convert(grayscale)
    _run(task, inputs, output, quality, jobs, overwrite, skip_existing, dry_run, json, suffix)


@app.command(no_args_is_help=True)
def info(inputs: Inputs, json: Json = False) -> None:
    """List images: format, size as stored, EXIF orientation, depth, metadata.

    Only the headers are read. Files that cannot be read are listed at the end.
    """
    from cfgtrain_cli.image.info import json_report, read_facts, table
    from cfgtrain_cli.image.plan import find_images
    from cfgtrain_cli.image.quiet import quiet_libraries
    from cfgtrain_cli.image.report import failed_files

    paths = find_images(inputs)
    with quiet_libraries():
        facts = [read_facts(path) for path in paths]
    failed = [(each.path, each.error) for each in facts if each.error is not None]
    if json:
        print_json(json_report(facts))
    elif len(failed) < len(facts):
        echo(table(facts))
    if failed and not json:
        echo(failed_files(failed), err=True)
    if failed:
        raise typer.Exit(ExitCode.FAILED)


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
    suffix: str | None = None,
) -> None:
    """Plan the jobs, run them, and report the outcomes."""
    from cfgtrain_cli.image.batch import Batch, OutputFolderError, Settings, preview_job
    from cfgtrain_cli.image.plan import make_plan
    from cfgtrain_cli.image.quiet import quiet_libraries
    from cfgtrain_cli.image.report import dry_run_report, failure_report, json_report, summary
    from cfgtrain_cli.progress import with_progress

    begin = time.perf_counter()
    plan = make_plan(inputs, output, suffix=suffix, overwrite=overwrite, skip_existing=skip_existing)
    settings = Settings(task, quality, overwrite, min(jobs or count_usable_cpus(), max(len(plan.jobs), 1)))
    batch = Batch(plan.jobs, settings)
    todo = (preview_job(job, task) for job in plan.jobs) if dry_run else batch.outcomes()
    try:
        with quiet_libraries():
            outcomes = list(with_progress(todo, len(plan.jobs), lambda each: each.job.source.name))
    except (KeyboardInterrupt, OutputFolderError) as error:
        todo.close()
        written = sum(outcome.error is None for outcome in batch.finished)
        state = (
            f"{written} of {len(plan.jobs)} images were written completely, the others not at all. "
            "To process the rest, add --skip-existing."
        )
        if isinstance(error, OutputFolderError):
            raise OutputFolderError(f"{error}\n{state}" if len(plan.jobs) > 1 else str(error)) from error
        echo(f"Interrupted: {state}", err=True)
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
