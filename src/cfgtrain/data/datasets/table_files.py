"""Read the columns of csv, npz and parquet files."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property, partial
from importlib import import_module
from importlib.util import find_spec
from numbers import Real
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from cfgtrain.data.datasets.splits import positions
from cfgtrain.errors import ArgumentError, FileContentError, MissingLibraryError
from cfgtrain.fileio.content import decode_text
from cfgtrain.origin import Origin
from cfgtrain.suggestions import listed

__all__ = ["TableFile", "read_table", "shared_tables"]

_shared: dict[tuple[Any, ...], TableFile] | None = None  # the files of shared_tables

# The cells of a column: numbers, where NaN is a missing one, or texts, where "" is a missing one.
Cells = np.ndarray[Any, np.dtype[np.float64]] | list[str]

# By the index of a row, what makes the error for its first wrong cell.
WrongRows = dict[int, Callable[[], Exception]]

_NO_NAMES = "For a csv file without a line of names, list them in columns=[...] of the dataset."

DELIMITERS = (",", ";", "\t", "|")


class TableFile:
    """The columns of a file.

    Args:
        path: The file.
        columns: The cells of each column.
        lines: The 1-based line of each row in a text file; None for other files.
        groups: The names of the columns of each array with two dimensions.
        error: Why the file cannot be used, if it stands for one that cannot; it has one row, without values.

    Attributes:
        num_rows: Number of rows.
    """

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, Cells],
        lines: Sequence[int] | None = None,
        groups: Mapping[str, list[str]] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.path = path
        self.error = error
        self.columns = dict(columns)
        self.lines = None if lines is None else np.asarray(lines, dtype=np.int32)
        self.groups = dict(groups or {})
        self._parsed: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
        self.num_rows = len(next(iter(self.columns.values())))

    def names(self, name: str, argument: str) -> list[str]:
        """Return the names of the columns that a name selects: one, or all columns of an array.

        Raises:
            ArgumentError: There is no such column.
        """
        if name in self.groups:
            return self.groups[name]
        if name not in self.columns:
            known = [*self.groups, *(each for each in self.columns if "[" not in each or not self.groups)]
            names = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise ArgumentError(
                f"{self.path} has no column {name!r}. Its columns are {names}.",
                hint=_NO_NAMES if 2 * sum(map(_is_number, self.columns)) >= len(self.columns) else "",
                near=(name, list(self.columns)),
                argument=argument,
            )
        return [name]

    def row_place(self, row: int) -> str:
        """Return where a row is, such as ``houses.csv, line 17``."""
        return place_of(self.path, None if self.lines is None else int(self.lines[row]), row)

    def is_numeric(self, name: str) -> bool:
        """Return whether a column has numbers: most of its cells that are not empty are numbers.

        Numbers with commas count too, so that ``numbers`` reports them; they are not the names of categories.
        """
        cells = self.columns[name]
        if not isinstance(cells, list):
            return True
        missing = np.isnan(self._values(name))
        if not missing.any():
            return True
        counts = Counter(cells)  # categories are few different ones
        del counts[""]
        texts = sum(count for cell, count in counts.items() if not _is_number(cell) and not _has_commas(cell))
        return texts * 2 < counts.total() or not texts

    def numbers(
        self, name: str, hint: str = "", wrong_rows: WrongRows | None = None
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the numbers of a column, (N,).

        Args:
            name: Name of the column.
            hint: What the message says of a cell with a text.
            wrong_rows: Gets the rows in which the cell is wrong, instead of an error; their numbers have no meaning.

        Raises:
            FileContentError: A cell is empty or is not a finite number; the message names the first one.
        """
        cells = self.columns[name]
        values = self._values(name)

        def error(rows: Sequence[int]) -> FileContentError:
            cell = cells[rows[0]] if isinstance(cells, list) else str(values[rows[0]]).replace("nan", "")
            advice = hint
            if not cell or _is_number(cell):
                advice = "Numbers must be finite." if cell else ""
            elif _has_commas(cell):
                advice = f"Numbers have a decimal point and no commas. {hint}".rstrip()
            return self._cell_error(name, rows, cell, "a number is needed", advice)

        _report(np.flatnonzero(~np.isfinite(values)).tolist(), error, wrong_rows)
        return values

    def texts(self, name: str, wrong_rows: WrongRows | None = None) -> list[str]:
        """Return the cells of a column as texts.

        Args:
            name: Name of the column.
            wrong_rows: As for ``numbers``.

        Raises:
            FileContentError: A cell is empty; the message names the first one.
        """
        cells = self.columns[name]
        if isinstance(cells, list):
            texts = cells
        else:
            texts = ["" if math.isnan(cell) else f"{cell:.15g}" for cell in cells.tolist()]
        wrong = [row for row, text in enumerate(texts) if not text]
        _report(wrong, lambda rows: self._cell_error(name, rows, "", "a value is needed"), wrong_rows)
        return texts

    def codes(
        self, name: str, categories: Sequence[str], wrong_rows: WrongRows | None = None
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the index of each cell of a column in ``categories``, (N,).

        Args:
            name: Name of the column.
            categories: The categories.
            wrong_rows: As for ``numbers``; the codes of these rows are 0.

        Raises:
            FileContentError: A cell is empty or is not one of the categories.
        """
        index = {category: code for code, category in enumerate(categories)}
        texts = self.texts(name, wrong_rows)
        codes = np.fromiter((index.get(text, -1) for text in texts), np.int64, len(texts))

        def error(rows: Sequence[int]) -> FileContentError:
            text = texts[rows[0]]
            wanted = f"the training dataset has {listed(categories, 10)}"
            return self._cell_error(name, rows, text, wanted, near=(text, list(categories)))

        _report(np.flatnonzero(codes < 0).tolist(), error, wrong_rows)
        return np.maximum(codes, 0)

    @cached_property
    def positions(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The number of each row that decides to which split it belongs, (N,); it depends only on the content."""
        return positions(self.contents())

    def contents(self) -> Iterator[str]:
        """Yield the content of each row, without its position."""
        cells = [cells if isinstance(cells, list) else cells.tolist() for cells in self.columns.values()]
        for row in zip(*cells, strict=True):
            yield "\x1f".join(map(str, row))

    def _values(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the numbers in the cells of a column, (N,); NaN where there is none."""
        if name not in self._parsed:
            cells = self.columns[name]
            if isinstance(cells, list):
                try:
                    self._parsed[name] = np.fromiter(map(float, cells), np.float64, len(cells))
                except ValueError:
                    numbers = {cell: _number(cell) for cell in set(cells)}
                    self._parsed[name] = np.fromiter(map(numbers.__getitem__, cells), np.float64, len(cells))
            else:
                self._parsed[name] = cells
        return self._parsed[name]

    def _cell_error(
        self,
        name: str,
        rows: Sequence[int],
        cell: str,
        wanted: str,
        hint: str = "",
        near: tuple[str, Sequence[str]] | None = None,
    ) -> FileContentError:
        """Return the error for the first of some cells: the file, the line, the column and the value."""
        has = f"has the value {cell!r}" if cell else "has an empty cell"
        more = f" The column has {len(rows) - 1} more such cells." if len(rows) > 1 else ""
        return FileContentError(
            f"{self.row_place(rows[0])}: column {name!r} {has}, and {wanted}.{more}",
            hint=hint,
            near=near,
        )


def _report(
    rows: list[int], error: Callable[[Sequence[int]], FileContentError], wrong_rows: WrongRows | None
) -> None:
    """Raise the error for rows with a wrong cell, if there are any, or add them to ``wrong_rows`` if it is given."""
    if wrong_rows is None and rows:
        raise error(rows)
    if wrong_rows is not None:
        for row in rows:
            wrong_rows.setdefault(row, partial(error, [row]))


def place_of(path: Path, line: int | None, row: int) -> str:
    """Return where a row is: its line in a text file, else its 1-based number."""
    return f"{path}, line {line}" if line is not None else f"{path}, row {row + 1}"


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    optional: Sequence[str] = (),
) -> TableFile:
    """Read a csv, npz or parquet file.

    Args:
        path: The file; its extension names the format. All that is not .npz or .parquet is csv.
        columns: Names of the columns of a csv file without a line of names; None: its first line has the names.
        delimiter: What separates the cells of a csv file; None: comma, semicolon, tab or ``|``, whichever the first
            line has most.
        optional: Those of ``columns`` that the file may lack, either all of them or none.

    Raises:
        FileContentError: The content of the file is not valid.
        MissingLibraryError: A parquet file is to be read, and neither pyarrow nor pandas is installed.
    """
    if _shared is None:
        return _read(path, columns, delimiter, optional)
    key = (path.absolute(), None if columns is None else tuple(columns), delimiter, tuple(optional))
    if key not in _shared:
        _shared[key] = _read(path, columns, delimiter, optional)
    return _shared[key]


def read_table_or_error(
    path: Path,
    needed: Sequence[str],
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    optional: Sequence[str] = (),
) -> TableFile:
    """Read a file as ``read_table`` does; one that is not valid becomes a table with one row and the ``error``.

    Args:
        path: See ``read_table``.
        needed: Names of the columns that the file must have.
        columns: See ``read_table``.
        delimiter: See ``read_table``.
        optional: See ``read_table``.
    """
    try:
        file = read_table(path, columns, delimiter, optional)
        for name in needed:
            if name not in file.columns:
                file.names(name, "path")  # raises
    except (ArgumentError, FileContentError, OSError) as error:
        return TableFile(path, {name: [""] for name in needed}, error=error)
    return file


@contextmanager
def shared_tables() -> Iterator[None]:
    """Read a file once that several tables have which are built within the block, such as those of the splits."""
    global _shared
    before, _shared = _shared, {}
    try:
        yield
    finally:
        _shared = before


def _read(
    path: Path, columns: Sequence[str] | None, delimiter: str | None, optional: Sequence[str]
) -> TableFile:
    extension = path.suffix.lower()
    if extension == ".npz":
        return _read_npz(path)
    if extension == ".parquet":
        return _read_parquet(path)
    return _read_csv(path, columns, delimiter, optional)


def _read_csv(
    path: Path, columns: Sequence[str] | None, delimiter: str | None, optional: Sequence[str] = ()
) -> TableFile:
    text = decode_text(path.read_bytes(), str(path))
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = delimiter or max(
        DELIMITERS, key=lambda each: len(next(csv.reader([first], delimiter=each), []))
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    columns_of: list[list[str]] = []
    lines: list[int] = []
    end = 0  # the last line of the row before: a quoted cell may have several lines
    names = None if columns is None else list(columns)
    try:
        for row in reader:
            line, end = end + 1, reader.line_num
            if not any(map(str.strip, row)):
                continue
            if names is None:
                names = _header(list(map(str.strip, row)), path, line)
                continue
            if not lines and columns is not None:
                cells_of_row = set(map(str.strip, row))
                if len(cells_of_row) == len(row) and cells_of_row <= set(columns):
                    names = _header(list(map(str.strip, row)), path, line)  # it has names nevertheless
                    continue
                given = [name for name in names if name not in optional]
                names = given if len(row) == len(given) else names
            if len(row) != len(names):
                raise FileContentError(
                    f"{path}, line {line} has {len(row)} cells, and there are {len(names)} columns: {', '.join(names)}.",
                    origin=Origin(str(path), line),
                )
            if not columns_of:
                columns_of = [[] for _ in names]
            for cells, cell in zip(
                columns_of, row, strict=True
            ):  # a list of rows takes several times as long
                cells.append(cell.strip())
            lines.append(line)
    except csv.Error as error:
        raise FileContentError(
            f"{path} is not valid csv: {error}.", origin=Origin(str(path), reader.line_num)
        ) from error
    if not lines or names is None:
        first_line = (
            "" if names is None or columns is not None else f" after its names of columns, {', '.join(names)}"
        )
        raise FileContentError(f"{path} has no rows{first_line}.")
    return TableFile(path, dict(zip(names, columns_of, strict=True)), lines)


def _header(names: list[str], path: Path, line: int) -> list[str]:
    """Return the names of the columns, after checking them."""
    origin = Origin(str(path), line)
    if all(map(_is_number, names)):
        raise FileContentError(
            f"The first line of {path} has numbers, and names of columns are needed there. {_NO_NAMES}",
            origin=origin,
        )
    for number, name in enumerate(names, 1):
        if not name:
            raise FileContentError(f"Column {number} of {path} has no name.", origin=origin)
        if name in names[: number - 1]:
            raise FileContentError(f"{path} has two columns {name!r}.", origin=origin)
    return names


def _read_npz(path: Path) -> TableFile:
    columns: dict[str, Cells] = {}
    groups: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not isinstance(arrays, Mapping):
                raise FileContentError(f"{path} is a single array without a name: save it with numpy.savez.")
            for name, array in arrays.items():
                if array.ndim not in (1, 2):
                    raise FileContentError(
                        f"Array {name!r} of {path} has shape {array.shape}: a column has shape (rows,), and several "
                        "have shape (rows, columns)."
                    )
                sizes[name] = len(array)
                if array.ndim == 1:
                    columns[name] = _cells(array, name, path)
                else:
                    groups[name] = [f"{name}[{i}]" for i in range(array.shape[1])]
                    columns |= {each: _cells(array[:, i], name, path) for i, each in enumerate(groups[name])}
    except (ValueError, BadZipFile, EOFError) as error:
        if isinstance(error, FileContentError):
            raise
        raise FileContentError(f"{path} is not a valid npz file: {error}") from error
    if not columns or not all(sizes.values()):
        raise FileContentError(f"{path} has no rows.")
    if len(set(sizes.values())) > 1:
        raise FileContentError(
            f"The arrays of {path} have different numbers of rows: "
            f"{', '.join(f'{name} {size}' for name, size in sizes.items())}."
        )
    return TableFile(path, columns, groups=groups)


def _cells(array: np.ndarray[Any, Any], name: str, path: Path) -> Cells:
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind == "U":
        return [str(text).strip() for text in array]
    raise FileContentError(
        f"Array {name!r} of {path} has dtype {array.dtype}: it must have numbers or texts."
    )


def _read_parquet(path: Path) -> TableFile:
    try:
        if find_spec("pyarrow") is not None:
            parquet = import_module("pyarrow.parquet")
            table = parquet.read_table(path)
            lists = {name: table[name].to_pylist() for name in table.column_names}
        elif find_spec("pandas") is not None:
            table = import_module("pandas").read_parquet(path).astype(object)
            table = table.where(table.notna(), None)
            lists = {str(name): table[name].to_list() for name in table.columns}
        else:
            raise MissingLibraryError(
                f"{path} cannot be read: a parquet file needs pyarrow or pandas. Install one, such as with "
                "`pip install pyarrow`, or save the table as csv or npz."
            )
    except (OSError, ValueError) as error:  # the errors of pyarrow are subclasses of them
        raise FileContentError(f"{path} is not a valid parquet file: {error}") from error
    columns = {name: _cells_of_values(values) for name, values in lists.items()}
    if not columns or not len(next(iter(columns.values()))):
        raise FileContentError(f"{path} has no rows.")
    return TableFile(path, columns)


def _cells_of_values(values: Sequence[Any]) -> Cells:
    """Return the cells of a column of Python objects: numbers if all values that are not missing are numbers."""
    filled = [
        None if value is None or value != value else value for value in values
    ]  # NaN is not equal to itself
    if all(isinstance(value, Real | Decimal | None) for value in filled):
        return np.array([math.nan if value is None else float(value) for value in filled], dtype=np.float64)
    return ["" if value is None else str(value).strip() for value in filled]


def _is_number(cell: str) -> bool:
    return not math.isnan(_number(cell)) or cell.strip("+-").lower() == "nan"


def _has_commas(cell: str) -> bool:
    """Return whether a cell is a number with a decimal comma, or with commas between thousands."""
    return "," in cell and not math.isnan(_number(cell.replace(",", "")))


def _number(cell: str) -> float:
    """Return the number in a cell, or NaN if there is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
