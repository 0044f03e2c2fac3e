"""Tests of the Ceph and Petrel backends, with fake SDKs that keep files in a dict and record their calls."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import FileClient, dump, list_from_file, load
from cfgtrain.errors import ArgumentError, MissingLibraryError
from cfgtrain.fileio.backends import CephBackend, FsspecBackend, PetrelBackend


class FakeClient:
    """The client class of the fake SDKs."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []

    def Get(self, path: str) -> bytes | None:  # noqa: N802  # the SDK's name
        self.calls.append(("Get", path))
        return self.files.get(path)

    def put(self, path: str, content: bytes) -> None:
        self.calls.append(("put", path))
        self.files[path] = content

    def delete(self, path: str) -> None:
        self.calls.append(("delete", path))
        del self.files[path]

    def contains(self, path: str) -> bool:
        self.calls.append(("contains", path))
        return path in self.files

    def isdir(self, path: str) -> bool:
        self.calls.append(("isdir", path))
        return any(name.startswith(path.rstrip("/") + "/") for name in self.files)

    def list(self, path: str) -> list[str]:
        self.calls.append(("list", path))
        inner = [name.removeprefix(path) for name in self.files if name.startswith(path)]
        return sorted({name.split("/")[0] + "/" * ("/" in name) for name in inner})


@pytest.fixture
def petrel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a fake SDK of Petrel."""
    package, client = types.ModuleType("petrel_client"), types.ModuleType("petrel_client.client")
    client.__dict__["Client"] = FakeClient
    package.__dict__["client"] = client
    monkeypatch.setitem(sys.modules, "petrel_client", package)
    monkeypatch.setitem(sys.modules, "petrel_client.client", client)


@pytest.fixture
def ceph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a fake SDK of Ceph."""
    module = types.ModuleType("ceph")
    module.__dict__["S3Client"] = FakeClient
    monkeypatch.setitem(sys.modules, "ceph", module)


def test_petrel_methods(petrel: None) -> None:
    """Each method calls one method of the SDK, with the path as its first argument, a str."""
    backend = PetrelBackend(conf_path="~/petrel.conf", enable_mc=False)
    store = backend._client
    assert store.options == {"conf_path": "~/petrel.conf", "enable_mc": False}
    path = "s3://bucket/a/b.txt"
    backend.put_text("ä\r\n", path)
    backend.put(b"x", "s3://bucket/c")
    assert store.files == {path: "ä\r\n".encode(), "s3://bucket/c": b"x"}
    assert isinstance(backend.get(path), memoryview)
    assert bytes(backend.get(path)) == "ä\r\n".encode()
    assert backend.get_text(path) == "ä\n"
    assert [backend.exists(each) for each in (path, "s3://bucket/a", "s3://bucket/b")] == [True, True, False]
    assert (backend.isfile(path), backend.isdir(path)) == (True, False)
    assert (backend.isfile("s3://bucket/a"), backend.isdir("s3://bucket/a")) == (False, True)
    backend.remove(path)
    assert store.calls[-1] == ("delete", path)
    with pytest.raises(FileNotFoundError, match=path):
        backend.get(path)


def test_petrel_local_copies(petrel: None) -> None:
    """A local copy needs one existence check and one download; it keeps the extension and is removed."""
    backend = PetrelBackend()
    backend._client.files["s3://b/a.jpg"] = b"x"
    with backend.get_local_path("s3://b/a.jpg") as path:
        assert Path(path).read_bytes() == b"x"
        assert str(path).endswith(".jpg")
    assert not Path(path).exists()
    assert backend._client.calls == [("contains", "s3://b/a.jpg"), ("Get", "s3://b/a.jpg")]
    with pytest.raises(FileNotFoundError), backend.get_local_path("s3://b/none"):
        pass


@pytest.mark.parametrize(
    ("path", "mapped"),
    [
        ("data/coco/1.jpg", "s3://bucket/coco/1.jpg"),
        (Path("data/coco/1.jpg"), "s3://bucket/coco/1.jpg"),
        ("/home/me/data/1.jpg", "/home/me/data/1.jpg"),
        ("data/more/data/1.jpg", "s3://bucket/more/data/1.jpg"),
        ("s3://data/1.jpg", "s3://data/1.jpg"),
        ("s3://user\\data\\\\test.jpg", "s3://user/data/test.jpg"),
        ("data/a\\b", "s3://bucket/a/b"),
    ],
)
def test_paths_are_mapped(path: Any, mapped: str, petrel: None) -> None:
    """The prefix of a path is replaced, matches in the middle are not, and backslashes become slashes."""
    backend = PetrelBackend(path_mapping={"./data/": "s3://bucket/", "data/": "s3://bucket/", "s3://b": "no"})
    backend.put(b"x", path)
    backend.exists(path)
    assert {called for _, called in backend._client.calls} == {mapped}
    assert backend._format_path(backend._map_path(path)) == mapped


