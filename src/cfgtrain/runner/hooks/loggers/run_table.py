"""The table that a run is on a terminal: a row per epoch, in columns that fit its width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Row", "RunTable", "Styled"]

GAP = "  "
MARKS_WIDTH = len("best saved")
MARK_STYLES = {"best": "bold green"}
LONGEST_NAME = 14

Styled = list[tuple[str, str]]  # a line: pieces of text, each with a style


@dataclass
class Row:
    """One row.

    Attributes:
        done: Complete epochs or iterations.
        lr: Learning rate of each optimizer; the name of a single one is ``""``.
        train: Averages over the training since the last row, by name.
        val: Losses and scores of the evaluation at its end.
        seconds: Duration since the last row.
        marks: Words after the row, such as ``"best"``.
    """

    done: int
    lr: Mapping[str, float] = field(default_factory=dict)
    train: Mapping[str, float] = field(default_factory=dict)
    val: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    marks: Sequence[str] = ()


class _Column(NamedTuple):
    """A column: its group (``"lr"``, ``"train"``, ``"val"`` or ``""``), the name of its values, title and width."""

    group: str
    name: str
    title: str
    width: int


class RunTable:
    """Lays out rows under a header. A column that does not fit the width is left out.

    Args:
        unit: What rows count, ``"epoch"`` or ``"iter"``.
        total: Length of the run in it, or None if it is unknown.
        val_names: Names of the values of an evaluation, as far as they are known before the first one.
        main: Name of the score that decides which checkpoint is the best, or None.
    """

    def __init__(
        self, unit: str, total: int | None, val_names: Iterable[str] = (), main: str | None = None
    ) -> None:
        self.unit = unit
        self._total, self._main = total, main
        self._names: dict[str, list[str]] = {"lr": [], "train": [], "val": list(val_names)}
        self._columns: list[_Column] = []
        self._width = 0

    def lines(self, row: Row, width: int) -> list[Styled]:
        """Return the lines to print for a row, with a header if there are new columns or another width.

        Args:
            row: The row.
            width: How many characters a line may have.
        """
        new = False
        for names, values in zip(self._names.values(), (row.lr, row.train, row.val), strict=True):
            added = [name for name in values if name not in names]
            names += added
            new = new or bool(added)
        header: list[Styled] = []
        if new or width != self._width:
            self._width = width
            self._columns = self._fitting(width)
            header = self._header()
        return [*header, self._line(row)]

    def _fitting(self, width: int) -> list[_Column]:
        """Return the columns that fit, in the order of the table; the most important ones are chosen first."""
        count = len(str(self._total)) if self._total is not None else 6
        first = _Column("", "done", self.unit, max(len(self.unit), 2 * count + 1 if self._total else count))
        lr, train, val = ([_column(group, each) for each in self._names[group]] for group in self._names)
        train.sort(key=lambda column: "loss" not in column.name)
        val.sort(key=lambda column: "loss" not in column.name)
        time, marks = _Column("", "time", "time", 7), _Column("", "marks", "", MARKS_WIDTH)
        scores = [column for column in val if "loss" not in column.name]
        scores.sort(key=lambda column: column.name != self._main)
        wanted = [
            *train[:1],
            *val[:1],
            *scores[:1],
            *lr[:1],
            marks,
            time,
            *train[1:2],
            *scores,
            *lr,
            *val,
            *train,
        ]
        chosen, used = [first], first.width
        for column in dict.fromkeys(wanted):
            if used + len(GAP) + column.width <= width:
                chosen.append(column)
                used += len(GAP) + column.width
        return [column for column in (first, *lr, *train, *val, time, marks) if column in chosen]

    def _header(self) -> list[Styled]:
        groups, titles = "", ""
        for group, columns in _runs(self._columns):
            width = sum(column.width + len(GAP) for column in columns)
            label = f" {group} ".center(width - len(GAP), "-") if group in ("train", "val") else ""
            groups += label.ljust(width - len(GAP)) + GAP
            titles += "".join(column.title.rjust(column.width) + GAP for column in columns)
        return [[(text.rstrip(), "bold")] for text in (groups, titles)]

    def _line(self, row: Row) -> Styled:
        done = str(row.done) if self._total is None else f"{row.done}/{self._total}"
        cells = {"done": done, "time": duration(row.seconds), "marks": ""}
        values = {"lr": row.lr, "train": row.train, "val": row.val}
        line = [
            (
                cells[column.name].rjust(column.width)
                if column.group == ""
                else _cell(column, values[column.group].get(column.name)).rjust(column.width)
            )
            for column in self._columns
            if column.name != "marks"
        ]
        styled: Styled = [(GAP.join(line), "")]
        if any(column.name == "marks" for column in self._columns):
            for number, mark in enumerate(row.marks):
                styled += [(" " if number else GAP, ""), (mark, MARK_STYLES.get(mark, ""))]
        return styled


def _runs(columns: Iterable[_Column]) -> Iterable[tuple[str, list[_Column]]]:
    """Return the columns by group, in order."""
    runs: list[tuple[str, list[_Column]]] = []
    for column in columns:
        if runs and runs[-1][0] == column.group:
            runs[-1][1].append(column)
        else:
            runs.append((column.group, [column]))
    return runs


def _column(group: str, name: str) -> _Column:
    title = name if group != "lr" else f"lr {name}".rstrip()
    if len(title) > LONGEST_NAME:
        title = f"{title[: LONGEST_NAME - 3]}..."
    return _Column(group, name, title, max(len(title), 8 if group == "lr" else 7))


def _cell(column: _Column, value: float | None) -> str:
    if value is None:
        return "-"
    if column.group == "lr":
        return f"{value:.2e}"
    formats = ("d",) if isinstance(value, int) else (".4f", ".1f")
    texts = (format(value, each) for each in (*formats, ".1e", ".0e"))
    return next((each for each in texts if len(each) <= column.width), "?")


def duration(seconds: float) -> str:
    """Return a duration such as ``0.7 s``, ``1:05`` or ``2:03:05``, in minutes and hours from one minute on."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
