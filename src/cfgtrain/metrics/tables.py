"""Scores of classes as tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["class_table", "matrix_table"]

# A table of more classes shows the worst ones, and a matrix of more classes is not shown.
MAX_CLASSES = 50
MAX_WIDTH = 79
_MAX_NAME = 24


def class_table(columns: Mapping[str, Sequence[float]], classes: Sequence[str] = ()) -> str:
    """Return a row per class; of more than 50 classes, those with the lowest values in the first column of scores.

    Args:
        columns: For each column its name, and a value per class; int values are counts.
        classes: Names of the classes, by index; by default their indices.
    """
    size = max(map(len, columns.values()), default=0)
    if size == 0:
        return ""
    order, note = list(range(size)), ""
    if size > MAX_CLASSES:
        scores = next((values for name, values in columns.items() if name != "samples"), range(size))
        order = sorted((i for i in order if scores[i] == scores[i]), key=lambda i: scores[i])[:MAX_CLASSES]
        note = f"\n({len(order)} of {size} classes, those with the lowest scores)"
    rows = [["class", *columns]]
    rows += [[_name(i, classes), *(_text(values[i]) for values in columns.values())] for i in order]
    return _aligned(rows) + note


def matrix_table(matrix: Sequence[Sequence[float]], classes: Sequence[str] = ()) -> str:
    """Return a confusion matrix with a row per class; ``""`` if it is wider than 79 columns.

    If only the names of the classes make it wider, its columns have their indices.

    Args:
        matrix: Rows of the true classes, with a column per predicted class.
        classes: Names of the classes, by index; by default their indices.
    """
    if not matrix:
        return ""
    names = [_name(i, classes) for i in range(len(matrix))]
    cells = [list(map(_text, row)) for row in matrix]
    for columns, rows in (
        ([name[:6] for name in names], names),
        ([str(i) for i in range(len(names))], [f"{i} {name}" for i, name in enumerate(names)]),
    ):
        header = ["true \\ predicted", *columns]
        text = _aligned([header, *([name, *row] for name, row in zip(rows, cells, strict=True))])
        if max(map(len, text.splitlines())) <= MAX_WIDTH:
            return text
    return ""


def _name(index: int, classes: Sequence[str]) -> str:
    name = str(classes[index]) if index < len(classes) else str(index)
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else "-" if value != value else f"{value:.4f}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )
