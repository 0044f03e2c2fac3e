"""Curves on a terminal: eight dots to a character, in braille."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from cfgtrain.visualization.curves import Line, Panel

COLORS = ("bright_blue", "bright_red", "bright_green", "bright_magenta", "bright_yellow", "bright_cyan")
LABELS = 10  # columns for the values beside the curves
MOST = len(COLORS)  # lines that can be told apart

# The dots of a braille character, by row and column.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def plot(panel: Panel, width: int, height: int, end: int) -> Iterator[Text]:
    """Yield the lines of text that show a panel.

    Args:
        panel: Of more than six lines the first six are drawn.
        width: In columns, all together.
        height: Of the curves, in rows.
        end: Last iteration.
    """
    lines = panel.lines[:MOST]
    columns = max(width - LABELS - 2, 8)
    low, high = _range(lines)
    canvas: list[list[tuple[int, int]]] = [[(0, 0)] * columns for _ in range(height)]  # dots, line
    for number, line in enumerate(lines):
        _draw(canvas, number, line, end, low, high)
    yield Text(panel.title, style="bold")
    marks = {
        0: high,
        (height - 1) // 2: high - (high - low) * ((height - 1) // 2) / max(height - 1, 1),
        height - 1: low,
    }
    for row, cells in enumerate(canvas):
        label = f"{marks[row]:.3g}" if row in marks else ""
        text = Text(f"{label:>{LABELS}} ", style="dim").append("┤" if label else "│", style="dim")
        for dots, number in cells:
            text.append(chr(0x2800 + dots) if dots else " ", style=COLORS[number])
        yield text
    yield Text(" " * (LABELS + 1) + "└" + "─" * columns, style="dim")


def axis(width: int, ticks: Sequence[tuple[float, str]], name: str) -> Text:
    """Return a line of numbers below the curves.

    Args:
        width: In columns, all together.
        ticks: Place, from 0 to 1, and label.
        name: Of what is counted.
    """
    columns = max(width - LABELS - 2, 8)
    cells = [" "] * columns
    for place, label in ticks:
        start = min(max(round(place * (columns - 1)) - len(label) // 2, 0), columns - len(label))
        if all(cell == " " for cell in cells[max(start - 1, 0) : start + len(label) + 1]):
            cells[start : start + len(label)] = label
    return Text(f"{name:>{LABELS}}  " + "".join(cells), style="dim")


def legend(line: Line, number: int, course: str) -> Text:
    """Return what is to be known of the ``number``-th line, whether it is drawn or not."""
    text = Text(" " * (LABELS + 2))
    if number < MOST:
        text.append("━━ ", style=COLORS[number])
    else:
        text.append("   ")
    return text.append(course).append(f"  {line.label}", style="dim")


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    values = [value for line in lines for value in line.values]
    low, high = min(values), max(values)
    if 0 <= low < 0.3 * high:
        low = 0.0
    return (low, high) if high > low else (low - abs(low) / 2 - 1e-12, high + abs(high) / 2 + 1e-12)


def _draw(
    canvas: list[list[tuple[int, int]]], number: int, line: Line, end: int, low: float, high: float
) -> None:
    """Put the dots of a line on the canvas, without gaps from column to column."""
    across, down = 2 * len(canvas[0]), 4 * len(canvas)
    before: int | None = None
    place = 0
    for x in range(across):
        at = round(x / (across - 1) * end)
        while place + 1 < len(line.at) and line.at[place + 1] <= at:
            place += 1
        y = round((high - line.values[place]) / (high - low) * (down - 1))
        start = y if before is None else before + (1 if y > before else -1 if y < before else 0)
        for each in range(min(start, y), max(start, y) + 1):
            dots, owner = canvas[each // 4][x // 2]
            canvas[each // 4][x // 2] = (dots | DOTS[each % 4][x % 2], number if not dots else owner)
        before = y
