"""FileClient: which backend, which instance, and backends of one's own."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import BaseStorageBackend, ConfigDict, FileClient
from cfgtrain.errors import ArgumentTypeError, BackendError, BackendMethodError, NameTakenError


class Plain(BaseStorageBackend):
    """What a backend has to have, and no more."""

    def __init__(self, start: str = "", **options: Any) -> None:
        self.start = start
        self.options = options

    def get(self, filepath: str | Path) -> bytes:
        return f"{self.start}{filepath}".encode()

    def get_text(self, filepath: str | Path) -> str:  # type: ignore[override]  # as many are written
        return f"{self.start}{filepath}"


class Other(Plain):
    """Another one."""


# ------------------------------------------------------------------------- which backend


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
def test_the_backend_is_found(args: Any, uri: Any, name: str) -> None:
    """It is the one that is named, or the one of the named prefix, or the one of the URI's prefix."""
    client = FileClient.infer_client(args, uri)
    assert client.name == type(client.client).__name__ == name
    assert client.allow_symlink == (name == "HardDiskBackend")
    assert FileClient.infer(args, uri) is client


def test_by_default_it_is_the_disk() -> None:
    """Without arguments it is the disk."""
    assert FileClient().name == "HardDiskBackend"
    assert FileClient() is FileClient("disk")
    assert repr(FileClient()) == "FileClient(HardDiskBackend)"


def test_the_prefix_of_a_uri() -> None:
    """It can be asked for by itself."""
    assert FileClient.parse_uri_prefix("cluster:s3://a") == "s3"
    assert FileClient.parse_uri_prefix(Path("a")) is None


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: FileClient("hadoop"), ValueError, "no file backend 'hadoop'; known are ceph, disk"),
        (lambda: FileClient("dsk"), BackendError, "Did you mean 'disk'"),
        (lambda: FileClient("https"), BackendError, r"It is a prefix: FileClient\(prefix='https'\)"),
        (lambda: FileClient(prefix="hadoop"), ValueError, "No file backend reads hadoop://"),
        (lambda: FileClient.infer_client(uri="htps://a"), BackendError, "Did you mean 'https'"),
        (lambda: FileClient.infer_client(uri="://a"), BackendError, "No file backend reads ://"),
        (lambda: FileClient("http", timout=1), ArgumentTypeError, "Did you mean 'timeout'"),
        (lambda: FileClient("disk", a=1), ArgumentTypeError, "takes no argument 'a'"),
        (lambda: FileClient("lmdb"), ArgumentTypeError, "needs the argument 'db_path'"),
        (lambda: FileClient.infer_client(), AssertionError, "file_client_args or a uri"),
        (lambda: FileClient.infer_client(uri=3), AssertionError, "URI is a str or a Path, not 3"),
        (
            lambda: FileClient.infer_client("disk", "a"),
            ArgumentTypeError,
            "file_client_args is a dict, not 'disk'",
        ),
        (lambda: FileClient.infer_client(uri=Path("s3://b/a")), ValueError, "lost a slash"),
    ],
)
def test_what_leads_to_no_backend(call: Any, kind: type[Exception], text: str) -> None:
    """What is unknown or does not fit is named, with what would be right."""
    with pytest.raises(kind, match=text):
        call()


# ------------------------------------------------------------------------- which instance


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": [1, {"c": 2}]}, {"b": [1, {"c": 2}], "a": 1}, True),
        ({"a": {"b": 1}}, {"a": ConfigDict(b=1)}, True),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": [1]}, {"a": (1,)}, False),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, False),  # a mapping of paths is tried in order
        ({"a": None}, {}, False),
        ({"a": {1}}, {"a": {1}}, False),  # cannot be hashed
    ],
)
def test_the_same_arguments_give_the_same_client(one: Any, other: Any, same: bool) -> None:
    """Arguments that mean the same give the same object, and others never do."""
    FileClient.register_backend("plain", Plain, prefixes="plain")
    assert (FileClient("plain", **one) is FileClient("plain", **other)) == same
    assert FileClient("plain", **one) is not FileClient("disk")
    assert FileClient("plain", **other).client.options == other  # type: ignore[attr-defined]


