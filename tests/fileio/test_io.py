"""Tests of load and dump."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from fileio.conftest import Site

from cfgtrain import BaseFileHandler, FileClient, dump, load, register_handler
from cfgtrain.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    BackendMethodError,
    FileContentError,
)
from cfgtrain.fileio.handlers import file_handlers

VALUE: list[Any] = [{"a": "abc", "b": 1}, 2, "c", "ä☃"]
FORMATS = ["json", "yaml", "yml", "pickle", "pkl"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", [str, Path])
def test_extension_selects_format(name: str, kind: type) -> None:
    """A path, str or Path, is written and read in the format of its extension."""
    assert dump(VALUE, kind(f"a.{name}")) is None
    assert load(kind(f"a.{name}")) == VALUE


@pytest.mark.parametrize("name", FORMATS)
def test_file_format_overrides_extension(name: str) -> None:
    """If file_format is given, the extension of the file is ignored."""
    dump(VALUE, "a.txt", file_format=name)
    assert load("a.txt", file_format=name) == VALUE


@pytest.mark.parametrize("name", FORMATS)
def test_open_files(name: str) -> None:
    """An open file is read and written, and is not closed."""
    binary = "b" if name in ("pickle", "pkl") else ""
    with Path("a").open(f"w{binary}", encoding=None if binary else "utf-8") as file:
        dump(VALUE, file, file_format=name)
        assert not file.closed
    with Path("a").open(f"r{binary}", encoding=None if binary else "utf-8") as file:
        assert load(file, file_format=name) == VALUE
        assert not file.closed


@pytest.mark.parametrize(("name", "kind"), [("json", str), ("yaml", str), ("pkl", bytes)])
def test_dump_without_file_returns_content(name: str, kind: type) -> None:
    """Without a file, dump returns its content: text, or bytes for pickle."""
    data = dump(VALUE, file_format=name)
    assert isinstance(data, kind)
    dump(VALUE, "a", file_format=name)
    assert Path("a").read_bytes() == (data.encode() if isinstance(data, str) else data)


def test_parent_folders_are_created() -> None:
    """Dump creates the missing parent folders of a path."""
    dump(1, "new/folder/a.json")
    assert load("new/folder/a.json") == 1


def test_arguments_are_passed_to_handler() -> None:
    """Load and dump pass unknown keyword arguments to the handler."""
    dump({"b": 1, "a": 2}, "a.json", indent=1, sort_keys=True)
    assert Path("a.json").read_text() == '{\n "a": 2,\n "b": 1\n}'
    assert load("a.json", object_pairs_hook=list) == [("a", 2), ("b", 1)]


def test_dump_without_file_and_format() -> None:
    """Without a file and a format, dump raises a ValueError."""
    with pytest.raises(ArgumentError, match="file_format"):
        dump(VALUE)
    assert issubclass(ArgumentError, ValueError)


@pytest.mark.parametrize(
    ("file", "file_format", "text"),
    [
        ("a.txt", None, "Unknown file format 'txt'. Known formats: json, pickle, pkl, yaml, yml"),
        ("a.jsn", None, "Did you mean 'json'"),
        ("noextension", None, "'noextension' has no extension: pass file_format, one of json, pickle"),
        ("", None, "'' has no extension"),
        ("folder.json/a", None, "'folder.json/a' has no extension"),
        ("a.", None, "Unknown file format ''"),
        ("a.txt.gz", None, "Unknown file format 'gz'"),
        ("https://h/a.txt?b=c.json#d.json", None, "Unknown file format 'txt'"),
        ("https://h.json", None, "'https://h.json' has no extension"),
        ("a.json", "txt", "Unknown file format 'txt'"),
        (3, "json", "path or an open file, not 3"),
        ("a.json", 3, "file_format must be a str, not 3"),
        (["a.json"], "json", "path or an open file"),
    ],
)
def test_invalid_file_or_format(file: Any, file_format: str | None, text: str, tmp_path: Path) -> None:
    """An unknown format or an invalid file raises a TypeError, and nothing is written."""
    for call in (lambda: load(file, file_format), lambda: dump(VALUE, file, file_format)):
        with pytest.raises(ArgumentTypeError, match=text):
            call()
    assert list(tmp_path.iterdir()) == []


def test_open_file_requires_format() -> None:
    """The format of an open file is not guessed from its name."""
    with (
        Path("a.json").open("w") as file,
        pytest.raises(TypeError, match="format of an open file is unknown"),
    ):
        dump(VALUE, file)


def test_missing_file() -> None:
    """Loading a file that does not exist raises a FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        load("a.json")
    with pytest.raises(FileNotFoundError):
        load("", "json")


