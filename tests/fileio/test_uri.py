"""Tests of the functions that parse paths and URIs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgtrain.errors import ArgumentError
from cfgtrain.fileio.uri import display_name, file_name, uri_prefix


@pytest.mark.parametrize(
    ("uri", "prefix", "name"),
    [
        ("a/b.json", None, "b.json"),
        (Path("a/b.json"), None, "b.json"),
        ("", None, ""),
        ("a/", None, ""),
        ("C:\\data\\b.json", None, "b.json"),
        ("C:/data/b.json", None, "b.json"),
        (Path("C:/data/b.json"), None, "b.json"),
        ("a?b#c.json", None, "a?b#c.json"),
        ("a::b", None, "a::b"),
        ("s3://bucket/a/b.json", "s3", "b.json"),
        ("s3://bucket/a?b.json", "s3", "a?b.json"),
        ("cluster:s3://bucket/b.json", "s3", "b.json"),
        ("https://h/a/b.json?c=d.txt#e.f", "https", "b.json"),
        ("HTTP://h/b.json?c", "HTTP", "b.json"),
        ("https://h.json", "https", ""),
        ("https://h.json?a/b.json", "https", ""),
        ("https://h/a?to=http://g/c.txt", "https", "a"),
        ("memory://b.json", "memory", "b.json"),
        ("file:///a/b.json", "file", "b.json"),
        ("zip://a/b.json::s3://bucket/c.zip", "zip", "b.json"),
        ("simplecache::https://h/b.json?c.d", "simplecache", "b.json"),
        ("://a", "", "a"),
        ("::///a", "", "a"),
        ("ä://ü/☃.json", "ä", "☃.json"),
    ],
)
def test_prefix_and_name(uri: str | Path, prefix: str | None, name: str) -> None:
    """The prefix is the part before ``://``; the name is the last component, without an HTTP URL's query."""
    assert uri_prefix(uri) == prefix
    assert file_name(uri) == name


@pytest.mark.parametrize("uri", [None, ["s3://a"], b"s3://a", 3])
def test_invalid_uri(uri: Any) -> None:
    """An argument of another type raises an error, which is an AssertionError as in MMCV."""
    with pytest.raises(AssertionError, match="str or a Path"):
        uri_prefix(uri)


@pytest.mark.parametrize("uri", ["s3://bucket/a", "https://h/a.json"])
def test_path_created_from_uri(uri: str) -> None:
    """Pathlib removes a slash from a URI, which makes it a local path: that raises an error."""
    with pytest.raises(ArgumentError, match=":// to :/"):
        uri_prefix(Path(uri))
    Path(uri).mkdir(parents=True)
    assert uri_prefix(Path(uri)) is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("a?b@c", "a?b@c"),
        ("https://h/a", "https://h/a"),
        ("https://h:80/a@b", "https://h:80/a@b"),
        ("https://me:pass@h/a?key=secret#x", "https://h/a?..."),
        ("https://h?key=secret", "https://h?..."),
        ("sftp://me:p@ss@h/a", "sftp://h/a"),
    ],
)
def test_display_name_contains_no_secrets(uri: str, shown: str) -> None:
    """User names, passwords and queries are removed."""
    assert display_name(uri) == shown


@given(text=st.text(alphabet=":/?#@.[]ab\\\n\0ä", max_size=20))
def test_any_text(text: str) -> None:
    """Any text has a prefix or None, a name and a display name."""
    assert "://" in text or uri_prefix(text) is None
    assert "/" not in file_name(text)
    assert isinstance(display_name(text), str)
