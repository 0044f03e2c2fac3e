"""Load and dump objects in any supported format, on any storage backend."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.content import content_errors, decode_text, decompress, read_text
from cfgtrain.fileio.handlers import BaseFileHandler, JsonHandler, PickleHandler, YamlHandler, file_handlers
from cfgtrain.fileio.uri import display_name, file_name
from cfgtrain.suggestions import suggest

__all__ = ["dump", "load"]

# Extension: the module of the standard library that has compress() and decompress() for it.
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
        file_format: Name of the format, by default the extension of the file. A second extension ``gz``,
            ``bz2`` or ``xz`` means compression: ``"json.gz"``.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from ``file``.
        kwargs: Passed to the format's handler.

    Raises:
        ArgumentTypeError: The format is unknown, or ``file`` is neither a path nor an open file.
        FileNotFoundError: The file does not exist.
        FileContentError: The content is not valid in the format. The error names the file and, for text, line
            and column. It is also what the parser raises: ``json.JSONDecodeError``, ``yaml.YAMLError``,
            ``pickle.UnpicklingError`` and ``EOFError``, or ``UnicodeDecodeError``.
    """
    form = _format_of(file, file_format)
    if not isinstance(file, (str, Path)):
        given = getattr(file, "name", None)
        name = given if isinstance(given, str) else None
        with content_errors(name, form.kind):
            source = file if form.compression is None else form.opened(file.read(), name)
            return form.handler.load_from_fileobj(source, **kwargs)
    with _note_on_error(f"while reading {display_name(file)}"):
        client = FileClient.infer_client(file_client_args, file)
        content = read_text(client, file) if form.is_text else client.get(file)
        if content is None:
            raise FileNotFoundError(f"{display_name(file)} does not exist in {client.name}.")
        name = display_name(file)
        source = form.opened(content, name)
        source.name = name  # the parser's messages contain it
        with content_errors(name, form.kind):
            return form.handler.load_from_fileobj(source, **kwargs)


def dump(
    obj: Any,
    file: str | Path | IO[Any] | None = None,
    file_format: str | None = None,
    file_client_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> str | bytes | None:
    """Write an object to a JSON, YAML or pickle file.

    A local file is written atomically: it is either written completely or left as it was.

    Args:
        obj: The object to write.
        file: Path, URI or open file. Missing parent folders of a path are created.
        file_format: Name of the format, by default the extension of the file. A second extension ``gz``,
            ``bz2`` or ``xz`` means compression: ``"json.gz"``.
        file_client_args: Arguments of ``FileClient``. By default the backend is inferred from ``file``.
        kwargs: Passed to the format's handler.

    Returns:
        The text or bytes if ``file`` is None, otherwise None.

    Raises:
        ArgumentError: Neither ``file`` nor ``file_format`` is given.
        ArgumentTypeError: The format is unknown, ``file`` is neither a path nor an open file, or the format
            cannot represent ``obj``.
    """
    if file is None:
        if file_format is None:
            raise ArgumentError("dump() without a file requires file_format, such as 'json'.")
        form = _format_by_name(file_format)
        return form.compressed(form.handler.dump_to_str(obj, **kwargs))
    form = _format_of(file, file_format)
    if not isinstance(file, (str, Path)):
        if form.compression is None:
            form.handler.dump_to_fileobj(obj, file, **kwargs)
        else:
            file.write(form.content(obj, kwargs))
        return None
    with _note_on_error(f"while writing {display_name(file)}"):
        # Serialized first, so that an object that the format cannot represent leaves the file untouched.
        content = form.content(obj, kwargs)
        client = FileClient.infer_client(file_client_args, file)
        if isinstance(content, str):
            client.put_text(content, file)
        else:
            client.put(content, file)
    return None


class _Format(NamedTuple):
    """A handler, and the module that compresses its output, or None."""

    handler: BaseFileHandler
    compression: Any

    @property
    def kind(self) -> str:
        """Name of the format of a handler of this package, or an empty str."""
        kinds = {JsonHandler: "JSON", YamlHandler: "YAML", PickleHandler: "pickle"}
        return kinds.get(type(self.handler), "")

    @property
    def is_text(self) -> bool:
        return self.handler.str_like and self.compression is None

    def content(self, obj: Any, kwargs: Mapping[str, Any]) -> str | bytes:
        """Return the content of the file for an object."""
        out: Any = io.StringIO() if self.handler.str_like else io.BytesIO()
        self.handler.dump_to_fileobj(obj, out, **kwargs)
        return self.compressed(out.getvalue())

    def compressed(self, content: str | bytes) -> str | bytes:
        if self.compression is None:
            return content
        data = content.encode() if isinstance(content, str) else content
        # By default gzip stores the current time, and files with the same content would differ.
        options = {"mtime": 0} if self.compression.__name__ == "gzip" else {}
        return bytes(self.compression.compress(data, **options))

    def opened(self, content: str | bytes | memoryview, name: str | None) -> Any:
        """Return the content of a file, decompressed, as an open file for the handler."""
        if self.compression is not None:
            content = decompress(self.compression, content, name)  # type: ignore[arg-type]  # it is bytes
        if not self.handler.str_like:
            return io.BytesIO(content)  # type: ignore[arg-type]  # content is bytes here: only text formats are read as text
        return io.StringIO(content if isinstance(content, str) else decode_text(bytes(content), name))


def _format_of(file: object, file_format: str | None) -> _Format:
    named = isinstance(file, (str, Path))
    if not named and not hasattr(file, "read") and not hasattr(file, "write"):
        raise ArgumentTypeError(f"file must be a path or an open file, not {file!r}.")
    if file_format is not None:
        return _format_by_name(file_format)
    name = file_name(file) if isinstance(file, (str, Path)) else ""
    if "." not in name and name not in file_handlers:
        what = f"{str(file)!r} has no extension" if named else "The format of an open file is unknown"
        raise ArgumentTypeError(f"{what}: pass file_format, one of {', '.join(sorted(file_handlers))}.")
    return _format_by_name(name)


def _format_by_name(name: str) -> _Format:
    """Return the format for the name of a format or of a file."""
    check_type("file_format", name, str, "a str")
    for spelling in (name, name.lower()):
        before, _, extension = spelling.rpartition(".")
        inner = before.rpartition(".")[-1]
        if extension in file_handlers:
            return _Format(file_handlers[extension], None)
        if extension in _COMPRESSIONS and inner in file_handlers:
            return _Format(file_handlers[inner], importlib.import_module(_COMPRESSIONS[extension]))
    known = ", ".join(sorted(file_handlers))
    hint = suggest(extension, file_handlers)
    raise ArgumentTypeError(f"Unknown file format {extension!r}. Known formats: {known}.{hint}")


@contextmanager
def _note_on_error(note: str) -> Iterator[None]:
    """Add a note to exceptions raised in the block."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise
