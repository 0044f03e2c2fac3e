"""Tests of the LMDB backend, and of the memcached backend with a fake SDK that records its calls."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lmdb
import pytest

from cfgtrain import FileClient, load
from cfgtrain.errors import BackendMethodError, MissingLibraryError
from cfgtrain.fileio.backends import LmdbBackend, MemcachedBackend


@pytest.fixture
def database() -> Path:
    """Create a database with two values."""
    with (
        lmdb.open("data.lmdb", map_size=1 << 20) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"baboon", b"\x89PNG")
        transaction.put("ä/1.json".encode(), b"[1]")
    return Path("data.lmdb")


@pytest.mark.parametrize("kind", [str, Path])
def test_lmdb_values(kind: type, database: Path) -> None:
    """A key, str or Path, returns its bytes, and a missing key None."""
    backend = LmdbBackend(kind(database))
    assert backend.db_path == "data.lmdb"
    assert backend.get(kind("baboon")) == b"\x89PNG"
    assert backend.get(kind("ä/1.json")) == b"[1]"
    assert backend.get("mandrill") is None
    assert (backend.exists("baboon"), backend.isfile("mandrill")) == (True, False)
    with pytest.raises(NotImplementedError, match="bytes, not text"):
        backend.get_text("baboon")
    with backend.get_local_path("baboon") as path:
        assert Path(path).read_bytes() == b"\x89PNG"


def test_clients_share_a_database(database: Path) -> None:
    """LMDB opens a database only once per process: clients with different arguments share it."""
    first = FileClient("lmdb", db_path="data.lmdb")
    second = FileClient("lmdb", db_path=Path("data.lmdb"), readahead=True)
    assert first is not second
    assert [client.get("baboon") for client in (first, second, first)] == [b"\x89PNG"] * 3
    assert first.client._environment() is second.client._environment()  # type: ignore[attr-defined]


def test_unused_database_is_closed(database: Path) -> None:
    """When its last backend is deleted, the database is closed and can be opened for writing."""
    backend = LmdbBackend(database)
    backend.get("baboon")
    LmdbBackend("nowhere")
    del backend
    with lmdb.open(str(database)) as environment, environment.begin(write=True) as transaction:
        assert transaction.put(b"new", b"x")


def in_forked_process(check: Callable[[], bool]) -> bool:
    """Return the result of ``check`` in a forked process."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_process_reopens_database(database: Path) -> None:
    """Two backends that were used before a fork read in the child process and afterwards in the parent."""
    both = [LmdbBackend(database), LmdbBackend(database, lock=True)]
    values = [each.get("baboon") for each in both]
    before = [each._environment() for each in both]
    assert in_forked_process(
        lambda: [each.get("baboon") for each in both] == values and both[0]._environment() is not before[0]
    )
    assert [each.get("baboon") for each in both] == values
    assert [each._environment() for each in both] == before


def test_threads_open_database_once(database: Path) -> None:
    """Threads that read for the first time at the same moment all succeed."""
    backends = [LmdbBackend(database) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda each: each.get("baboon"), backends)) == {b"\x89PNG"}


def test_single_file_database() -> None:
    """A database in a single file is detected."""
    with (
        lmdb.open("one.mdb", map_size=1 << 20, subdir=False) as environment,
        environment.begin(write=True) as t,
    ):
        t.put(b"a", b"b")
    assert LmdbBackend("one.mdb").get("a") == b"b"


def test_missing_database() -> None:
    """A missing database raises an error with its name on first use."""
    backend = LmdbBackend("nowhere")
    with pytest.raises(FileNotFoundError, match="LMDB database nowhere does not exist"):
        backend.get("a")


def test_load_from_database(database: Path) -> None:
    """Load reads a value, here a compressed file, and a missing key raises an error with its name."""
    import gzip

    with lmdb.open(str(database)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"a.json.gz", gzip.compress(b"[2]"))
    args = {"backend": "lmdb", "db_path": str(database)}
    assert load("a.json.gz", file_client_args=args) == [2]
    with pytest.raises(FileNotFoundError, match=r"b\.pkl does not exist in LmdbBackend"):
        load("b.pkl", file_client_args=args)


@pytest.mark.parametrize("name", ["lmdb", "memcached"])
def test_missing_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its library a backend raises an error that says what to install."""
    monkeypatch.setitem(sys.modules, {"lmdb": "lmdb", "memcached": "mc"}[name], None)
    args = {"lmdb": {"db_path": "a"}, "memcached": {"server_list_cfg": "a", "client_cfg": "b"}}[name]
    text = {"lmdb": r"pip install 'cfgtrain\[lmdb\]'", "memcached": "module mc.*not on PyPI"}[name]
    with pytest.raises(MissingLibraryError, match=text) as caught:
        FileClient(name, **args)
    assert isinstance(caught.value, ImportError)


@pytest.fixture
def memcached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Install a fake module ``mc`` whose client records its calls."""
    calls: list[Any] = []

    class Client:
        def Get(self, key: str, buffer: list[bytes]) -> None:  # noqa: N802  # the SDK's name
            calls.append(("Get", key))
            buffer.append(key.encode())

    class MemcachedClient:
        @staticmethod
        def GetInstance(servers: str, settings: str) -> Client:  # noqa: N802  # likewise
            calls.append(("GetInstance", servers, settings))
            return Client()

    fake = types.ModuleType("mc")
    fake.__dict__.update(
        MemcachedClient=MemcachedClient, pyvector=list, ConvertBuffer=lambda buffer: buffer[0]
    )
    monkeypatch.setitem(sys.modules, "mc", fake)
    return calls


@pytest.mark.parametrize("kind", [str, Path])
def test_memcached(kind: type, memcached: list[Any]) -> None:
    """The SDK is called once for the client, and once per key with a buffer; sys_path is added."""
    backend = MemcachedBackend("servers.conf", "client.conf", sys_path="/opt/mc")
    assert "/opt/mc" in sys.path
    assert backend.get(kind("a/b.jpg")) == b"a/b.jpg"
    assert memcached == [("GetInstance", "servers.conf", "client.conf"), ("Get", "a/b.jpg")]
    with pytest.raises(BackendMethodError):
        backend.get_text("a")
