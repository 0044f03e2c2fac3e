"""Read line-based text files."""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.content import read_text
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
    """Return the lines of a text file, without line endings.

    Args:
        filename: Path or URI.
        prefix: String to prepend to each line.
        offset: Number of lines to skip at the start.
        max_num: Maximum number of lines to return; all of them if it is 0 or negative.
        encoding: Encoding of the file. A byte order mark is removed, and the marks of UTF-16 and UTF-32 take
            precedence over the default.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from ``filename``.

    Raises:
        ArgumentError: ``offset`` is negative.
        EncodingError: The file is not valid in the encoding.
    """
    check_integer("offset", offset, 0)
    stop = offset + max_num if max_num > 0 else None
    lines = islice(_lines(filename, encoding, file_client_args), offset, stop)
    return [prefix + line for line in lines]


def dict_from_file(
    filename: str | Path,
    key_type: Callable[[str], Key] = str,  # type: ignore[assignment]  # with the default, Key is str
    encoding: str = "utf-8",
    file_client_args: Mapping[str, Any] | None = None,
) -> dict[Key, str | list[str]]:
    """Return a dict from a text file with one key and its values per line.

    Columns are separated by whitespace. The first column is the key. If there is one more column, it is the
    value, as a str; if there are several, the value is a list of str. Blank lines are skipped. If a key
    occurs more than once, the last line wins.

    Args:
        filename: Path or URI.
        key_type: Function that converts the first column to a key, such as ``int``.
        encoding: Encoding of the file. A byte order mark is removed, and the marks of UTF-16 and UTF-32 take
            precedence over the default.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from ``filename``.

    Raises:
        ArgumentError: A line has a key but no value.
        EncodingError: The file is not valid in the encoding.
    """
    found: dict[Key, str | list[str]] = {}
    for number, line in enumerate(_lines(filename, encoding, file_client_args), 1):
        columns = line.split()
        if not columns:
            continue
        place = f"{display_name(filename)}:{number}"
        if len(columns) == 1:
            raise ArgumentError(f"A line must have a key and at least one value, not {line!r} ({place}).")
        try:
            key = key_type(columns[0])
        except Exception as error:
            error.add_note(f"while reading the key of {place}")
            raise
        found[key] = columns[1] if len(columns) == 2 else columns[1:]
    return found


def _lines(filename: str | Path, encoding: str, file_client_args: Mapping[str, Any] | None) -> list[str]:
    client = FileClient.infer_client(file_client_args, filename)
    # str.splitlines() would also split at form feeds and at Unicode line separators.
    return [line.rstrip("\r\n") for line in io.StringIO(read_text(client, filename, encoding))]
