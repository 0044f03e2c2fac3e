"""load and dump."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import dump, load
from cfgtrain.errors import ArgumentError, ArgumentTypeError

VALUE: list[Any] = [{"a": "abc", "b": 1}, 2, "c", "ä☃"]
FORMATS = ["json", "yaml", "yml", "pickle", "pkl"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", [str, Path])
def test_the_extension_is_the_format(name: str, kind: type) -> None:
    """A path, str or Path, is written and read in the format of its extension."""
    assert dump(VALUE, kind(f"a.{name}")) is None
    assert load(kind(f"a.{name}")) == VALUE


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_may_be_named(name: str) -> None:
    """With file_format the name of the file does not matter."""
    dump(VALUE, "a.txt", file_format=name)
    assert load("a.txt", file_format=name) == VALUE


@pytest.mark.parametrize("name", FORMATS)
def test_open_files(name: str) -> None:
    """An open file is written to and read from, and left open."""
    binary = "b" if name in ("pickle", "pkl") else ""
    with Path("a").open(f"w{binary}", encoding=None if binary else "utf-8") as file:
        dump(VALUE, file, file_format=name)
        assert not file.closed
    with Path("a").open(f"r{binary}", encoding=None if binary else "utf-8") as file:
        assert load(file, file_format=name) == VALUE
        assert not file.closed


@pytest.mark.parametrize(("name", "kind"), [("json", str), ("yaml", str), ("pkl", bytes)])
def test_without_a_file_the_text_is_returned(name: str, kind: type) -> None:
    """Without a file, dump returns what would be in it: text, or bytes for pickle."""
    data = dump(VALUE, file_format=name)
    assert isinstance(data, kind)
    dump(VALUE, "a", file_format=name)
    assert Path("a").read_bytes() == (data.encode() if isinstance(data, str) else data)


def test_a_folder_is_made() -> None:
    """The folders of the path are made on writing."""
    dump(1, "new/folder/a.json")
    assert load("new/folder/a.json") == 1


def test_arguments_go_to_the_handler() -> None:
    """What load and dump do not know themselves is the handler's."""
    dump({"b": 1, "a": 2}, "a.json", indent=1, sort_keys=True)
    assert Path("a.json").read_text() == '{\n "a": 2,\n "b": 1\n}'
    assert load("a.json", object_pairs_hook=list) == [("a", 2), ("b", 1)]


def test_neither_file_nor_format() -> None:
    """Neither of the two given is a ValueError, as the format has to be known."""
    with pytest.raises(ArgumentError, match="file_format"):
        dump(VALUE)
    assert issubclass(ArgumentError, ValueError)


@pytest.mark.parametrize(
    ("file", "file_format", "text"),
    [
        ("a.txt", None, "no file format 'txt'; known are json, pickle, pkl, yaml, yml"),
        ("a.jsn", None, "Did you mean 'json'"),
        ("noextension", None, "'noextension' has no extension: give file_format, one of json, pickle"),
        ("", None, "'' has no extension"),
        ("folder.json/a", None, "'folder.json/a' has no extension"),
        ("a.", None, "no file format ''"),
        ("a.txt.gz", None, "no file format 'gz'"),
        ("https://h/a.txt?b=c.json#d.json", None, "no file format 'txt'"),
        ("https://h.json", None, "'https://h.json' has no extension"),
        ("a.json", "txt", "no file format 'txt'"),
        (3, "json", "path or an open file, not 3"),
        (["a.json"], "json", "path or an open file"),
    ],
)
def test_what_is_no_file_or_format(file: Any, file_format: str | None, text: str, tmp_path: Path) -> None:
    """An unknown format, and a file that is none, is a TypeError, and nothing is written."""
    for call in (lambda: load(file, file_format), lambda: dump(VALUE, file, file_format)):
        with pytest.raises(ArgumentTypeError, match=text):
            call()
    assert list(tmp_path.iterdir()) == []


def test_an_open_file_needs_a_format() -> None:
    """Nothing is guessed from the name of an open file."""
    with Path("a.json").open("w") as file, pytest.raises(TypeError, match="open file has no format"):
        dump(VALUE, file)


def test_a_missing_file() -> None:
    """Reading what is not there is a FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        load("a.json")


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.pkl"])
def test_a_failing_dump_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    """An object that the format cannot hold leaves what was there, and nothing beside it."""
    dump(VALUE, name)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        dump([lambda: 0], name)
    assert load(name) == VALUE
    assert [file.name for file in tmp_path.iterdir()] == [name]
