from __future__ import annotations

import pytest

from cfgtrain.runner.hooks.loggers.run_table import Row, RunTable, duration


def text(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in lines]


def row(done: int = 1, **more: float) -> Row:
    return Row(
        done,
        {"": 0.1},
        {"loss": 1.5, "accuracy": 0.25, **more},
        {"loss": 0.5, "accuracy": 0.75},
        12.34,
        ("best", "saved"),
    )


HEADER = [
    "                 ----- train -----  ------ val ------",
    "epoch        lr     loss  accuracy     loss  accuracy     time",
]


def test_layout() -> None:
    """A header of two lines, and a row under it; the header is not repeated."""
    table = RunTable("epoch", 15)
    lines = text(table.lines(row(), 79))
    assert lines == [*HEADER, " 1/15  1.00e-01   1.5000    0.2500   0.5000    0.7500   12.3 s  best saved"]
    assert text(table.lines(Row(2, {"": 0.001}, {"loss": 1.25}), 79)) == [
        " 2/15  1.00e-03   1.2500         -        -         -    0.0 s"
    ]


@pytest.mark.parametrize("width", [40, 60, 79, 119, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Columns that do not fit are left out, the loss and the score of the evaluation last."""
    table = RunTable("epoch", 15)
    wide = row(**{f"part{i}.loss_of_a_long_name": 0.5 for i in range(8)})
    lines = text(table.lines(wide, width))
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith(" 1/15")
    for value in ("1.5000", "0.5000", "0.7500"):
        assert value in lines[-1]
    assert ("1.00e-01" in lines[-1]) == (width >= 60)
    assert (lines[1].count("...") == 8) == (width == 300)


def test_score_of_the_best_checkpoint_comes_first() -> None:
    """If not all scores fit, the one that decides which checkpoint is the best is shown."""
    table = RunTable("epoch", 9, main="mAP")
    found = text(table.lines(Row(1, {}, {"loss": 1.0}, {"precision": 0.1, "recall": 0.2, "mAP": 0.3}), 36))
    assert "mAP" in found[1]
    assert "recall" not in found[1]


def test_new_names_and_another_width_repeat_the_header() -> None:
    """Names that are known before the first evaluation have their columns from the start."""
    table = RunTable("epoch", 15, ["loss", "accuracy"])
    begin = Row(1, {"": 0.1}, {"loss": 1.5, "accuracy": 0.25})
    assert text(table.lines(begin, 79))[:2] == HEADER
    assert len(table.lines(row(2), 79)) == 1
    assert len(table.lines(row(3), 60)) == 3
    assert len(table.lines(Row(4, val={"other": 1.0}), 60)) == 3


def test_several_optimizers_have_a_rate_each() -> None:
    """The columns have the names of the optimizers."""
    lines = text(RunTable("iter", None).lines(Row(7, {"gen": 0.1, "disc": 0.2}, {"loss": 1.0}), 79))
    assert lines[1].split() == ["iter", "lr", "gen", "lr", "disc", "loss", "time"]
    assert lines[2].split() == ["7", "1.00e-01", "2.00e-01", "1.0000", "0.0", "s"]


def test_columns_stay_aligned_for_any_value() -> None:
    """Large, small, infinite and whole numbers fit the width of their column."""
    table = RunTable("epoch", 999)
    values = (0.0, -1.5, 99.99999, 123.456, 9999.94, 1e6, -1e30, float("nan"), float("inf"), 7)
    lines = [text(table.lines(Row(1, {"": 0.1}, {"loss": v}), 79))[-1] for v in values]
    assert len({line.index(" s") for line in lines}) == 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00"),
        (65, "1:05"),
        (3599.9, "1:00:00"),
        (7385, "2:03:05"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_only_the_best_is_marked_in_colour() -> None:
    """A mark can be read without its colour."""
    (*_, line) = RunTable("epoch", 15).lines(row(), 79)
    assert [piece for piece in line if piece[1]] == [("best", "bold green")]
