"""Plot curves over the iterations of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.errors import ArgumentError, MissingLibraryError
from cfgtrain.filesystem.atomic import atomic_write

__all__ = ["FORMATS", "Line", "Panel", "check_picture", "draw_panels"]

FORMATS = (".png", ".svg", ".pdf")

# A palette that people with colour blindness can distinguish (Okabe & Ito 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
DASHES = ("-", "--", ":", "-.")  # the next style is used when all colours are used up
MAX_LINES = len(COLORS) * len(DASHES)  # lines that can be distinguished
MAX_LABELS_INSIDE = 6  # with more labels, the legend is placed beside the axes


class Line(NamedTuple):
    """One curve.

    Attributes:
        label: Label in the legend.
        at: Positions on the horizontal axis, such as iterations, ascending.
        values: One value for each position.
        has_points: Whether each value is also marked with a point.
        color: Number of its colour, or None: lines of their own colours.
    """

    label: str
    at: Sequence[float]
    values: Sequence[float]
    has_points: bool = False
    color: int | None = None


class Panel(NamedTuple):
    """The curves of one quantity, drawn on one pair of axes.

    Attributes:
        title: Name of the quantity.
        lines: The curves, at least one.
    """

    title: str
    lines: list[Line]


def check_picture(path: str | Path) -> Any:
    """Check that ``draw_panels`` can write to ``path``, and return the Figure class of matplotlib.

    Raises:
        ArgumentError: The extension is not a supported format, the folder does not exist or cannot be
            written to, or the path is a folder.
        MissingLibraryError: matplotlib is not installed.
    """
    file = Path(path)
    if file.suffix.lower() not in FORMATS:
        raise ArgumentError(f"A plot is saved as .png, .svg or .pdf, not as {file.name!r}.")
    if not file.absolute().parent.is_dir():
        raise ArgumentError(f"Cannot save {file.name!r}: the folder {str(file.parent)!r} does not exist.")
    if file.is_dir():
        raise ArgumentError(f"Cannot save {file.name!r}: it is a folder. Choose another name.")
    if not os.access(file.absolute().parent, os.W_OK):
        raise ArgumentError(
            f"Cannot save {file.name!r}: the folder {str(file.parent)!r} cannot be written to. Choose another folder."
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingLibraryError(
            f"Plotting curves requires matplotlib ({error}): pip install 'cfgtrain[plot]'."
        ) from error
    return Figure


def draw_panels(
    panels: Sequence[Panel],
    path: str | Path,
    title: str = "",
    iters_per_epoch: int | None = None,
    unit: str = "iteration",
) -> None:
    """Draw panels below each other, with a shared horizontal axis, and write them to a file.

    Args:
        panels: The panels from top to bottom. Only the first 32 lines of a panel are drawn.
        path: Path of the image, with the extension .png, .svg or .pdf. An existing file is overwritten.
        title: Title above the panels.
        iters_per_epoch: If it is given, a second axis at the top shows the epochs.
        unit: Label of the horizontal axis.

    Raises:
        ArgumentError: The extension is not a supported format, or the folder does not exist.
        MissingLibraryError: matplotlib is not installed.
    """
    width = 12 if any(len(panel.lines) > MAX_LABELS_INSIDE for panel in panels) else 9
    figure = check_picture(path)(figsize=(width, 0.9 + 2.7 * len(panels)), dpi=150, layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel)
    axes[-1].set_xlabel(unit, color="#444444")
    if iters_per_epoch is not None:
        length = iters_per_epoch
        top = axes[0].secondary_xaxis("top", functions=(lambda at: at / length, lambda epoch: epoch * length))
        top.set_xlabel("epoch", color="#444444")
        _style_axis(top)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color="#222222")
    picture = BytesIO()
    figure.savefig(picture, format=Path(path).suffix[1:].lower())
    with atomic_write(Path(path)) as out:
        out.write(picture.getvalue())


def _draw(axis: Any, panel: Panel) -> None:
    for i, line in enumerate(panel.lines[:MAX_LINES]):
        number = i if line.color is None else line.color
        color = COLORS[number % len(COLORS)]
        dashes = DASHES[number // len(COLORS) % len(DASHES)]
        axis.plot(
            line.at,
            line.values,
            dashes,
            color=color,
            linewidth=1.2 if line.has_points else 2,
            marker="o" if line.has_points else None,
            markersize=4.5,
            label=line.label,
            solid_capstyle="round",
        )
    count = len(panel.lines)
    if count > 1:
        placement = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if count > MAX_LABELS_INSIDE else {}
        more = f"and {count - MAX_LINES} more, not drawn" if count > MAX_LINES else None
        columns = 1 if count <= 12 else 2
        legend = axis.legend(
            frameon=False,
            fontsize=8 if columns == 1 else 6,
            labelcolor="#444444",
            handlelength=3.2,  # long enough to show the dash-dot pattern
            ncols=columns,
            title=more,
            **placement,
        )
        legend.get_title().set_fontsize(8)
    axis.set_ylabel(panel.title, color="#444444")
    axis.margins(x=0.01, y=0.08)
    axis.grid(color="#E6E6E6", linewidth=0.8)
    axis.set_axisbelow(True)
    _style_axis(axis)


def _style_axis(axis: Any) -> None:
    """Remove the top and right spines, and draw the rest in grey."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#BBBBBB")
    axis.tick_params(colors="#444444", labelsize=9)
