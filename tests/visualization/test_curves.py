from __future__ import annotations

import sys
from pathlib import Path

import cv2
import pytest

from cfgtrain.errors import MissingLibraryError
from cfgtrain.visualization import Line, Panel, draw_panels
from cfgtrain.visualization.curves import _draw

PANELS = [
    Panel("learning rate", [Line("a", [0, 1, 2], [1.0, 2.0, 0.0]), Line("b", [0, 1, 2], [2.0, 1.0, 1.0])]),
    Panel("momentum", [Line("all", [0, 1, 2], [0.9, 0.8, 0.9])]),
]


@pytest.mark.parametrize("name", ["curves.png", "curves.svg", "curves.pdf", "CURVES.PNG"])
def test_panels_are_drawn(name: str, tmp_path: Path) -> None:
    """Each format is written, with one panel or more, with and without an axis of epochs."""
    for count, epochs in ((1, None), (2, 2)):
        draw_panels(PANELS[:count], tmp_path / name, "title", epochs)
        assert (tmp_path / name).stat().st_size > 3_000


def test_each_line_has_its_colour(tmp_path: Path) -> None:
    """The image contains the colours of both lines, and not the third colour."""
    draw_panels(PANELS[:1], tmp_path / "curves.png")
    picture = cv2.imread(str(tmp_path / "curves.png"))[..., ::-1].reshape(-1, 3)
    colors = {tuple(int(v) for v in pixel) for pixel in picture}
    assert (0x00, 0x72, 0xB2) in colors
    assert (0xD5, 0x5E, 0x00) in colors
    assert (0x00, 0x9E, 0x73) not in colors


def test_lines_of_one_colour_differ_in_dashes() -> None:
    """If there are more lines than colours, no two lines look the same."""
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    _draw(axis, Panel("learning rate", [Line(str(i), [0, 1], [i, i]) for i in range(20)]))
    looks = {(line.get_color(), line.get_linestyle()) for line in axis.get_lines()}
    assert len(looks) == 20


def test_lines_may_share_a_colour_and_have_points() -> None:
    """The training and the validation of a run have one colour; the validation has points."""
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    lines = [Line(f"{i}", [1.0, 2.0], [1.0, 2.0], has_points=i % 2 == 1, color=i // 2) for i in range(4)]
    _draw(axis, Panel("loss", lines))
    looks = [(line.get_color(), line.get_marker()) for line in axis.get_lines()]
    first, second = looks[0][0], looks[2][0]
    assert looks == [(first, "None"), (first, "o"), (second, "None"), (second, "o")]
    assert first != second


@pytest.mark.parametrize(("count", "drawn", "title"), [(7, 7, ""), (40, 32, "and 8 more, not drawn")])
def test_large_legend_is_beside_the_axes(count: int, drawn: int, title: str) -> None:
    """A legend with many labels is placed beside the axes, and states how many lines are not drawn."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axis = figure.subplots()
    _draw(axis, Panel("learning rate", [Line(str(i), [0, 1], [i, i]) for i in range(count)]))
    figure.draw_without_rendering()
    assert len(axis.get_lines()) == len(axis.get_legend().get_texts()) == drawn
    assert axis.get_legend().get_title().get_text() == title
    assert axis.get_legend().get_window_extent().x0 >= axis.get_window_extent().x1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("curves.gif", ".png, .svg or .pdf, not as 'curves.gif'"),
        ("none/curves.png", "the folder 'none' does not exist"),
    ],
)
def test_invalid_path(path: str, text: str) -> None:
    """An unknown format or a missing folder raises an error."""
    with pytest.raises(ValueError, match=text):
        draw_panels(PANELS, path)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'cfgtrain\[plot\]'"):
        draw_panels(PANELS, "curves.png")
