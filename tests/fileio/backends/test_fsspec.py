"""Tests of the fsspec backend, with the memory and zip file systems."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import FileClient, dict_from_file, dump, list_from_file, load
from cfgtrain.errors import BackendError, MissingLibraryError
from cfgtrain.fileio.backends import FsspecBackend


@pytest.fixture
def root() -> str:
    """Return a folder in memory that no other test uses."""
    return f"memory://{uuid.uuid4().hex}"


def test_bytes_and_text(root: str) -> None:
    """What is written can be read until it is removed; missing folders are created."""
    client = FileClient.infer_client(uri=root)
    assert (client.name, client.allow_symlink) == ("FsspecBackend", False)
    path = client.join_path(root, "new", "ä b.txt")
    assert path == f"{root}/new/ä b.txt"
    client.put_text("ä\r\n", path)
    assert client.get(path) == "ä\r\n".encode()
    assert client.get_text(path) == "ä\n"
    client.put_text("ä", path, "latin-1")
    assert client.get_text(path, "latin-1") == "ä"
    assert (client.exists(path), client.isfile(path), client.isdir(path)) == (True, True, False)
    assert (client.isfile(f"{root}/new"), client.isdir(f"{root}/new")) == (False, True)
    client.remove(path)
    assert not client.exists(path)
    with pytest.raises(FileNotFoundError):
        client.get(path)


def test_local_copy(root: str) -> None:
    """A local copy keeps the extensions and is removed."""
    client = FileClient(prefix="memory")
    client.put(b"x", f"{root}/a.nii.gz")
    with client.get_local_path(f"{root}/a.nii.gz") as path:
        assert Path(path).read_bytes() == b"x"
        assert str(path).endswith(".nii.gz")
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({}, "dir1 dir2 text1.txt"),
        (
            {"recursive": True},
            "dir1 dir1/text3.txt dir2 dir2/dir3 dir2/dir3/text4.txt dir2/img.jpg text1.txt",
        ),
        (
            {"list_dir": False, "suffix": ".txt", "recursive": True},
            "dir1/text3.txt dir2/dir3/text4.txt text1.txt",
        ),
    ],
)
@pytest.mark.parametrize("end", ["", "/"])
def test_list_dir_or_file(end: str, args: dict[str, Any], found: str, root: str) -> None:
    """Folders are listed as on the disk."""
    client = FileClient(prefix="memory")
    for name in ("dir1/text3.txt", "dir2/img.jpg", "dir2/dir3/text4.txt", "text1.txt", ".hidden"):
        client.put(b"", f"{root}/{name}")
    assert list(client.list_dir_or_file(root + end, **args)) == found.split()


def test_load_and_dump(root: str) -> None:
    """Every function that uses a FileClient supports these URIs."""
    for name in ("a.json", "a.yml", "a.pkl", "a.json.gz"):
        dump({"a": [1]}, f"{root}/{name}")
        assert load(f"{root}/{name}") == {"a": [1]}
    FileClient(prefix="memory").put_text("1 cat\n2 dog cow\n", f"{root}/a.txt")
    assert list_from_file(f"{root}/a.txt", offset=1) == ["2 dog cow"]
    assert dict_from_file(f"{root}/a.txt", int) == {1: "cat", 2: ["dog", "cow"]}


def test_chained_uris(root: str) -> None:
    """A chained URI is supported: a file in a zip archive in memory."""
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("folder/a.json", "[1]")
    FileClient(prefix="memory").put(out.getvalue(), f"{root}/a.zip")
    assert load(f"zip://folder/a.json::{root}/a.zip") == [1]


def test_paths_without_prefix(root: str, tmp_path: Path) -> None:
    """A path without a prefix belongs to the protocol argument, or to the local disk."""
    path = root.removeprefix("memory://")
    backend = FsspecBackend("memory")
    backend.put(b"x", f"{path}/a")
    assert backend.get(f"{root}/a") == backend.get(Path(path, "a")) == b"x"
    FsspecBackend().put(b"y", tmp_path / "new" / "a")
    assert (tmp_path / "new" / "a").read_bytes() == b"y"


def test_unknown_protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown protocol raises an error with a suggestion; for a missing package it says what to install."""
    with pytest.raises(BackendError, match="Did you mean 'memory'"):
        FsspecBackend("memry")
    with pytest.raises(BackendError, match=r"No file backend reads memry://.*Did you mean 'memory'"):
        FileClient.infer_client(uri="memry://a")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "petrel_client", None)
    with pytest.raises(MissingLibraryError, match=r"s3:// requires .*s3fs.*pip install 'cfgtrain\[s3\]'"):
        FileClient.infer_client(uri="s3://bucket/a")
    with pytest.raises(MissingLibraryError, match="s3fs"):
        FsspecBackend().get("s3://bucket/a")


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fsspec its prefixes are unknown, and the error of the backend says what to install."""
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(BackendError, match="No file backend reads gs://"):
        FileClient.infer_client(uri="gs://a")
    with pytest.raises(MissingLibraryError, match="pip install fsspec"):
        FileClient("fsspec", protocol="memory")