def test_a_client_can_be_pickled_and_copied() -> None:
    """A client that is sent to another process is made of its arguments there, and the disk's stays the disk's."""
    FileClient.register_backend("plain", Plain)
    client = FileClient("plain", start="x")
    data = pickle.dumps(client)
    assert pickle.loads(data) is client
    assert copy.deepcopy({"client": client})["client"] is client
    FileClient._instances.clear()
    assert pickle.loads(data).get("a") == b"xa"
    assert FileClient().name == "HardDiskBackend"


def test_subclasses_have_clients_of_their_own() -> None:
    """A subclass does not get the clients of its base."""

    class Mine(FileClient):
        pass

    assert type(FileClient()) is FileClient
    assert type(Mine()) is Mine
    assert type(Mine.infer_client(uri="a")) is Mine


# ------------------------------------------------------------------------- one's own


def test_a_backend_can_be_registered() -> None:
    """As a call or a decorator, with one prefix, several or none."""
    assert FileClient.register_backend("one", Plain) is None
    assert FileClient("one").get("a") == b"a"

    @FileClient.register_backend("two", prefixes=["two", "ii"])
    class Two(Plain):
        pass

    assert Two.__name__ == "Two"
    assert FileClient._backends["two"] is Two
    assert FileClient.infer_client(uri="ii://a").get_text("ii://a") == "ii://a"
    FileClient.register_backend("three", Plain, prefixes=("iii",))
    assert FileClient.infer_client({"start": "x"}, "iii://a").get("b") == b"xb"
    FileClient.register_backend("four", Plain, prefixes="memory")
    assert FileClient.infer_client(uri="memory://a").name == "Plain"


def test_a_name_or_prefix_is_taken_once() -> None:
    """What is taken stays, unless force is set, and a refused backend leaves nothing behind."""
    FileClient.register_backend("one", Plain, prefixes="i")
    before = dict(FileClient._backends), dict(FileClient._prefix_to_backends)
    for args in (("one", Other), ("new", Other, False, "i"), ("new", Other, False, ["ii", "http"])):
        with pytest.raises(KeyError, match=r"is (Plain|HTTPBackend)'s; force=True"):
            FileClient.register_backend(*args)
        assert (FileClient._backends, FileClient._prefix_to_backends) == before
    with pytest.raises(NameTakenError):
        FileClient.register_backend("one")(Other)  # type: ignore[misc]


def test_a_replaced_backend_is_forgotten() -> None:
    """Clients of what was replaced, by name or by prefix, are not handed out again."""
    FileClient.register_backend("one", Plain, prefixes="i")
    old = FileClient("one"), FileClient(prefix="i"), FileClient("disk"), FileClient(prefix="memory")
    FileClient.register_backend("one", Other, force=True, prefixes=["i", "memory"])
    new = FileClient("one"), FileClient(prefix="i"), FileClient("disk"), FileClient(prefix="memory")
    assert [client.name for client in new] == ["Other", "Other", "HardDiskBackend", "Other"]
    assert old[2] is new[2]


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        ((1, Plain), TypeError),
        (("a", 1), TypeError),
        (("a", Plain()), TypeError),
        (("a", dict), TypeError),
        (("a", Plain, False, 1), AssertionError),
        (("a", Plain, False, [1]), AssertionError),
        (("a", Plain, False, {"a": 1}), AssertionError),
    ],
)
def test_what_cannot_be_registered(args: Any, kind: type[Exception]) -> None:
    """Names and prefixes are text, and backends are classes of backends."""
    with pytest.raises(kind):
        FileClient.register_backend(*args)
    assert "a" not in FileClient._backends


def test_what_a_backend_leaves_out() -> None:
    """A backend of two methods reads, makes local copies and joins paths; the rest says that it cannot."""
    FileClient.register_backend("plain", Plain)
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
        with pytest.raises(BackendMethodError, match="Plain cannot"):
            call()
    assert issubclass(BackendMethodError, AttributeError)
    assert issubclass(BackendMethodError, NotImplementedError)


def test_a_backend_has_to_be_complete() -> None:
    """One without get or get_text cannot be made."""

    class Half(BaseStorageBackend):
        def get(self, filepath: str | Path) -> bytes:
            return b""

    FileClient.register_backend("half", Half)
    with pytest.raises(TypeError, match="get_text"):
        FileClient("half")


@pytest.mark.parametrize("kind", [str, Path])
def test_every_method_reaches_the_disk(kind: type) -> None:
    """The client hands its arguments on."""
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