@pytest.mark.parametrize(
    "name", ["a.JSON", "A.Yaml", "archive.v1.PKL", ".json", "a b/ä ☃.yml", "C:\\data\\a.json"]
)
def test_unusual_file_names(name: str, tmp_path: Path) -> None:
    """The case of the extension is ignored, and the rest of the name is arbitrary."""
    dump(VALUE, name)
    assert load(Path(name)) == VALUE
    assert sum(file.is_file() for file in tmp_path.rglob("*")) == 1


@pytest.mark.parametrize("extension", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("name", ["json", "yaml", "pkl"])
def test_compressed_files(name: str, extension: str) -> None:
    """A second extension compresses, in paths, in file_format and for open files, always to the same bytes."""
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


def test_file_format_disables_compression() -> None:
    """If file_format is given, the extension of the file does not enable compression."""
    dump(VALUE, "a.gz", file_format="json")
    assert Path("a.gz").read_text() == dump(VALUE, file_format="json")
    assert load("a.gz", file_format="json") == VALUE


def test_custom_format_precedes_compression() -> None:
    """A handler registered for an extension takes precedence over compression."""

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
def test_invalid_content(name: str, content: bytes, kind: type[Exception], text: str) -> None:
    """A parser error has a note with the name of the file."""
    Path(name).write_bytes(content)
    with pytest.raises(kind, match=text) as caught:
        load(name)
    assert caught.value.__notes__ == [f"while reading {name}"]


def test_urls(site: Site) -> None:
    """A URL is read by the HTTP backend; its query affects neither format nor messages."""
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


def test_explicit_client(site: Site) -> None:
    """If file_client_args name a backend, that backend interprets the file name."""
    dump(VALUE, "http:a.json", file_client_args={"backend": "disk"})
    assert load("http:a.json", file_client_args={"backend": "disk"}) == VALUE
    with pytest.raises(BackendError, match="reads http"):
        load("a.json", file_client_args={"backend": "http"})


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.pkl"])
def test_failing_dump_keeps_old_file(name: str, tmp_path: Path) -> None:
    """If an object cannot be written, the old file is kept and no other file is left."""
    dump(VALUE, name)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        dump([lambda: 0], name)
    assert load(name) == VALUE
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    "name", ["a.json", "a.yaml", "memory://a.json", "memory://a.yaml", "a.json.gz", "a.yaml.xz"]
)
def test_byte_order_marks(name: str, encoding: str) -> None:
    """A text file with a byte order mark is read in the encoding of the mark, from every storage."""
    data = '{"ä": 1}'.encode(encoding)
    if name.endswith(("gz", "xz")):
        data = importlib.import_module({"gz": "gzip", "xz": "lzma"}[name[-2:]]).compress(data)
    FileClient.infer_client(uri=name).put(data, name)
    assert load(name) == {"ä": 1}


def test_byte_order_mark_of_open_files_and_handlers() -> None:
    """Open files and the handlers themselves may have the mark of UTF-8 too."""
    for name in ("a.json", "a.yaml"):
        Path(name).write_bytes('{"ä": 1}'.encode("utf-8-sig"))
        with Path(name).open(encoding="utf-8") as file:
            assert load(file, name[2:]) == {"ä": 1}
        with Path(name).open("rb") as binary:
            assert load(binary, name[2:]) == {"ä": 1}
        assert file_handlers[name[2:]].load_from_path(name) == {"ä": 1}


