"""The encoding of the columns of tables: standardized numbers and codes of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cfgtrain.data.datasets.table_files import TableFile, WrongRows
from cfgtrain.errors import ArgumentError

__all__ = ["check_metainfo", "encode", "learn_metainfo"]

Array = np.ndarray[Any, Any]


def _select(file: TableFile, names: Sequence[str], argument: str) -> list[str]:
    selected = [column for name in names for column in file.names(name, argument)]
    twice = next((name for i, name in enumerate(selected) if name in selected[:i]), None)
    if twice is not None:
        raise ArgumentError(f"{argument} has the column {twice!r} twice.", argument=argument)
    return selected


def learn_metainfo(
    files: Sequence[TableFile],
    train: Sequence[Array],
    inputs: list[str] | None,
    targets: list[str] | None,
    task: str | None,
    categorical: list[str],
    standardize: bool,
    one_hot: bool,
) -> dict[str, Any]:
    """Return what is known of the columns: the statistics of the training rows, the categories of all rows."""
    first = files[0]
    if targets is None:
        raise ArgumentError(
            f"targets is missing: name the column of {first.path} to predict, one of "
            f"{', '.join(first.columns)}.",
            argument="targets",
        )
    target_names = _select(first, targets, "targets")
    input_names = (
        [name for name in first.columns if name not in target_names]
        if inputs is None
        else _select(first, inputs, "inputs")
    )
    both = [name for name in input_names if name in target_names]
    if both or not input_names:
        problem = f"{both[0]!r} is an input and a target" if both else "There is no input"
        raise ArgumentError(f"{problem}.", argument="inputs")
    categories = set(_select(first, categorical, "categorical"))
    unused = sorted(categories - {*input_names, *target_names})
    if unused:
        raise ArgumentError(f"categorical has {unused[0]!r}, which is not an input.", argument="categorical")
    texts = [name for name in target_names if name in categories or not first.is_numeric(name)]
    task = task or ("classification" if texts else "regression")
    if task == "classification" and len(target_names) > 1:
        raise ArgumentError(
            f"A classification has one target, and targets are {', '.join(target_names)}. "
            + (f"{texts[0]!r} has texts." if texts else ""),
            argument="targets",
        )

    def learn(name: str, is_category: bool) -> dict[str, Any]:
        if is_category:
            return {"name": name, "kind": "category", "categories": _categories(files, name)}
        hint = f"If its values are categories, list {name!r} in categorical."
        numbers = [file.numbers(name, hint)[rows] for file, rows in zip(files, train, strict=True)]
        values = np.concatenate(numbers)
        if not len(values):
            raise ArgumentError(f"No row of {first.path} is in the training split.", argument="fractions")
        if not standardize:
            mean, std = 0.0, 1.0
        elif values.min() == values.max():  # its standard deviation may be a tiny rounding error
            mean, std = values[0], 1.0
        else:
            mean, std = values.mean(), values.std()
        return {"name": name, "kind": "number", "mean": float(mean), "std": float(std)}

    target_columns = [learn(name, task == "classification") for name in target_names]
    metainfo: dict[str, Any] = {
        "task": task,
        "inputs": [learn(name, name in categories or not first.is_numeric(name)) for name in input_names],
        "targets": target_columns,
        "one_hot": bool(one_hot),
    }
    if task == "classification":
        metainfo["classes"] = target_columns[0]["categories"]
    return metainfo


def _categories(files: Sequence[TableFile], name: str) -> list[str]:
    """Return the sorted categories of a column: as numbers if all are numbers, else as texts."""
    found = {text for file in files for text in file.texts(name)}
    try:
        return sorted(found, key=lambda text: (float(text), text))
    except ValueError:
        return sorted(found)


def check_metainfo(
    file: TableFile, metainfo: Mapping[str, Any], inputs: list[str] | None, targets: list[str] | None
) -> None:
    """Raise if the columns that are asked for are not those of the training dataset."""
    if "task" not in metainfo or "inputs" not in metainfo:
        raise ArgumentError(
            f"metainfo must be that of a Table, with the columns of the training dataset; it has "
            f"{', '.join(map(repr, metainfo)) or 'nothing'}. All datasets of a run must be tables.",
            argument="metainfo",
        )
    for argument, names in (("inputs", inputs), ("targets", targets)):
        trained = [each["name"] for each in metainfo[argument]]
        if names is not None and (selected := _select(file, names, argument)) != trained:
            raise ArgumentError(
                f"The {argument} must be those of the training dataset, {', '.join(trained)}, not "
                f"{', '.join(selected)}.",
                argument=argument,
            )


def encode(
    file: TableFile,
    columns: Sequence[Mapping[str, Any]],
    one_hot: bool = False,
    wrong_rows: WrongRows | None = None,
) -> Array:
    """Return the encoded columns of all rows of a file, float32 (N, D).

    Args:
        file: The file.
        columns: What is known of each column; see ``learn_metainfo``.
        one_hot: Whether a column of K categories becomes K columns.
        wrong_rows: Gets the rows with a wrong cell, instead of an error; their encoding has no meaning.
    """
    error = file.error
    if error is not None and wrong_rows is not None:
        wrong_rows[0] = lambda: error
    return np.concatenate([_encode_column(file, column, one_hot, wrong_rows) for column in columns], axis=1)


def _encode_column(
    file: TableFile, column: Mapping[str, Any], one_hot: bool, wrong_rows: WrongRows | None
) -> Array:
    name = column["name"]
    if name not in file.columns:
        file.names(name, "path")  # raises
    if column["kind"] == "number":
        numbers = file.numbers(name, "The column has numbers in the training dataset.", wrong_rows)
        values: Array = (numbers - column["mean"]) / column["std"]
        return values[:, None].astype(np.float32)
    codes = file.codes(name, column["categories"], wrong_rows)
    if one_hot:
        encoded: Array = np.eye(len(column["categories"]), dtype=np.float32)[codes]
        return encoded
    return codes[:, None].astype(np.float32)
