"""load and dump: one pair of functions for every format and every storage."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.handlers import BaseFileHandler, file_handlers
from cfgtrain.fileio.uri import display_name, file_name
from cfgtrain.suggestions import suggest

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
    form = _format_of(file, file_format)
    if not isinstance(file, (str, Path)):
        source = file if form.compression is None else form.opened(file.read())
        return form.handler.load_from_fileobj(source, **kwargs)
    with _told(f"while reading {display_name(file)}"):
        client = FileClient.infer_client(file_client_args, file)
        content = client.get_text(file) if form.is_text else client.get(file)
        if content is None:
            raise FileNotFoundError(f"There is no {display_name(file)} in {client.name}.")
        source = form.opened(content)
        source.name = display_name(file)  # for messages of the parser
        return form.handler.load_from_fileobj(source, **kwargs)


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
    if file is None:
        if file_format is None:
            raise ArgumentError("dump() without a file needs file_format, such as 'json'.")
        form = _format_named(file_format)
        return form.compressed(form.handler.dump_to_str(obj, **kwargs))
    form = _format_of(file, file_format)
    if not isinstance(file, (str, Path)):
        if form.compression is None:
            form.handler.dump_to_fileobj(obj, file, **kwargs)
        else:
            file.write(form.content(obj, kwargs))
        return None
    with _told(f"while writing {display_name(file)}"):
        # Serialised first: an object that the format cannot hold leaves no trace.
        content = form.content(obj, kwargs)
        client = FileClient.infer_client(file_client_args, file)
        if isinstance(content, str):
            client.put_text(content, file)
        else:
            client.put(content, file)
    return None


class _Format(NamedTuple):
    """A handler, and the module that compresses what it writes, if any."""

    handler: BaseFileHandler
    compression: Any

    @property
    def is_text(self) -> bool:
        return self.handler.str_like and self.compression is None

    def content(self, obj: Any, kwargs: Mapping[str, Any]) -> str | bytes:
        """Return what is to be in the file."""
        out: Any = io.StringIO() if self.handler.str_like else io.BytesIO()
        self.handler.dump_to_fileobj(obj, out, **kwargs)
        return self.compressed(out.getvalue())

    def compressed(self, content: str | bytes) -> str | bytes:
        if self.compression is None:
            return content
        data = content.encode() if isinstance(content, str) else content
        # The time of writing would make files of the same content differ.
        options = {"mtime": 0} if self.compression.__name__ == "gzip" else {}
        return bytes(self.compression.compress(data, **options))

    def opened(self, content: str | bytes | memoryview) -> Any:
        """Return what was in the file as an open file for the handler."""
        if self.compression is not None:
            content = self.compression.decompress(content)
        if not self.handler.str_like:
            return io.BytesIO(content)  # type: ignore[arg-type]  # text is read for text formats alone
        return io.StringIO(content if isinstance(content, str) else bytes(content).decode())


def _format_of(file: object, file_format: str | None) -> _Format:
    named = isinstance(file, (str, Path))
    if not named and not hasattr(file, "read") and not hasattr(file, "write"):
        raise ArgumentTypeError(f"A file is a path or an open file, not {file!r}.")
    if file_format is not None:
        return _format_named(file_format)
    name = file_name(file) if isinstance(file, (str, Path)) else ""
    if "." not in name and name not in file_handlers:
        what = f"{str(file)!r} has no extension" if named else "An open file has no format of its own"
        raise ArgumentTypeError(f"{what}: give file_format, one of {', '.join(sorted(file_handlers))}.")
    return _format_named(name)


def _format_named(name: str) -> _Format:
    """Return the format that a name, or the end of one, stands for."""
    if not isinstance(name, str):
        raise ArgumentTypeError(f"file_format is a str, not {name!r}.")
    for spelling in (name, name.lower()):
        before, _, extension = spelling.rpartition(".")
        inner = before.rpartition(".")[-1]
        if extension in file_handlers:
            return _Format(file_handlers[extension], None)
        if extension in _COMPRESSIONS and inner in file_handlers:
            return _Format(file_handlers[inner], importlib.import_module(_COMPRESSIONS[extension]))
    known = ", ".join(sorted(file_handlers))
    hint = suggest(extension, file_handlers)
    raise ArgumentTypeError(f"There is no file format {extension!r}; known are {known}.{hint}")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Add to an exception what was being done."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
