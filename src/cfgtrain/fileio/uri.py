"""Parse paths and URIs, without accessing the files."""

from __future__ import annotations

import re
from pathlib import Path

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError

__all__ = ["display_name", "file_name", "path_text", "uri_prefix"]

# A URI that pathlib has normalized: str(Path("s3://bucket")) is "s3:/bucket". One letter is a Windows drive.
_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")


def path_text(path: str | Path) -> str:
    """Return a path or URI as text.

    Raises:
        ArgumentTypeError: ``path`` is neither a str nor a Path.
    """
    check_type("path", path, str | Path, "a str or a Path")
    return str(path)


def uri_prefix(uri: str | Path) -> str | None:
    """Return the prefix of a URI, or None for a path.

    The prefix of ``"s3://..."`` and of ``"cluster:s3://..."`` is ``"s3"``. The prefix of an fsspec chain such
    as ``"zip://a.txt::s3://..."`` is that of the first link, ``"zip"``.

    Raises:
        ArgumentError: ``uri`` is neither a str nor a Path, or it is a Path created from a URI.
    """
    check_type("uri", uri, str | Path, "a str or a Path")
    text = str(uri)
    if isinstance(uri, Path) and _COLLAPSED.match(text) and not uri.exists():
        raise ArgumentError(f"{uri!r} is a URI that pathlib has changed (:// to :/). Pass URIs as str.")
    before, separator, _ = text.partition("://")
    if not separator:
        return None
    return before.split("::", 1)[0] if "::" in before else before.rsplit(":", 1)[-1]


def file_name(path: str | Path) -> str:
    """Return the last component of a path or URI, without the query and fragment of an HTTP URL.

    For an fsspec chain, it is the last component of the first link that has a path.
    """
    text = str(path)
    if uri_prefix(path) is not None and "::" in text:
        text = next((link for link in text.split("::") if "://" in link), text)
    if (uri_prefix(text) or "").lower() in ("http", "https"):
        text = re.split("[?#]", text, maxsplit=1)[0].partition("://")[2].partition("/")[2]
    return re.split(r"[/\\]", text)[-1]


def display_name(path: str | Path) -> str:
    """Return a path or URI for messages, without user name, password and query string."""
    text = str(path)
    if uri_prefix(path) is None:
        return text
    scheme, _, rest = text.partition("://")
    rest, query, _ = rest.partition("?")
    host, slash, name = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[-1]}{slash}{name}{'?...' if query else ''}"
