"""Decode text files, and raise errors about the content of files that say where it is wrong."""

from __future__ import annotations

import codecs
import json
import lzma
import pickle
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.error import MarkedYAMLError
from yaml.parser import ParserError
from yaml.scanner import ScannerError

from cfgtrain.errors import CfgTrainError, CompressionError, EncodingError, FileContentError
from cfgtrain.fileio.backends.base import decode
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name
from cfgtrain.origin import Origin

__all__ = ["content_errors", "decode_text", "decompress", "read_text"]

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARK = "\ufeff"


class JsonContentError(FileContentError, json.JSONDecodeError):
    """A file is not valid JSON."""


class YamlContentError(FileContentError, yaml.YAMLError):
    """A file is not valid YAML."""


class YamlSyntaxError(YamlContentError, ScannerError, ParserError, ComposerError):
    """A file does not follow the grammar of YAML."""


class YamlTagError(YamlContentError, ConstructorError):
    """A YAML file has a tag or a value that the loader does not accept."""


class PickleContentError(FileContentError, pickle.UnpicklingError, EOFError):
    """A file is not a complete pickle."""


def read_text(client: FileClient, file: str | Path, encoding: str | None = None) -> str:
    """Return the content of a text file without its byte order mark.

    A file that is to be UTF-8 but has the mark of UTF-16 or UTF-32 is decoded as such.

    Args:
        client: Reads the file.
        file: Path or URI.
        encoding: The argument ``encoding`` of the caller, which the error then suggests; None if it has none: UTF-8.

    Raises:
        EncodingError: The content is not valid in the encoding.
    """
    try:
        text = client.get_text(file, encoding or "utf-8")
    except UnicodeDecodeError as error:
        hint = (
            "" if encoding is None else "Save it as UTF-8, or pass its encoding, such as encoding='latin-1'."
        )
        return _decode_by_mark(error, encoding or "utf-8", display_name(file), hint)
    return text.removeprefix(_MARK) if text else text


def decode_text(data: bytes, name: str | None) -> str:
    """Decode the UTF-8 content of a file as ``read_text`` does."""
    try:
        return decode(data, "utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        return _decode_by_mark(error, "utf-8", name)


def decompress(library: Any, data: bytes, name: str | None) -> bytes:
    """Decompress the content of a file with a library such as ``gzip``.

    Raises:
        CompressionError: The content is not complete compressed data.
    """
    try:
        return bytes(library.decompress(data))
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise CompressionError(
            f"The file cannot be decompressed with {library.__name__}: {_text(error)}.", origin=_origin(name)
        ) from error


@contextmanager
def content_errors(name: str | None, kind: str = "") -> Iterator[None]:
    """Raise the errors of parsers as errors of this package that name the file and the line.

    Args:
        name: Name of the file, if it is known.
        kind: Name of the format: a ValueError without a place is then about the content too.
    """
    try:
        yield
    except CfgTrainError:
        raise
    except json.JSONDecodeError as error:
        json_error = JsonContentError(
            f"The file is not valid JSON: {_text(error)}.", origin=_origin(name, error.lineno)
        )
        json_error.msg, json_error.doc, json_error.pos = error.msg, error.doc, error.pos
        json_error.lineno, json_error.colno = error.lineno, error.colno
        raise json_error from error
    except yaml.YAMLError as error:
        raise _yaml_error(error, name) from error
    except (pickle.UnpicklingError, EOFError) as error:
        raise PickleContentError(
            f"The file is not a complete pickle: {_text(error)}.", origin=_origin(name)
        ) from error
    except UnicodeDecodeError as error:
        if kind != "pickle":
            raise _encoding_error(error, error.encoding, name) from error
        text = f"The pickle has text that is not {error.encoding}: {_text(error)}. If Python 2 wrote it, pass encoding='latin1'."
        raise _with_fields(EncodingError(text, origin=_origin(name)), error) from error
    except ValueError as error:
        if not kind:
            raise
        raise FileContentError(
            f"The file is not valid {kind}: {_text(error)}.", origin=_origin(name)
        ) from error


def _yaml_error(error: yaml.YAMLError, name: str | None) -> YamlContentError:
    kinds = ((ConstructorError, YamlTagError), (MarkedYAMLError, YamlSyntaxError))
    kind = next((ours for theirs, ours in kinds if isinstance(error, theirs)), YamlContentError)
    mark = getattr(error, "problem_mark", None)
    origin = _origin(name, None if mark is None else mark.line + 1)
    new = kind(f"The file is not valid YAML: {_text(error)}.", origin=origin)
    if isinstance(error, MarkedYAMLError):
        for key, value in vars(error).items():  # the marks of the parser in C cannot be pickled
            is_mark = key.endswith("_mark") and value is not None
            place = (value.name, value.index, value.line, value.column, None, None) if is_mark else ()
            setattr(new, key, yaml.Mark(*place) if is_mark else value)
    return new


def _text(error: BaseException) -> str:
    """Return the text of an error on one line, without its full stop."""
    return " ".join(str(error).split()).removesuffix(".")


def _decode_by_mark(error: UnicodeDecodeError, encoding: str, name: str | None, hint: str = "") -> str:
    """Decode text that is not valid UTF-8 by its byte order mark, or raise an ``EncodingError``."""
    found = next((codec for mark, codec in _MARKS if error.object.startswith(mark)), None)
    if found is None or codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
        raise _encoding_error(error, encoding, name, hint) from error
    try:
        return decode(error.object, found)
    except UnicodeDecodeError as second:
        raise _encoding_error(second, found, name, hint) from second


def _encoding_error(
    error: UnicodeDecodeError, encoding: str, name: str | None, hint: str = ""
) -> EncodingError:
    before = error.object[: error.start].decode(encoding, "replace").removeprefix(_MARK)
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    wrong = " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.end][:4])
    text = f"The file is not {encoding} text: {wrong} in line {line}, column {column} ({error.reason})."
    hint = hint or "Save it as UTF-8."
    return _with_fields(EncodingError(text, origin=_origin(name, line), hint=hint), error)


def _with_fields(new: EncodingError, old: UnicodeDecodeError) -> EncodingError:
    new.encoding, new.object, new.reason = old.encoding, old.object, old.reason
    new.start, new.end = old.start, old.end
    return new


def _origin(name: str | None, line: int | None = None) -> Origin | None:
    return None if name is None else Origin(name, line)