CONTENT: list[tuple[str, bytes, type[Exception], int | None, str]] = [
    ("a.json", b'{\n"a": }', json.JSONDecodeError, 2, "not valid JSON: .* line 2 column 6"),
    ("a.yaml", b"a: 1\nb: !x 1", yaml.constructor.ConstructorError, 2, r"not valid YAML: .*'!x' in \".*\", line 2, column 4"),
    ("a.yaml", b"a: [\n", yaml.parser.ParserError, 2, "not valid YAML: .*line 2, column 1"),
    ("a.yaml", b"a: 'b\n", yaml.scanner.ScannerError, 2, "not valid YAML: .*line 2, column 1"),
    ("a.yaml", b"a: *b\n", yaml.composer.ComposerError, 1, "not valid YAML: .*line 1, column 4"),
    ("a.yaml", b"a: \x00", yaml.YAMLError, None, "not valid YAML: .*"),
    ("a.yaml", b"a: 2020-13-45", ValueError, None, "not valid YAML: month must be"),
    ("a.yaml", "a: 1\nbä: \xff".encode("latin-1"), UnicodeDecodeError, 2, "not utf-8 text: 0xe4 in line 2, column 2"),
    ("a.json", b"\xff\xfea\x00b", UnicodeDecodeError, 1, "not utf-16 text: .* in line 1, column 2"),
    ("a.pkl", b"", EOFError, None, "not a complete pickle: Ran out of input"),
    ("a.pkl", b"\x80\x02X", pickle.UnpicklingError, None, "not a complete pickle: pickle data was truncated"),
    ("a.pkl", b"x", pickle.UnpicklingError, None, "not a complete pickle: invalid load key"),
    ("a.pkl", b"U\x01\xe4.", UnicodeDecodeError, None, "text that is not ascii.*encoding='latin1'"),
    ("a.json.gz", b"{}", OSError, None, "cannot be decompressed with gzip"),
    ("a.json.gz", gzip.compress(b"[1]" * 9)[:-9], EOFError, None, "cannot be decompressed with gzip"),
    ("a.json.xz", b"{}", ValueError, None, "cannot be decompressed with lzma"),
    ("a.json.bz2", b"{}", OSError, None, "cannot be decompressed with bz2"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "kind", "line", "text"), CONTENT)
def test_errors_of_content_say_where(
    name: str, content: bytes, kind: type[Exception], line: int | None, text: str
) -> None:
    """An error about the content is of the family and of the parser's type, and names file, line and column."""
    for file in (name, f"memory://{name}"):
        FileClient.infer_client(uri=file).put(content, file)
        with pytest.raises(FileContentError, match=text) as caught:
            load(file)
        assert isinstance(caught.value, kind)
        assert (caught.value.file, caught.value.line) == (file, line)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    if not content.startswith(b"\xff"):
        with (
            Path(name).open("rb") as binary,
            pytest.raises(FileContentError, match="|".join([text, "not valid"])) as caught,
        ):
            load(binary, name[2:])
        assert caught.value.file == name


def test_errors_of_parsers_keep_their_attributes() -> None:
    """What code reads from the errors of the parsers is there."""
    Path("a.json").write_text('{\n"a": }')
    with pytest.raises(json.JSONDecodeError) as broken:
        load("a.json")
    assert (broken.value.lineno, broken.value.colno, broken.value.doc[broken.value.pos]) == (2, 6, "}")
    Path("a.yaml").write_text("a: !x 1")
    with pytest.raises(yaml.MarkedYAMLError) as unknown:
        load("a.yaml")
    assert unknown.value.problem_mark is not None
    assert unknown.value.problem_mark.column == 3
    Path("a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(UnicodeDecodeError) as undecodable:
        load("a.yaml")
    assert undecodable.value.object[undecodable.value.start] == 0xFF


def test_code_that_a_pickle_needs_is_no_error_of_its_content() -> None:
    """A module that is missing is a ModuleNotFoundError with the name of the file."""
    Path("a.pkl").write_bytes(b"cnot_there\nThing\n.")
    with pytest.raises(ModuleNotFoundError, match="not_there") as caught:
        load("a.pkl")
    assert caught.value.__notes__ == ["while reading a.pkl"]
