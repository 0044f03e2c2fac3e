"""Plots on a terminal, drawn in braille characters of eight dots each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from cfgtrain.visualization.curves import Line, Panel

COLORS = ("bright_blue", "bright_red", "bright_green", "bright_magenta", "bright_yellow", "bright_cyan")
LABEL_COLUMNS = 10  # for the values at the left
LETTERS = "abcdefghijkl"  # to distinguish lines: colours repeat, and a pipe has none
MAX_LINES = len(LETTERS)
LETTER_SPACING = 24  # columns between two letters on the same line

# The bits of the dots of a braille character, by row and column.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Canvas:
    """A grid of characters, each of which belongs to a line."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._letters: dict[tuple[int, int], str] = {}
        self._owners: dict[tuple[int, int], int] = {}

    def draw(self, number: int, heights: Sequence[int]) -> None:
        """Draw a line without gaps.

        Args:
            number: The index of the line.
            heights: The distance from the top, in dots, for each dot across.
        """
        before = heights[0]
        for x, y in enumerate(heights):
            start = y if x == 0 else before + (1 if y > before else -1 if y < before else 0)
            for each in range(min(start, y), max(start, y) + 1):
                self._dots[each // 4][x // 2] |= DOTS[each % 4][x % 2]
                self._owners.setdefault((each // 4, x // 2), number)
            before = y

    def mark(self, number: int, count: int, heights: Sequence[int]) -> None:
        """Write the letter of the ``number``-th of ``count`` lines onto it, where there is no other letter."""
        for begin in range(LETTER_SPACING * number // count, self.columns, LETTER_SPACING):
            for column in range(begin, min(begin + LETTER_SPACING // 2, self.columns)):
                cell = heights[2 * column] // 4, column
                if cell not in self._letters:
                    self._letters[cell], self._owners[cell] = LETTERS[number], number
                    break

    def row(self, row: int) -> Iterator[tuple[str, str]]:
        """Yield the characters of a row and their styles."""
        for column, dots in enumerate(self._dots[row]):
            cell = row, column
            letter = self._letters.get(cell)
            style = COLORS[self._owners.get(cell, 0) % len(COLORS)]
            yield (letter, f"bold {style}") if letter else (chr(0x2800 + dots) if dots else " ", style)


def plot(panel: Panel, width: int, height: int, end: int) -> Iterator[Text]:
    """Yield the lines of text of a plot.

    Args:
        panel: The lines to draw. The first twelve are drawn; two or more are marked with letters.
        width: The total width, in columns.
        height: The height of the curves, in rows.
        end: The last iteration.
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
        text = Text(f"{label:>{LABEL_COLUMNS}} ", style="dim").append("┤" if label else "│", style="dim")
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


def legend(line: Line, number: int, count: int, description: str) -> Text:
    """Return the legend of the ``number``-th of ``count`` lines, whether it is drawn or not."""
    text = Text(" " * (LABEL_COLUMNS + 2))
    key = "   " if number >= MAX_LINES else "━━ " if count == 1 else f"━{LETTERS[number]}━ "
    text.append(key, style=COLORS[number % len(COLORS)])
    return text.append(description).append(f"  {line.label}", style="dim")


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    values = [value for line in lines for value in line.values]
    low, high = min(values), max(values)
    if 0 <= low < 0.3 * high:
        low = 0.0
    return (low, high) if high > low else (low - abs(low) / 2 - 1e-12, high + abs(high) / 2 + 1e-12)


def _heights(line: Line, canvas: Canvas, end: int, low: float, high: float) -> list[int]:
    """Return the distance of a line from the top, in dots, for each dot across."""
    across, down = 2 * canvas.columns, 4 * canvas.rows
    heights = []
    place = 0
    for x in range(across):
        at = round(x / (across - 1) * end)
        while place + 1 < len(line.at) and line.at[place + 1] <= at:
            place += 1
        heights.append(round((high - line.values[place]) / (high - low) * (down - 1)))
    return heights
