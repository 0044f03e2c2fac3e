"""Tests of FileClient: choice of the backend, caching of clients, and custom backends."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import BaseStorageBackend, ConfigDict, FileClient
from cfgtrain.errors import ArgumentTypeError, BackendError, BackendMethodError, NameTakenError


class MinimalBackend(BaseStorageBackend):
    """A backend with only the required methods."""

    def __init__(self, start: str = "", **options: Any) -> None:
        self.start = start
        self.options = options

    def get(self, filepath: str | Path) -> bytes:
        return f"{self.start}{filepath}".encode()

    def get_text(self, filepath: str | Path) -> str:  # type: ignore[override]  # without encoding, as in many custom backends
        return f"{self.start}{filepath}"


class OtherBackend(MinimalBackend):
    """Another backend."""


# ------------------------------------------------------------------------- choice of the backend


@pytest.mark.parametrize(
    ("args", "uri", "name"),
    [
        (None, "a.txt", "HardDiskBackend"),
        (None, Path("a.txt"), "HardDiskBackend"),
        (None, "C:\\a.txt", "HardDiskBackend"),
        (None, "", "HardDiskBackend"),
        (None, "file:///a.txt", "HardDiskBackend"),
        (None, "http://h/a", "HTTPBackend"),
        (None, "HTTPS://h/a", "HTTPBackend"),
        (None, "memory://a", "FsspecBackend"),
        ({}, "http://h/a", "HTTPBackend"),
        ({}, None, "HardDiskBackend"),
        (ConfigDict(timeout=1.0), "http://h/a", "HTTPBackend"),
        ({"backend": None, "timeout": 1.0}, "http://h/a", "HTTPBackend"),
        ({"backend": "disk"}, "http://h/a", "HardDiskBackend"),
        ({"prefix": "http"}, "a.txt", "HTTPBackend"),
        ({"backend": "disk", "prefix": "http"}, None, "HardDiskBackend"),
        ({"backend": "fsspec", "protocol": "memory"}, "a", "FsspecBackend"),
    ],
)
def test_backend_is_inferred(args: Any, uri: Any, name: str) -> None:
    """The backend is selected by its name, else by the prefix argument, else by the prefix of the URI."""
    client = FileClient.infer_client(args, uri)
    assert client.name == type(client.client).__name__ == name
    assert client.allow_symlink == (name == "HardDiskBackend")
    assert FileClient.infer(args, uri) is client


def test_default_backend_is_disk() -> None:
    """Without arguments the backend is the disk."""
    assert FileClient().name == "HardDiskBackend"
    assert FileClient() is FileClient("disk")
    assert repr(FileClient()) == "FileClient(HardDiskBackend)"


def test_parse_uri_prefix() -> None:
    """parse_uri_prefix returns the prefix of a URI."""
    assert FileClient.parse_uri_prefix("cluster:s3://a") == "s3"
    assert FileClient.parse_uri_prefix(Path("a")) is None


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: FileClient("hadoop"),
            ValueError,
            r"Unknown file backend 'hadoop'\. Known backends: ceph, disk",
        ),
        (lambda: FileClient("dsk"), BackendError, "Did you mean 'disk'"),
        (lambda: FileClient("https"), BackendError, r"is a prefix: use FileClient\(prefix='https'\)"),
        (lambda: FileClient(prefix="hadoop"), ValueError, "No file backend reads hadoop://"),
        (lambda: FileClient.infer_client(uri="htps://a"), BackendError, "Did you mean 'https'"),
        (lambda: FileClient.infer_client(uri="://a"), BackendError, "No file backend reads ://"),
        (lambda: FileClient("http", timout=1), ArgumentTypeError, "Did you mean 'timeout'"),
        (lambda: FileClient("disk", a=1), ArgumentTypeError, "takes no argument 'a'"),
        (lambda: FileClient("lmdb"), ArgumentTypeError, "needs the argument 'db_path'"),
        (lambda: FileClient.infer_client(), AssertionError, "file_client_args or uri"),
        (lambda: FileClient.infer_client(uri=3), AssertionError, "uri must be a str or a Path, not 3"),
        (
            lambda: FileClient.infer_client("disk", "a"),
            ArgumentTypeError,
            "file_client_args must be a dict, not 'disk'",
        ),
        (lambda: FileClient.infer_client(uri=Path("s3://b/a")), ValueError, ":// to :/"),
    ],
)
def test_invalid_arguments(call: Any, kind: type[Exception], text: str) -> None:
    """Unknown names and invalid arguments raise an error that names the value and what would be right."""
    with pytest.raises(kind, match=text):
        call()


# ------------------------------------------------------------------------- caching


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": [1, {"c": 2}]}, {"b": [1, {"c": 2}], "a": 1}, True),
        ({"a": {"b": 1}}, {"a": ConfigDict(b=1)}, True),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": [1]}, {"a": (1,)}, False),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, False),  # the order of a path mapping matters
        ({"a": None}, {}, False),
        ({"a": {1}}, {"a": {1}}, False),  # not hashable
    ],
)
def test_same_arguments_return_same_client(one: Any, other: Any, same: bool) -> None:
    """Equal arguments of the same types return the same object; others do not."""
    FileClient.register_backend("plain", MinimalBackend, prefixes="plain")
    assert (FileClient("plain", **one) is FileClient("plain", **other)) == same
    assert FileClient("plain", **one) is not FileClient("disk")
    assert FileClient("plain", **other).client.options == other  # type: ignore[attr-defined]


def test_pickle_and_copy() -> None:
    """A client is pickled and copied as its arguments, and created again from them in another process."""
    FileClient.register_backend("plain", MinimalBackend)
    client = FileClient("plain", start="x")
    data = pickle.dumps(client)
    assert pickle.loads(data) is client
    assert copy.deepcopy({"client": client})["client"] is client
    FileClient._instances.clear()
    assert pickle.loads(data).get("a") == b"xa"
    assert FileClient().name == "HardDiskBackend"


def test_subclasses_have_their_own_cache() -> None:
    """A subclass does not return the cached clients of its base class."""

    class Mine(FileClient):
        pass

    assert type(FileClient()) is FileClient
    assert type(Mine()) is Mine
    assert type(Mine.infer_client(uri="a")) is Mine


# ------------------------------------------------------------------------- custom backends


def test_register_backend() -> None:
    """A backend is registered by a call or a decorator, with one prefix, several or none."""
    assert FileClient.register_backend("one", MinimalBackend) is None
    assert FileClient("one").get("a") == b"a"

    @FileClient.register_backend("two", prefixes=["two", "ii"])
    class Two(MinimalBackend):
        pass

    assert Two.__name__ == "Two"
    assert FileClient._backends["two"] is Two
    assert FileClient.infer_client(uri="ii://a").get_text("ii://a") == "ii://a"
    FileClient.register_backend("three", MinimalBackend, prefixes=("iii",))
    assert FileClient.infer_client({"start": "x"}, "iii://a").get("b") == b"xb"
    FileClient.register_backend("four", MinimalBackend, prefixes="memory")
    assert FileClient.infer_client(uri="memory://a").name == "MinimalBackend"


def test_registered_names_are_protected() -> None:
    """A registered name or prefix is not replaced unless force is set, and a failed call registers nothing."""
    FileClient.register_backend("one", MinimalBackend, prefixes="i")
    before = dict(FileClient._backends), dict(FileClient._prefix_to_backends)
    for args in (
        ("one", OtherBackend),
        ("new", OtherBackend, False, "i"),
        ("new", OtherBackend, False, ["ii", "http"]),
    ):
        with pytest.raises(KeyError, match=r"for (MinimalBackend|HTTPBackend)\. .*force=True"):
            FileClient.register_backend(*args)
        assert (FileClient._backends, FileClient._prefix_to_backends) == before
    with pytest.raises(NameTakenError):
        FileClient.register_backend("one")(OtherBackend)  # type: ignore[misc]


def test_replacing_a_backend_clears_cache() -> None:
    """Cached clients of a backend that was replaced, by name or by prefix, are not returned again."""
    FileClient.register_backend("one", MinimalBackend, prefixes="i")
    old = FileClient("one"), FileClient(prefix="i"), FileClient("disk"), FileClient(prefix="memory")
    FileClient.register_backend("one", OtherBackend, force=True, prefixes=["i", "memory"])
    new = FileClient("one"), FileClient(prefix="i"), FileClient("disk"), FileClient(prefix="memory")
    assert [client.name for client in new] == [
        "OtherBackend",
        "OtherBackend",
        "HardDiskBackend",
        "OtherBackend",
    ]
    assert old[2] is new[2]


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        ((1, MinimalBackend), TypeError),
        (("a", 1), TypeError),
        (("a", MinimalBackend()), TypeError),
        (("a", dict), TypeError),
        (("a", MinimalBackend, False, 1), AssertionError),
        (("a", MinimalBackend, False, [1]), AssertionError),
        (("a", MinimalBackend, False, {"a": 1}), AssertionError),
    ],
)
def test_invalid_registration(args: Any, kind: type[Exception]) -> None:
    """Names and prefixes must be str, and backends must be subclasses of BaseStorageBackend."""
    with pytest.raises(kind):
        FileClient.register_backend(*args)
    assert "a" not in FileClient._backends


def test_missing_methods() -> None:
    """A minimal backend reads, makes local copies and joins paths; other methods raise an error."""
    FileClient.register_backend("plain", MinimalBackend)
    client = FileClient("plain")
    assert client.get_text("a") == "a"
    with client.get_local_path("a.json") as path:
        assert Path(path).read_text() == "a.json"
    assert client.join_path("a/", "b") == "a/b"
    for call in (
        lambda: client.put(b"", "a"),
        lambda: client.put_text("", "a"),
        lambda: client.remove("a"),
        lambda: client.exists("a"),
        lambda: client.isdir("a"),
        lambda: client.isfile("a"),
        lambda: list(client.list_dir_or_file("a")),
    ):
        with pytest.raises(BackendMethodError, match="MinimalBackend cannot"):
            call()
    assert issubclass(BackendMethodError, AttributeError)
    assert issubclass(BackendMethodError, NotImplementedError)


def test_incomplete_backend() -> None:
    """A backend without get or get_text cannot be instantiated."""

    class Half(BaseStorageBackend):
        def get(self, filepath: str | Path) -> bytes:
            return b""

    FileClient.register_backend("half", Half)
    with pytest.raises(TypeError, match="get_text"):
        FileClient("half")


@pytest.mark.parametrize("kind", [str, Path])
def test_methods_are_forwarded(kind: type) -> None:
    """Every method of the client passes its arguments to the backend."""
    client = FileClient()
    client.put(b"x", kind("d/a.txt"))
    client.put_text("ä", kind("d/b.txt"), "latin-1")
    assert client.get(kind("d/a.txt")) == b"x"
    assert client.get_text(kind("d/b.txt"), "latin-1") == "ä"
    assert (client.exists(kind("d")), client.isdir(kind("d")), client.isfile(kind("d"))) == (
        True,
        True,
        False,
    )
    assert client.join_path(kind("d"), kind("a")) == "d/a"
    assert list(client.list_dir_or_file(kind("d"), list_dir=False, suffix="b.txt")) == ["b.txt"]
    with client.get_local_path(kind("d/a.txt")) as path:
        assert path == "d/a.txt"
    client.remove(kind("d/a.txt"))
    assert [file.name for file in Path("d").iterdir()] == ["b.txt"]
