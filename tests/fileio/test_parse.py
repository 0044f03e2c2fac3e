"""Tests of list_from_file and dict_from_file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fileio.conftest import Site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfgtrain import FileClient, dict_from_file, list_from_file
from cfgtrain.errors import ArgumentError, EncodingError


@pytest.fixture
def names() -> Path:
    """Write a file with five names."""
    Path("names.txt").write_text("1.jpg\n2.jpg\n3.jpg\n4.jpg\n5.jpg")
    return Path("names.txt")


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({}, "1.jpg 2.jpg 3.jpg 4.jpg 5.jpg"),
        ({"prefix": "a/"}, "a/1.jpg a/2.jpg a/3.jpg a/4.jpg a/5.jpg"),
        ({"offset": 2}, "3.jpg 4.jpg 5.jpg"),
        ({"max_num": 2}, "1.jpg 2.jpg"),
        ({"offset": 3, "max_num": 3}, "4.jpg 5.jpg"),
        ({"offset": 9}, ""),
        ({"max_num": -1}, "1.jpg 2.jpg 3.jpg 4.jpg 5.jpg"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_list_from_file(kind: type, args: dict[str, Any], found: str, names: Path) -> None:
    """Each line is an item; lines can be skipped, limited and prefixed."""
    assert list_from_file(kind(names), **args) == found.split()


def test_lines_are_unchanged() -> None:
    """Spaces and empty lines are kept, line endings of all systems are removed, and only they split lines."""
    Path("a").write_bytes(" a b \r\n\nc\td\x0b\x0ce\u2028f\n".encode())
    assert list_from_file("a") == [" a b ", "", "c\td\x0b\x0ce\u2028f"]
    Path("a").write_bytes("ä\n".encode("latin-1"))
    assert list_from_file("a", encoding="latin-1") == ["ä"]
    Path("a").write_bytes(b"")
    assert list_from_file("a") == []


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
def test_list_round_trips(lines: list[str]) -> None:
    """Lines that are written are read back."""
    Path("a").write_bytes("".join(line + "\n" for line in lines).encode())
    assert list_from_file("a") == lines


def test_negative_offset(names: Path) -> None:
    """A negative offset raises an error."""
    with pytest.raises(ArgumentError, match="offset"):
        list_from_file(names, offset=-1)


def test_dict_from_file() -> None:
    """The first column is the key, and the other columns are the value."""
    Path("a").write_text("1 cat\n2 dog\tcow \n\n  \n3 panda\n3 bear")
    assert dict_from_file("a") == {"1": "cat", "2": ["dog", "cow"], "3": "bear"}
    assert dict_from_file(Path("a"), key_type=int) == {1: "cat", 2: ["dog", "cow"], 3: "bear"}


def test_invalid_lines() -> None:
    """A line without a value, or with an invalid key, raises an error with its line number."""
    Path("a").write_text("1 cat\n\ndog\n")
    with pytest.raises(AssertionError, match=r"a key and at least one value, not 'dog' \(a:3\)"):
        dict_from_file("a")
    Path("a").write_text("1 cat\n\nx dog\n")
    with pytest.raises(ValueError, match="invalid literal") as caught:
        dict_from_file("a", int)
    assert caught.value.__notes__ == ["while reading the key of a:3"]


def test_read_from_url(site: Site) -> None:
    """Both functions read from a URL; the backend is inferred from it or given by file_client_args."""
    site["/a.txt"] = b"1 cat\n2 dog\n"
    url = f"{site.url}/a.txt"
    for args in (None, {"backend": "http"}, {"prefix": "http"}, {"retries": 0}):
        assert list_from_file(url, file_client_args=args) == ["1 cat", "2 dog"]
        assert dict_from_file(url, file_client_args=args) == {"1": "cat", "2": "dog"}


@pytest.mark.parametrize(
    ("written", "args"),
    [
        ("utf-8-sig", {}),
        ("utf-8-sig", {"encoding": "utf-8-sig"}),
        ("utf-16", {}),
        ("utf-16", {"encoding": "utf-16"}),
        ("utf-32", {}),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "memory://bom/a.txt"])
def test_byte_order_marks(name: str, written: str, args: dict[str, str]) -> None:
    """The byte order mark is not a part of the first line, and decides the encoding."""
    FileClient.infer_client(uri=name).put("ä 1\r\nb 2\r\n".encode(written), name)
    assert list_from_file(name, **args) == ["ä 1", "b 2"]  # type: ignore[arg-type]
    assert dict_from_file(name, **args) == {"ä": "1", "b": "2"}  # type: ignore[arg-type]


def test_byte_order_mark_with_an_explicit_byte_order() -> None:
    """The mark is also removed if the encoding has a byte order of its own."""
    Path("a").write_bytes("\ufeffa\nb".encode("utf-16-le"))
    assert list_from_file("a", encoding="utf-16-le") == ["a", "b"]


@pytest.mark.parametrize("read", [list_from_file, dict_from_file])
@pytest.mark.parametrize("name", ["a.txt", "memory://bom/a.txt"])
def test_wrong_encoding(name: str, read: Any) -> None:
    """An error about the encoding names the byte, the file, the line and the column."""
    FileClient.infer_client(uri=name).put("a 1\nb ä".encode("latin-1"), name)
    with pytest.raises(UnicodeDecodeError, match="not utf-8 text: 0xe4 in line 2, column 3") as caught:
        read(name)
    assert isinstance(caught.value, EncodingError)
    assert (caught.value.file, caught.value.line) == (name, 2)
    assert caught.value.hint == "Save it as UTF-8, or pass its encoding, such as encoding='latin-1'."
    assert read(name, encoding="latin-1")
