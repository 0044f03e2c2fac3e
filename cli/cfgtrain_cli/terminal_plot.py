"""Plots on a terminal, drawn in braille characters of eight dots each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from cfgtrain.visualization.curves import Line, Panel
from cfgtrain_cli.console import echo

COLORS = ("bright_blue", "bright_red", "bright_green", "bright_magenta", "bright_yellow", "bright_cyan")
LABEL_COLUMNS = 10  # for the values at the left
LETTERS = "abcdefghijkl"  # to distinguish lines: colours repeat, and a pipe has none
MAX_LINES = len(LETTERS)
MAX_VALUE = 1e300  # of larger values, a difference may be infinite
LETTER_SPACING = 24  # columns between two letters on the same line

# The bits of the dots of a braille character, by row and column.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


Heights = dict[int, int]  # of a line: the distance from the top, by the distance from the left, in dots


class Canvas:
    """A grid of characters, each of which belongs to a line."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._letters: dict[tuple[int, int], str] = {}
        self._owners: dict[tuple[int, int], int] = {}

    def draw(self, number: int, heights: Heights) -> None:
        """Draw a line without gaps.

        Args:
            number: The index of the line.
            heights: The distance from the top, in dots, by the dot across.
        """
        before: int | None = None
        for x, y in heights.items():
            start = y if before is None else before + (1 if y > before else -1 if y < before else 0)
            for each in range(min(start, y), max(start, y) + 1):
                self._dots[each // 4][x // 2] |= DOTS[each % 4][x % 2]
                self._owners.setdefault((each // 4, x // 2), number)
            before = y

    def mark(self, number: int, count: int, heights: Heights) -> None:
        """Write the letter of the ``number``-th of ``count`` lines onto it, where there is no other letter."""
        spaces = range(LETTER_SPACING * number // count, self.columns, LETTER_SPACING)
        marked = [self._mark(number, heights, begin, begin + LETTER_SPACING // 2) for begin in spaces]
        if not any(marked):  # a short line
            self._mark(number, heights, 0, self.columns)

    def _mark(self, number: int, heights: Heights, begin: int, end: int) -> bool:
        for column in range(begin, min(end, self.columns)):
            height = heights.get(2 * column, heights.get(2 * column + 1))
            if height is not None and (cell := (height // 4, column)) not in self._letters:
                self._letters[cell], self._owners[cell] = LETTERS[number], number
                return True
        return False

    def row(self, row: int) -> Iterator[tuple[str, str]]:
        """Yield the characters of a row and their styles."""
        for column, dots in enumerate(self._dots[row]):
            cell = row, column
            letter = self._letters.get(cell)
            style = COLORS[self._owners.get(cell, 0) % len(COLORS)]
            yield (letter, f"bold {style}") if letter else (chr(0x2800 + dots) if dots else " ", style)


def plot(panel: Panel, width: int, height: int, end: float) -> Iterator[Text]:
    """Yield the lines of text of a plot.

    Args:
        panel: The lines to draw. The first twelve are drawn; two or more are marked with letters.
        width: The total width, in columns.
        height: The height of the curves, in rows.
        end: The end of the horizontal axis, which begins at 0.
    """
    lines = panel.lines[:MAX_LINES]
    canvas = Canvas(max(width - LABEL_COLUMNS - 2, 8), height)
    low, high = _range(lines)
    drawn = [_heights(line, canvas, end, low, high) for line in lines]
    for number, heights in enumerate(drawn):
        canvas.draw(number, heights)
    for number, heights in enumerate(drawn if len(drawn) > 1 else []):
        canvas.mark(number, len(drawn), heights)
    yield Text(panel.title, style="bold")
    marks = {
        0: high,
        (height - 1) // 2: high - (high - low) * ((height - 1) // 2) / max(height - 1, 1),
        height - 1: low,
    }
    for row in range(height):
        label = f"{marks[row]:.3g}" if row in marks else ""
        text = Text().append(f"{label:>{LABEL_COLUMNS}} {'┤' if label else '│'}", style="dim")
        for character, style in canvas.row(row):
            text.append(character, style=style)
        yield text
    yield Text(" " * (LABEL_COLUMNS + 1) + "└" + "─" * canvas.columns, style="dim")


def axis(width: int, ticks: Sequence[tuple[float, str]], name: str) -> Text:
    """Return the labels of the horizontal axis.

    Args:
        width: The total width, in columns.
        ticks: Positions, from 0 to 1, and labels.
        name: The unit of the axis.
    """
    columns = max(width - LABEL_COLUMNS - 2, 8)
    cells = [" "] * columns
    for place, label in ticks:
        start = min(max(round(place * (columns - 1)) - len(label) // 2, 0), columns - len(label))
        if all(cell == " " for cell in cells[max(start - 1, 0) : start + len(label) + 1]):
            cells[start : start + len(label)] = label
    return Text(f"{name:>{LABEL_COLUMNS}}  " + "".join(cells), style="dim")


def ticks(count: float, unit: float) -> list[tuple[float, str]]:
    """Return the positions, from 0 to 1, and labels of up to six round multiples of ``unit`` iterations.

    Args:
        count: Number of iterations on the axis, the first and the last one included.
        unit: 1, or the length of an epoch.
    """
    units = count / unit
    step = next(n for e in range(12) for f in (1, 2, 5) if units / (n := f * 10**e) <= 6)
    return [
        (i * step * unit / max(count - 1, 1), f"{i * step:,}") for i in range(int((units - 1e-9) // step) + 1)
    ]


def print_lines(lines: Iterable[Text]) -> None:
    """Print lines: coloured on a terminal, plain in a pipe."""
    console = Console(highlight=False)
    for line in lines:
        if console.is_terminal:
            console.print(line, no_wrap=True, crop=False, overflow="ignore")
        else:
            echo(line.plain)


def legend(line: Line, number: int, count: int, description: str) -> Text:
    """Return the legend of the ``number``-th of ``count`` lines, whether it is drawn or not."""
    text = Text(" " * (LABEL_COLUMNS + 2))
    key = "   " if number >= MAX_LINES else "━━ " if count == 1 else f"━{LETTERS[number]}━ "
    text.append(key, style=COLORS[number % len(COLORS)])
    return text.append(description).append(f"  {line.label}", style="dim")


def _is_drawn(value: float) -> bool:
    return abs(value) < MAX_VALUE  # false for NaN


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    values = [value for line in lines for value in line.values if _is_drawn(value)] or [0.0]
    low, high = min(values), max(values)
    if 0 <= low < 0.3 * high:
        low = 0.0
    return (low, high) if high > low else (low - abs(low) / 2 - 1e-12, high + abs(high) / 2 + 1e-12)


def _heights(line: Line, canvas: Canvas, end: float, low: float, high: float) -> Heights:
    """Return the distance of a line from the top, from its first to its last value."""
    points = [(at, value) for at, value in zip(line.at, line.values, strict=True) if _is_drawn(value)]
    if not points:
        return {}
    places = [at for at, _ in points]
    across, down = 2 * canvas.columns, 4 * canvas.rows
    first, last = (round(at / (end or 1) * (across - 1)) for at in (places[0], places[-1]))
    heights = {}
    for x in range(first, last + 1):
        at = min(max(x / (across - 1) * end, places[0]), places[-1])
        after = bisect_right(places, at)
        place, value = points[after - 1]
        if after < len(points):
            value += (points[after][1] - value) * (at - place) / (points[after][0] - place)
        heights[x] = round((high - value) / (high - low) * (down - 1))
    return heights
