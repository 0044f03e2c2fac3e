"""The output of ``cfgtrain predict``: a table, JSON, and a folder with files and pictures."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cfgtrain.errors import ArgumentError
from cfgtrain.experiment.predictions import ClassScore, Prediction
from cfgtrain.experiment.trained_model import TrainedModel
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.image.io import imwrite
from cfgtrain.suggestions import printable
from cfgtrain.visualization.caption import with_caption

_LEAST_NAME = 16  # characters of a file name in the table
_MAX_CLASS = 24  # characters of a class name in the table
_FILES = ("predictions.json", "predictions.csv", "pictures")


class OutputFolder:
    """The folder that predictions are written to.

    Args:
        path: The folder.
        overwrite: Whether files of an earlier call may be replaced.

    Raises:
        ArgumentError: It contains predictions, which may not be replaced, or is not a folder.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        if path.exists() and not path.is_dir():
            raise ArgumentError(f"--out must be a folder, and {str(path)!r} is a file.")
        there = [name for name in _FILES if (path / name).exists()]
        if there and not overwrite:
            raise ArgumentError(
                f"The folder {str(path)!r} already contains {', '.join(there)}. Use --overwrite to replace them."
            )
        self.path = path
        self._taken: set[str] = set()

    def create(self) -> None:
        """Create the folder.

        Raises:
            ArgumentError: It cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(f"Cannot create the folder {str(self.path)!r}: {error.strerror}.") from error

    def add_picture(self, prediction: Prediction, source: Any, name: Path) -> None:
        """Write a picture with what is predicted for it.

        Args:
            prediction: The prediction.
            source: The image, or its path.
            name: Path of the picture in the folder, made unique by a number.
        """
        suffix = name.suffix.lower() if name.suffix.lower() in (".jpg", ".jpeg") else ".png"
        path, number = name.with_suffix(suffix), 1
        while str(path).casefold() in self._taken:
            number += 1
            path = name.with_name(f"{name.stem}_{number}{suffix}")
        self._taken.add(str(path).casefold())
        target = self.path / "pictures" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        imwrite(with_caption(source, _caption(prediction)), target)

    def write(self, predictions: Sequence[Prediction], model: TrainedModel) -> None:
        """Write all predictions as JSON and as a table."""
        document = json.dumps(as_document(predictions, model), indent=2, ensure_ascii=False)
        for name, text in (("predictions.json", f"{document}\n"), ("predictions.csv", as_csv(predictions))):
            with atomic_write(self.path / name) as file:
                file.write(text.encode("utf-8", "surrogateescape"))


def as_document(predictions: Sequence[Prediction], model: TrainedModel) -> dict[str, Any]:
    """Return all predictions as plain types."""
    return {
        "checkpoint": model.checkpoint,
        "classes": model.metainfo.get("classes"),
        "failed": sum(each.error is not None for each in predictions),
        "predictions": [each.as_dict() for each in predictions],
    }


def as_csv(predictions: Sequence[Prediction]) -> str:
    """Return all predictions as comma-separated values with a line of names."""
    rows = [_csv_row(each) for each in predictions]
    names = list(dict.fromkeys(name for row in rows for name in row if name != "error"))
    names += ["error"] if any("error" in row for row in rows) else []
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _csv_row(each: Prediction) -> dict[str, Any]:
    row: dict[str, Any] = {"input": each.source}
    if each.error is not None:
        return row | {"error": each.error}
    if each.present is not None:
        row["classes"] = "; ".join(found.label for found in each.present)
    for i, found in enumerate(each.top, 1):
        end = "" if i == 1 and each.present is None else f"_{i}"
        row |= {f"class{end}": found.label, f"index{end}": found.index, f"score{end}": f"{found.score:.6g}"}
    row |= each.values
    if each.text is not None:
        row["text"] = each.text
    if each.output is not None:
        row["output"] = json.dumps(each.as_dict()["output"], ensure_ascii=False)
    return row


def table(predictions: Sequence[Prediction]) -> str:
    """Return a line for each prediction, on a terminal as wide as it at most, and complete in a pipe."""
    good = [each for each in predictions if each.error is None]
    if any(each.text is not None for each in good):
        return "\n\n".join(f"{each.source}:\n{each.text}" for each in good)
    rows = [_header(good[0]), *map(_row, good)]
    rows = [tuple(printable(cell).replace("\n", " ") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if columns is not None and not good[0].values:
        widths[1] = min(widths[1], _MAX_CLASS) if len(widths) > 2 else widths[1]
        others = sum(widths[1:-1]) + 2 * (len(widths) - 1)
        widths[0] = min(widths[0], max(columns - others - min(widths[-1], columns // 3), _LEAST_NAME))
        widths[-1] = max(columns - others - widths[0], 1)
    elif columns is not None:
        widths[0] = min(widths[0], max(columns - sum(widths[1:]) - 2 * (len(widths) - 1), _LEAST_NAME))
    numbers = range(1, len(widths)) if good[0].values else [2] if len(widths) == 4 else []
    return "\n".join(
        "  ".join(
            _fitted(cell, width, at_end=i > 0).rjust(width)
            if i in numbers
            else _fitted(cell, width, i > 0).ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _header(first: Prediction) -> tuple[str, ...]:
    if first.values:
        return "input", *first.values
    if first.present is not None:
        return "input", "classes", "next"
    return ("input", "class", "score", "next") if first.top else ("input", "output")


def _row(each: Prediction) -> tuple[str, ...]:
    if each.values:
        return each.source, *(f"{value:.6g}" for value in each.values.values())
    if each.present is not None:
        rest = [found for found in each.top if found not in each.present]
        return each.source, _listed(each.present, each) or "none", _listed(rest, each)
    if each.top:
        first, *rest = each.top
        return each.source, first.label, _score(first.score, each), _listed(rest, each)
    return each.source, _described(each.output)


def _listed(found: Sequence[ClassScore], of: Prediction) -> str:
    return ", ".join(f"{each.label} {_score(each.score, of)}" for each in found)


def _score(score: float, each: Prediction) -> str:
    """Return a score as text, in percent if those of all classes are probabilities."""
    scores = each.scores
    are_probabilities = scores is not None and bool(((scores >= 0) & (scores <= 1)).all())
    return f"{score:.1%}" if are_probabilities else f"{score:.4g}"


def _described(output: Any) -> str:
    """Return an output in short: the shape of an array, the keys of a dict."""
    if hasattr(output, "shape"):
        return f"array {tuple(output.shape)}"
    if isinstance(output, dict):
        return ", ".join(f"{key}: {_described(each)}" for key, each in output.items())
    return f"{len(output)} items" if isinstance(output, list) else str(output)


def _fitted(text: str, width: int, at_end: bool) -> str:
    """Return a text without its end, or its beginning, if it is longer than ``width``."""
    if len(text) <= width:
        return text
    if not at_end:
        return f"…{text[1 - width :]}"
    start = text[: width - 1]
    return f"{start.rpartition(', ')[0]}, …" if ", " in start[:-1] else f"{start}…"


def _caption(each: Prediction) -> list[str]:
    """Return the lines above a picture."""
    if each.present is not None:
        return [_listed(each.present, each) or "none of the classes"]
    if each.top:
        first, *rest = each.top
        return [f"{first.label}  {_score(first.score, each)}", *([_listed(rest[:2], each)] if rest else [])]
    if each.values:
        return [", ".join(f"{name} {value:.6g}" for name, value in each.values.items())]
    return [_described(each.output)]


def summary(
    predictions: Sequence[Prediction],
    model: TrainedModel,
    kind: str,
    num_ignored: int,
    out: Path | None,
    seconds: float,
) -> str:
    """Return the last lines: how many inputs were predicted, how long it took, and where the results are.

    Args:
        predictions: All predictions.
        model: The model.
        kind: What an input is, in one word.
        num_ignored: Number of files that were not used, because they are not images.
        out: The folder with the results, or None.
        seconds: Duration.
    """
    good = sum(each.error is None for each in predictions)
    total = len(predictions)
    of = f"{good} of {total}" if good < total else str(good)
    lines = [f"Predicted {of} {kind}{'s' * (total != 1)} with {model.checkpoint} in {seconds:.1f} s."]
    if num_ignored:
        files = (
            "1 file that is not an image" if num_ignored == 1 else f"{num_ignored} files that are not images"
        )
        lines[0] += f" Skipped: {files}."
    if out is not None:
        lines.append(f"The predictions are in {out}.")
    return "\n".join(lines)
