"""load and dump."""

from __future__ import annotations

import importlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from fileio.conftest import Site

from cfgtrain import BaseFileHandler, dump, load, register_handler
from cfgtrain.errors import ArgumentError, ArgumentTypeError, BackendError, BackendMethodError

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
        ("a.json", 3, "file_format is a str, not 3"),
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
    with pytest.raises(FileNotFoundError):
        load("", "json")


@pytest.mark.parametrize(
    "name", ["a.JSON", "A.Yaml", "archive.v1.PKL", ".json", "a b/ä ☃.yml", "C:\\data\\a.json"]
)
def test_names_of_all_kinds(name: str, tmp_path: Path) -> None:
    """The case of an extension does not matter, and neither does what stands before it."""
    dump(VALUE, name)
    assert load(Path(name)) == VALUE
    assert sum(file.is_file() for file in tmp_path.rglob("*")) == 1


@pytest.mark.parametrize("extension", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("name", ["json", "yaml", "pkl"])
def test_compressed_files(name: str, extension: str) -> None:
    """A second extension compresses, by name, by format and in open files, to the same bytes each time."""
    module = importlib.import_module({"gz": "gzip", "bz2": "bz2", "xz": "lzma"}[extension])
    dump(VALUE, f"a.{name}.{extension}")
    data = Path(f"a.{name}.{extension}").read_bytes()
    plain = dump(VALUE, file_format=name)
    assert module.decompress(data) == (plain.encode() if isinstance(plain, str) else plain)
    assert dump(VALUE, file_format=f"{name}.{extension}") == data
    assert load(f"a.{name}.{extension}") == VALUE
    out = io.BytesIO()
    dump(VALUE, out, file_format=f"{name}.{extension}")
    assert out.getvalue() == data
    assert load(io.BytesIO(data), file_format=f"{name}.{extension}") == VALUE


def test_a_format_that_is_named_is_all_of_it() -> None:
    """With file_format the extension compresses nothing."""
    dump(VALUE, "a.gz", file_format="json")
    assert Path("a.gz").read_text() == dump(VALUE, file_format="json")
    assert load("a.gz", file_format="json") == VALUE


def test_a_format_of_ones_own_goes_first() -> None:
    """A handler of an extension is asked before the extension is taken for a compression."""

    class Handler(BaseFileHandler):
        def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
            return file.read()

        def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
            file.write("\n" + self.dump_to_str(obj))

        def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
            return str(obj)

    register_handler(["txt", "gz"])(Handler)
    dump("x", "a.json.gz")
    assert load("a.json.gz") == "\nx"
    dump("x", "a.txt")
    assert (load("a.txt"), dump("x", file_format="txt")) == ("\nx", "x")


@pytest.mark.parametrize(
    ("name", "content", "kind", "text"),
    [
        ("a.json", b"{", json.JSONDecodeError, "line 1 column 2"),
        ("a.json", b"", json.JSONDecodeError, "line 1 column 1"),
        ("a.json", b"\xff", UnicodeDecodeError, "0xff"),
        ("a.yaml", b"a: [\n", yaml.YAMLError, r'in "a\.yaml", line 2'),
        ("a.pkl", b"", EOFError, "Ran out of input"),
        ("a.json.gz", b"{}", OSError, "gzip"),
    ],
)
def test_files_that_are_not_what_they_seem(
    name: str, content: bytes, kind: type[Exception], text: str
) -> None:
    """An error of a parser says in which file."""
    Path(name).write_bytes(content)
    with pytest.raises(kind, match=text) as caught:
        load(name)
    assert caught.value.__notes__ == [f"while reading {name}"]


def test_where_the_file_is(site: Site) -> None:
    """A URL is read by the backend of its prefix, with its query left out of the format and of messages."""
    site["/a.json"] = b"[1]"
    site["/b.yml"] = b"["
    assert load(f"{site.url}/a.json?token=x.y#part") == [1]
    assert load(f"{site.url}/a.json", file_client_args={"retries": 0}) == [1]
    with pytest.raises(yaml.YAMLError, match=r'b\.yml\?\.\.\."') as caught:
        load(f"{site.url}/b.yml?token=secret")
    assert "secret" not in str(caught.value) + str(caught.value.__notes__)
    with pytest.raises(BackendMethodError, match="HTTPBackend cannot write files") as refused:
        dump(1, f"{site.url}/a.json")
    assert refused.value.__notes__ == [f"while writing {site.url}/a.json"]


def test_the_client_of_ones_choice(site: Site) -> None:
    """With file_client_args the name is the backend's to understand."""
    dump(VALUE, "http:a.json", file_client_args={"backend": "disk"})
    assert load("http:a.json", file_client_args={"backend": "disk"}) == VALUE
    with pytest.raises(BackendError, match="reads http"):
        load("a.json", file_client_args={"backend": "http"})


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.pkl"])
def test_a_failing_dump_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    """An object that the format cannot hold leaves what was there, and nothing beside it."""
    dump(VALUE, name)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        dump([lambda: 0], name)
    assert load(name) == VALUE
    assert [file.name for file in tmp_path.iterdir()] == [name]
