"""Text files of lines."""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cfgtrain.errors import ArgumentError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name

__all__ = ["dict_from_file", "list_from_file"]

Key = TypeVar("Key", bound=Hashable)


def list_from_file(
    filename: str | Path,
    prefix: str = "",
    offset: int = 0,
    max_num: int = 0,
    encoding: str = "utf-8",
    file_client_args: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return the lines of a text file, without their ends.

    Args:
        filename: Path or URI.
        prefix: Put before each line.
        offset: Lines to skip.
        max_num: Lines to return at most; 0 and less for all.
        encoding: Of the file.
        file_client_args: Arguments of the ``FileClient``, by default the one for ``filename``.

    Raises:
        ArgumentError: ``offset`` is negative.
    """
    if offset < 0:
        raise ArgumentError(f"offset is a number of lines to skip, not {offset!r}.")
    stop = offset + max_num if max_num > 0 else None
    lines = islice(_lines(filename, encoding, file_client_args), offset, stop)
    return [prefix + line for line in lines]


def dict_from_file(
    filename: str | Path,
    key_type: Callable[[str], Key] = str,  # type: ignore[assignment]  # str unless told otherwise
    encoding: str = "utf-8",
    file_client_args: Mapping[str, Any] | None = None,
) -> dict[Key, str | list[str]]:
    """Return a dict of the columns of a text file: the first is the key, the others are the value.

    Columns are parted by whitespace. One column more is a str, several are a list. Blank lines
    are passed over; of lines with the same key the last one counts.

    Args:
        filename: Path or URI.
        key_type: Makes a key of the first column, such as ``int``.
        encoding: Of the file.
        file_client_args: Arguments of the ``FileClient``, by default the one for ``filename``.

    Raises:
        ArgumentError: A line has one column only.
    """
    found: dict[Key, str | list[str]] = {}
    for number, line in enumerate(_lines(filename, encoding, file_client_args), 1):
        columns = line.split()
        if not columns:
            continue
        place = f"{display_name(filename)}:{number}"
        if len(columns) == 1:
            raise ArgumentError(f"A line is a key and one value or more, not {line!r} ({place}).")
        try:
            key = key_type(columns[0])
        except Exception as error:
            error.add_note(f"while reading the key of {place}")
            raise
        found[key] = columns[1] if len(columns) == 2 else columns[1:]
    return found


def _lines(filename: str | Path, encoding: str, file_client_args: Mapping[str, Any] | None) -> list[str]:
    client = FileClient.infer_client(file_client_args, filename)
    # Not str.splitlines(), which ends lines at form feeds and at the separators of Unicode, too.
    return [line.rstrip("\r\n") for line in io.StringIO(client.get_text(filename, encoding))]
