"""What the text of a path or URI says about itself."""

from __future__ import annotations

import re
from pathlib import Path

from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = ["display_name", "file_name", "path_text", "uri_prefix"]

# A scheme that pathlib has taken one slash of: Path("s3://bucket") is "s3:/bucket". One letter is a drive.
_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")


def path_text(path: str | Path) -> str:
    """Return a path or URI as text.

    Raises:
        ArgumentTypeError: It is neither a str nor a Path.
    """
    if not isinstance(path, (str, Path)):
        raise ArgumentTypeError(f"A path is a str or a Path, not {path!r}.")
    return str(path)


def uri_prefix(uri: str | Path) -> str | None:
    """Return ``"s3"`` for ``"s3://..."`` and for ``"cluster:s3://..."``, None for a path.

    Of a chain of fsspec such as ``"zip://a.txt::s3://..."`` it is the first.

    Raises:
        ArgumentError: ``uri`` is neither str nor Path, or a Path that was made from a URI.
    """
    if not isinstance(uri, (str, Path)):
        raise ArgumentError(f"A URI is a str or a Path, not {uri!r}.")
    text = str(uri)
    if isinstance(uri, Path) and _COLLAPSED.match(text) and not uri.exists():
        raise ArgumentError(f"{uri!r} has lost a slash: pathlib does so to URIs. Give a URI as a str.")
    before, mark, _ = text.partition("://")
    if not mark:
        return None
    return before.split("::", 1)[0] if "::" in before else before.rsplit(":", 1)[-1]


def file_name(path: str | Path) -> str:
    """Return the last part of a path or URI, without the query and fragment of an HTTP URL.

    Of a chain of fsspec it is that of the first link that has a path.
    """
    text = str(path)
    if uri_prefix(path) is not None and "::" in text:
        text = next((link for link in text.split("::") if "://" in link), text)
    if (uri_prefix(text) or "").lower() in ("http", "https"):
        text = re.split("[?#]", text, maxsplit=1)[0].partition("://")[2].partition("/")[2]
    return re.split(r"[/\\]", text)[-1]


def display_name(path: str | Path) -> str:
    """Return a path or URI as messages show it: without passwords and signatures."""
    text = str(path)
    if uri_prefix(path) is None:
        return text
    scheme, _, rest = text.partition("://")
    rest, query, _ = rest.partition("?")
    host, slash, name = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[-1]}{slash}{name}{'?...' if query else ''}"
