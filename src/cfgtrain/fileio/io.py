"""load and dump: one pair of functions for every format."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from cfgtrain.errors import ArgumentError, ArgumentTypeError, suggest
from cfgtrain.fileio.handlers import BaseFileHandler, file_handlers
from cfgtrain.utils.paths import atomic_write, mkdir_or_exist


def load(file: str | Path | IO[Any], file_format: str | None = None, **kwargs: Any) -> Any:
    """Read an object from a JSON, YAML or pickle file.

    Args:
        file: Path or open file.
        file_format: Format; the extension of the path by default.
        kwargs: Passed to the format's handler.

    Raises:
        ArgumentTypeError: The format is unknown, or ``file`` is neither path nor file.
    """
    handler = _handler(file, file_format)
    if isinstance(file, (str, Path)):
        if handler.str_like:
            with Path(file).open(encoding="utf-8") as text:
                return handler.load_from_fileobj(text, **kwargs)
        with Path(file).open("rb") as binary:
            return handler.load_from_fileobj(binary, **kwargs)
    return handler.load_from_fileobj(file, **kwargs)


def dump(
    obj: Any, file: str | Path | IO[Any] | None = None, file_format: str | None = None, **kwargs: Any
) -> str | bytes | None:
    """Write an object to a JSON, YAML or pickle file, whole or not at all.

    Args:
        obj: What to write.
        file: Path (its folder is made) or open file; None returns the text or bytes.
        file_format: Format; the extension of the path by default.
        kwargs: Passed to the format's handler.

    Raises:
        ArgumentError: Neither ``file`` nor ``file_format`` is given.
        ArgumentTypeError: The format is unknown, or ``file`` is neither path nor file.
    """
    if file is None and file_format is None:
        raise ArgumentError("dump() without a file needs file_format, such as 'json'.")
    handler = _handler(file, file_format)
    if file is None:
        return handler.dump_to_str(obj, **kwargs)
    if isinstance(file, (str, Path)):
        # Serialised first: an object that the format cannot hold leaves no trace on disk.
        data = handler.dump_to_str(obj, **kwargs)
        mkdir_or_exist(Path(file).parent)
        with atomic_write(file) as out:
            out.write(data.encode() if isinstance(data, str) else data)
    else:
        handler.dump_to_fileobj(obj, file, **kwargs)
    return None


def _handler(file: object, file_format: str | None) -> BaseFileHandler:
    file_like = hasattr(file, "read") or hasattr(file, "write")
    if file is not None and not isinstance(file, (str, Path)) and not file_like:
        raise ArgumentTypeError(f"A file is a path or an open file, not {file!r}.")
    name = file_format or (str(file).rsplit(".", 1)[-1] if isinstance(file, (str, Path)) else "")
    if name not in file_handlers:
        known = ", ".join(sorted(file_handlers))
        hint = suggest(name, file_handlers)
        raise ArgumentTypeError(f"There is no file format {name!r}; known are {known}.{hint}")
    return file_handlers[name]
