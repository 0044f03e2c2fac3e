from __future__ import annotations

import pytest

from cfgtrain.visualization import Line, Panel
from cfgtrain_cli.schedule import _describe
from cfgtrain_cli.terminal_plot import axis, legend, plot, ticks


def drawn(values: list[float], width: int = 20, height: int = 3) -> list[str]:
    line = Line("x", list(range(len(values))), values)
    return [text.plain for text in plot(Panel("rate", [line]), width, height, len(values) - 1)]


def test_curve_in_braille() -> None:
    """A falling line goes from the top left to the bottom right, with labels at the left."""
    assert drawn([1 - i / 15 for i in range(16)]) == [
        "rate",
        "         1 ┤⠑⠢⡀     ",
        "       0.5 ┤  ⠈⠑⢄⡀  ",
        "         0 ┤     ⠈⠢⢄",
        "           └────────",
    ]


@pytest.mark.parametrize("values", [[0.0] * 4, [0.5] * 4, [-1.0] * 4, [1e-9, 1e9], [5.0]])
def test_any_values_can_be_drawn(values: list[float]) -> None:
    """Constant, negative, single and far apart values all give a plot of the same size."""
    lines = drawn(values)
    assert [len(line) for line in lines[1:]] == [20] * 4
    assert any(0x2800 < ord(character) < 0x2900 for line in lines for character in line)


def test_line_is_drawn_between_its_first_and_last_value() -> None:
    """Before and after there is nothing, between two values is a straight line, and gaps are left out."""
    line = Line("x", [4.0, 8.0, 12.0], [0.0, float("nan"), 8.0])
    rows = [text.plain for text in plot(Panel("rate", [line]), 28, 4, 16)][1:5]
    assert [row[12:] for row in rows] == [
        "          ⡠⠊    ",
        "        ⡠⠊      ",
        "      ⡠⠊        ",
        "    ⡠⠊          ",
    ]
    empty = plot(Panel("rate", [Line("x", [1], [float("nan")])]), 28, 4, 16)
    assert [text.plain[12:].strip() for text in empty][1:5] == [""] * 4


def test_several_lines_are_marked_with_letters() -> None:
    """Each of two or more lines has a letter in the plot and in the legend, up to twelve lines."""
    lines = [Line(str(i), [0, 1], [float(i), float(i)]) for i in range(14)]
    rows = [text.plain for text in plot(Panel("rate", lines), 80, 14, 1)]
    for letter, row in zip("lkjihgfedcba", range(1, 14), strict=False):
        found = [text for text in rows[1:15] if letter in text[12:]]
        assert len(found) == 1, (letter, row)
    order = [character for text in rows[1:15] for character in text[12:] if character.isalpha()]
    assert list(dict.fromkeys(order)) == list("lkjihgfedcba")
    assert legend(lines[0], 0, 14, "1 constant").plain == "            ━a━ 1 constant  0"
    assert "━" not in legend(lines[12], 12, 14, "1 constant").plain
    assert legend(lines[0], 0, 1, "1 constant").plain == "            ━━ 1 constant  0"


def test_coinciding_lines_show_both_letters() -> None:
    """Of two equal lines, neither hides the letter of the other."""
    lines = [Line(str(i), [0, 1], [1.0, 1.0]) for i in range(2)]
    text = "".join(text.plain for text in plot(Panel("rate", lines), 80, 3, 1))
    assert text.count("a") - "rate".count("a") == text.count("b") == 3


def test_axis_labels_are_round_numbers_that_do_not_touch() -> None:
    """Ticks are at round numbers; a label that does not fit is omitted."""
    assert axis(32, ticks(255, 1), "iteration").plain == " iteration  0  50 100 150 200   "
    assert [label for _, label in ticks(255, 17)] == ["0", "5", "10"]
    assert [label for _, label in ticks(3_000_000, 1)][-1] == "2,500,000"
    assert ticks(1, 1) == [(0.0, "0")]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 1, 1], "1 constant"),
        ([1, 2, 0.5], "1 → 2 (iteration 2) → 0.5"),
        ([3, 2, 1], "3 → 1"),
        ([2, 1, 3, 2], "2 → 1 (iteration 2) → 3 (iteration 3) → 2"),
    ],
)
def test_description_of_a_line(values: list[float], text: str) -> None:
    """A line is described by its first and last value and its extremes."""
    assert _describe(Line("x", list(range(len(values))), values)) == text