def test_join_path(petrel: None) -> None:
    """Parts are joined by slashes; the first part may end with one."""
    backend = PetrelBackend()
    assert backend.join_path("s3://a/b", "c", "d") == "s3://a/b/c/d"
    assert backend.join_path("s3://a/b/", Path("c")) == "s3://a/b/c"
    assert PetrelBackend(path_mapping={"x": "s3://y"}).join_path("x", "b") == "s3://y/b"


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({}, "dir1 dir2 text1.txt text2.txt"),
        (
            {"recursive": True},
            "dir1 dir1/text3.txt dir2 dir2/dir3 dir2/dir3/text4.txt dir2/img.jpg text1.txt text2.txt",
        ),
        ({"list_file": False}, "dir1 dir2"),
        (
            {"list_dir": False, "suffix": (".jpg", "4.txt"), "recursive": True},
            "dir2/dir3/text4.txt dir2/img.jpg",
        ),
    ],
)
@pytest.mark.parametrize("folder", ["s3://b/tree", "s3://b/tree/", "tree"])
def test_list_dir_or_file(folder: str, args: dict[str, Any], found: str, petrel: None) -> None:
    """Folders are listed as on the disk, without a trailing slash, also with a path mapping."""
    backend = PetrelBackend(path_mapping={"tree": "s3://b/tree", "dir": "s3://wrong/"})
    for name in ("dir1/text3.txt", "dir2/img.jpg", "dir2/dir3/text4.txt", "text1.txt", "text2.txt"):
        backend._client.files[f"s3://b/tree/{name}"] = b""
    assert list(backend.list_dir_or_file(folder, **args)) == found.split()
    assert all(name == "list" and path.endswith("/") for name, path in backend._client.calls)
    with pytest.raises(TypeError, match="`list_dir` should be False when `suffix` is not None"):
        backend.list_dir_or_file(folder, suffix=".txt")
    with pytest.raises(TypeError, match="`suffix` must be a string or tuple of strings"):
        backend.list_dir_or_file(folder, list_dir=False, suffix=[".txt"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("remove", "delete"),
        ("exists", "contains"),
        ("exists", "isdir"),
        ("isdir", "isdir"),
        ("isfile", "contains"),
        ("list_dir_or_file", "list"),
    ],
)
def test_old_sdk(method: str, missing: str, petrel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that the SDK does not have raises a NotImplementedError that names it."""
    monkeypatch.delattr(FakeClient, missing)
    with pytest.raises(NotImplementedError, match=rf"does not support {missing}\(\)"):
        list(getattr(PetrelBackend(), method)("s3://b/a"))


def test_load_and_dump(petrel: None) -> None:
    """URIs that begin with s3:// are written to the store and read from it, as text or bytes."""
    for name in ("a.json", "a.yaml", "a.pkl"):
        dump({"a": [1]}, f"s3://bucket/{name}")
        assert load(f"s3://bucket/{name}") == {"a": [1]}
    client = FileClient(prefix="s3")
    assert (client.name, client.allow_symlink) == ("PetrelBackend", False)
    client.put_text("1\n2\n", "s3://bucket/list.txt")
    assert list_from_file("s3://bucket/list.txt", prefix="x") == ["x1", "x2"]
    assert client.client._client.files["s3://bucket/a.json"] == b'{"a": [1]}'  # type: ignore[attr-defined]


def test_ceph_is_deprecated(ceph: None) -> None:
    """The Ceph backend still reads, applies a path mapping, and warns to use PetrelBackend."""
    with pytest.warns(DeprecationWarning, match="PetrelBackend"):
        backend = CephBackend(path_mapping={"data/": "s3://b/"})
    backend._client.files["s3://b/a"] = b"x"
    assert backend.get(Path("data/a")) == memoryview(b"x")
    with pytest.raises(NotImplementedError, match="bytes, not text"):
        backend.get_text("data/a")


@pytest.mark.filterwarnings("ignore:CephBackend:DeprecationWarning")
@pytest.mark.parametrize("kind", [CephBackend, PetrelBackend])
def test_path_mapping_must_be_dict(kind: Any, petrel: None, ceph: None) -> None:
    """A path mapping of another type raises an error, which is an AssertionError as in MMCV."""
    with pytest.raises(AssertionError, match="path_mapping must be a dict"):
        kind(path_mapping=1)
    assert issubclass(ArgumentError, AssertionError)


@pytest.mark.parametrize(("kind", "module"), [(CephBackend, "ceph"), (PetrelBackend, "petrel_client")])
def test_missing_sdk(kind: Any, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its SDK a backend raises an error that names the SDK and the alternative through fsspec."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibraryError, match=rf"{module}\. .*pip install 'cfgtrain\[s3\]'"):
        kind()


def test_s3_without_petrel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Petrel's SDK, s3:// is read through fsspec, unless options of PetrelBackend are given."""
    monkeypatch.setitem(sys.modules, "petrel_client", None)
    seen: list[Any] = []
    monkeypatch.setattr(FsspecBackend, "__init__", lambda self, *args, **kwargs: seen.append((args, kwargs)))
    assert FileClient.infer_client(uri="s3://b/a").name == "FsspecBackend"
    assert FileClient.infer_client({"endpoint_url": "http://h"}, "S3://b/a").name == "FsspecBackend"
    assert seen == [(("s3",), {}), (("s3",), {"endpoint_url": "http://h"})]
    with pytest.raises(MissingLibraryError, match="petrel_client"):
        FileClient(prefix="s3", path_mapping={})
