"""Columns of text: coloured and fitted to the width of a terminal, plain and complete in a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cfgtrain_cli.console import echo


def print_columns(rows: Sequence[Sequence[str]], styles: Sequence[str], wrap: bool = False) -> None:
    """Print rows in aligned columns; the last column takes the remaining width.

    Args:
        rows: Rows of the same length.
        styles: The rich style of each column.
        wrap: Whether the last column is wrapped on a terminal, rather than cut off.
    """
    console = Console(highlight=False)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    if not console.is_terminal:
        for row in rows:
            echo("  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip())
        return
    indent = sum(width + 2 for width in widths)
    for row in rows:
        line = Text()
        for text, width, style in zip(row, widths, styles, strict=False):
            line.append(text.ljust(width), style).append("  ")
        last = row[-1]
        if wrap:
            width = max(console.width - indent, 20)
            last = f"\n{' ' * indent}".join(textwrap.wrap(last, width) or [""])
        console.print(line.append(last, styles[-1]), no_wrap=True, overflow="ellipsis")
