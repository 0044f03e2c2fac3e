"""load and dump: one pair of functions for every format and every storage."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from cfgtrain.errors import ArgumentError, ArgumentTypeError, suggest
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.handlers import BaseFileHandler, file_handlers
from cfgtrain.fileio.uri import display_name, file_name

__all__ = ["dump", "load"]

# By extension: the modules of the standard library that compress() and decompress().
_COMPRESSIONS = {"gz": "gzip", "bz2": "bz2", "xz": "lzma"}


def load(
    file: str | Path | IO[Any],
    file_format: str | None = None,
    file_client_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Read an object from a JSON, YAML or pickle file.

    Args:
        file: Path, URI or open file.
        file_format: Format; the extension of the name by default. ``"json.gz"`` and the like are
            compressed.
        file_client_args: Arguments of the ``FileClient``, by default the one for ``file``.
        kwargs: Passed to the format's handler.

    Raises:
        ArgumentTypeError: The format is unknown, or ``file`` is neither path nor file.
    """
    handler, compression = _format(file, file_format)
    if not isinstance(file, (str, Path)):
        source = file if compression is None else _opened(handler, compression.decompress(file.read()))
        return handler.load_from_fileobj(source, **kwargs)
    with _told(f"while reading {display_name(file)}"):
        client = FileClient.infer_client(file_client_args, file)
        if handler.str_like and compression is None:
            source = io.StringIO(client.get_text(file))
        else:
            content = client.get(file)
            if content is None:
                raise FileNotFoundError(f"There is no {display_name(file)} in {client.name}.")
            source = _opened(handler, compression.decompress(content) if compression else content)
        source.name = display_name(file)  # for messages of the parser
        return handler.load_from_fileobj(source, **kwargs)


def dump(
    obj: Any,
    file: str | Path | IO[Any] | None = None,
    file_format: str | None = None,
    file_client_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> str | bytes | None:
    """Write an object to a JSON, YAML or pickle file, whole or not at all.

    Args:
        obj: What to write.
        file: Path (its folder is made), URI or open file; None returns the text or bytes.
        file_format: Format; the extension of the name by default. ``"json.gz"`` and the like are
            compressed.
        file_client_args: Arguments of the ``FileClient``, by default the one for ``file``.
        kwargs: Passed to the format's handler.

    Raises:
        ArgumentError: Neither ``file`` nor ``file_format`` is given.
        ArgumentTypeError: The format is unknown, ``file`` is neither path nor file, or the format
            cannot hold ``obj``.
    """
    if file is None and file_format is None:
        raise ArgumentError("dump() without a file needs file_format, such as 'json'.")
    handler, compression = _format(file, file_format)
    if file is None:
        content = handler.dump_to_str(obj, **kwargs)
        return content if compression is None else compression.compress(content)
    if not isinstance(file, (str, Path)):
        if compression is None:
            handler.dump_to_fileobj(obj, file, **kwargs)
        else:
            file.write(compression.compress(_content(handler, obj, kwargs)))
        return None
    with _told(f"while writing {display_name(file)}"):
        # Serialised first: an object that the format cannot hold leaves no trace.
        content = _content(handler, obj, kwargs)
        client = FileClient.infer_client(file_client_args, file)
        if compression is not None:
            content = compression.compress(content)
        if isinstance(content, str):
            client.put_text(content, file)
        else:
            client.put(content, file)
    return None


class _Compression(NamedTuple):
    """A module that compresses bytes."""

    module: Any

    def compress(self, content: str | bytes) -> bytes:
        data = content.encode() if isinstance(content, str) else content
        # The time of writing would make files of the same content differ.
        options = {"mtime": 0} if self.module.__name__ == "gzip" else {}
        return bytes(self.module.compress(data, **options))

    def decompress(self, data: bytes | memoryview) -> bytes:
        return bytes(self.module.decompress(data))


def _content(handler: BaseFileHandler, obj: Any, kwargs: dict[str, Any]) -> str | bytes:
    out: Any = io.StringIO() if handler.str_like else io.BytesIO()
    handler.dump_to_fileobj(obj, out, **kwargs)
    content: str | bytes = out.getvalue()
    return content


def _opened(handler: BaseFileHandler, data: bytes | memoryview) -> Any:
    return io.StringIO(bytes(data).decode()) if handler.str_like else io.BytesIO(data)


def _format(file: object, file_format: str | None) -> tuple[BaseFileHandler, _Compression | None]:
    file_like = hasattr(file, "read") or hasattr(file, "write")
    if file is not None and not isinstance(file, (str, Path)) and not file_like:
        raise ArgumentTypeError(f"A file is a path or an open file, not {file!r}.")
    named = isinstance(file, (str, Path))
    name = file_format or (file_name(file) if isinstance(file, (str, Path)) else "")
    for spelling in (name, name.lower()):
        before, _, extension = spelling.rpartition(".")
        if extension in file_handlers:
            return file_handlers[extension], None
        inner = before.rpartition(".")[-1]
        if extension in _COMPRESSIONS and inner in file_handlers:
            return file_handlers[inner], _Compression(importlib.import_module(_COMPRESSIONS[extension]))
    known = ", ".join(sorted(file_handlers))
    extension = name.rpartition(".")[-1]
    if file_format is None and "." not in name:
        what = f"{str(file)!r} has no extension" if named else "An open file has no format of its own"
        raise ArgumentTypeError(f"{what}: give file_format, one of {known}.")
    raise ArgumentTypeError(
        f"There is no file format {extension!r}; known are {known}.{suggest(extension, file_handlers)}"
    )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Add to an exception what was being done."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
