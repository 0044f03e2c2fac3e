"""The options of the image commands, and what their texts mean."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgtrain.errors import ArgumentError
from cfgtrain.suggestions import suggest

if TYPE_CHECKING:
    from cfgtrain_cli.image.fill import Colour


class Interpolation(StrEnum):
    """The interpolation of a rotation."""

    nearest = "nearest"
    bilinear = "bilinear"
    bicubic = "bicubic"
    area = "area"
    lanczos = "lanczos"


class ResizeInterpolation(StrEnum):
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


class PadMode(StrEnum):
    """The pixels that a padding adds."""

    constant = "constant"
    edge = "edge"
    reflect = "reflect"
    symmetric = "symmetric"


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
Fill = Annotated[
    str | None,
    typer.Option(
        "--fill",
        metavar="COLOR",
        help="Color of new pixels: a name, #rrggbb or R,G,B. \\[default: black, or transparent with alpha]",
        show_default=False,
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


def parse_size(text: str) -> tuple[int, int]:
    """Return the width and height in pixels of a text such as 640x480."""
    match = re.fullmatch(r"([1-9]\d{0,6})[xX]([1-9]\d{0,6})", text.strip())
    if match is None:
        raise typer.BadParameter(
            f"The size must be WxH in pixels, such as 640x480, not {text!r}.", param_hint="--size"
        )
    return int(match[1]), int(match[2])


def parse_numbers(text: str, option: str, counts: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return four numbers of pixels; one number stands for four equal ones if it is allowed."""
    words = text.split(",")
    if len(words) not in counts or not all(re.fullmatch(r" *\d{1,7} *", word) for word in words):
        wanted = "four numbers of pixels such as 10,20,30,40" + (", or one number" if 1 in counts else "")
        raise typer.BadParameter(f"It must be {wanted}, not {text!r}.", param_hint=option)
    first, *others = (int(word) for word in words)
    return (first, *others) if len(others) == 3 else (first, first, first, first)  # type: ignore[return-value]


def parse_fill(text: str | None) -> Colour | None:
    """Return the color of new pixels, or None for the default."""
    from cfgtrain_cli.image import fill  # imports Pillow

    try:
        return None if text is None else fill.parse_fill(text)
    except ArgumentError as error:
        raise typer.BadParameter(str(error), param_hint="--fill") from error


def parse_format(text: str | None, output: str) -> str | None:
    """Return the suffix of a format."""
    from cfgtrain.image.io import IMAGE_SUFFIXES

    if text is None:
        return None
    suffix = f".{text.lower().removeprefix('.')}"
    names = [each.removeprefix(".") for each in IMAGE_SUFFIXES]
    if suffix not in IMAGE_SUFFIXES:
        raise typer.BadParameter(
            f"{text!r} is not an image format.{suggest(text, names)}", param_hint="--format"
        )
    own = Path(output).suffix.lower()
    if own in IMAGE_SUFFIXES and own != suffix and not Path(output).is_dir():
        raise typer.BadParameter(f"The output {output!r} is not a {text} file.", param_hint="--format")
    return suffix
