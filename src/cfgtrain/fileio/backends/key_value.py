"""Files in key-value databases, where the path is the key."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from cfgtrain.errors import BackendMethodError
from cfgtrain.fileio.backends.base import BaseStorageBackend, import_library

__all__ = ["LmdbBackend", "MemcachedBackend"]


class LmdbBackend(BaseStorageBackend):
    """Values of an LMDB database, read by key.

    The database is opened on first use, once per process; a forked worker process opens it again.

    Args:
        db_path: Folder of the database, or its file if it is stored in a single file.
        readonly: Whether to open the database read-only.
        lock: Whether to lock the database against concurrent writers.
        readahead: Whether the operating system reads ahead. This does not help random access.
        kwargs: Passed to ``lmdb.open``.

    Raises:
        MissingLibraryError: lmdb is not installed.
    """

    def __init__(
        self,
        db_path: str | Path,
        readonly: bool = True,
        lock: bool = False,
        readahead: bool = False,
        **kwargs: Any,
    ) -> None:
        self._lmdb = import_library("lmdb", "LmdbBackend requires lmdb: pip install 'cfgtrain[lmdb]'.")
        self.db_path = os.path.expanduser(str(db_path))  # noqa: PTH111  # a str, as in MMCV
        self._options = {"readonly": readonly, "lock": lock, "readahead": readahead, **kwargs}
        self._env: Any = None
        self._env_pid = 0  # id of the process that opened it

    def get(self, filepath: str | Path) -> Any:
        """Return the value of a key as bytes, or None if the key does not exist."""
        with self._environment().begin(write=False) as transaction:
            return transaction.get(str(filepath).encode())

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Raise ``BackendMethodError``: values are bytes, as in MMCV."""
        raise BackendMethodError("LmdbBackend stores bytes, not text: use get().")

    def exists(self, filepath: str | Path) -> bool:
        """Return whether a key exists."""
        return self.get(filepath) is not None

    def isfile(self, filepath: str | Path) -> bool:
        """Return whether a key exists."""
        return self.exists(filepath)

    def _environment(self) -> Any:
        if self._env_pid != os.getpid():
            with _open_lock[0]:
                self._env = self._open()
                self._env_pid = os.getpid()
        return self._env

    def _open(self) -> Any:
        key = (os.getpid(), os.path.realpath(self.db_path))
        environment = _environments.get(key)
        if environment is None:
            # LMDB lets a process open a database only once, and counts what a forked child has inherited.
            for (pid, path), inherited in list(_environments.items()):
                if path == key[1] and pid != key[0]:
                    inherited.close()
            if self._options["readonly"] and not Path(self.db_path).exists():
                raise FileNotFoundError(f"LMDB database {self.db_path} does not exist.")
            subdir = not Path(self.db_path).is_file()
            environment = self._lmdb.open(self.db_path, **{"subdir": subdir, **self._options})
            _environments[key] = environment
        return environment


# Open databases by (process id, path). The references are weak, so that a database is closed when no backend
# uses it any more.
_environments: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()
_open_lock = [threading.Lock()]
# If another thread holds the lock during a fork, nothing would release it in the child process.
os.register_at_fork(after_in_child=lambda: _open_lock.__setitem__(0, threading.Lock()))


class MemcachedBackend(BaseStorageBackend):
    """Values of a memcached cluster, read by key through the SDK module ``mc``.

    Args:
        server_list_cfg: Path of the configuration file with the list of servers.
        client_cfg: Path of the client's configuration file.
        sys_path: Folder that contains ``mc``; it is added to ``sys.path``.

    Raises:
        MissingLibraryError: The module ``mc`` is not installed.
    """

    def __init__(self, server_list_cfg: str, client_cfg: str, sys_path: str | None = None) -> None:
        if sys_path is not None and sys_path not in sys.path:
            sys.path.append(sys_path)
        self._mc = import_library(
            "mc",
            "MemcachedBackend requires the module mc, the memcached SDK of your cluster. It is not on PyPI: "
            "get it from the operators of the cluster and pass its folder as sys_path=...",
        )
        self.server_list_cfg = server_list_cfg
        self.client_cfg = client_cfg
        self._client = self._mc.MemcachedClient.GetInstance(server_list_cfg, client_cfg)

    def get(self, filepath: str | Path) -> Any:
        """Return the value of a key, in the type that the SDK returns."""
        buffer = self._mc.pyvector()
        self._client.Get(str(filepath), buffer)
        return self._mc.ConvertBuffer(buffer)

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Raise ``BackendMethodError``: values are bytes, as in MMCV."""
        raise BackendMethodError("MemcachedBackend stores bytes, not text: use get().")
