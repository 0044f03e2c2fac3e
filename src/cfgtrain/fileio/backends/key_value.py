"""Files in databases: the path is a key."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from cfgtrain.errors import BackendMethodError, MissingLibraryError
from cfgtrain.fileio.backends.base import BaseStorageBackend

__all__ = ["LmdbBackend", "MemcachedBackend"]


class LmdbBackend(BaseStorageBackend):
    """Values of an LMDB database, read by key.

    The database is opened on first use, once per process: a forked loading process opens it anew.

    Args:
        db_path: Its folder, or its file where it is one.
        readonly: Whether nothing can be written to it.
        lock: Whether to lock it against writers.
        readahead: Whether the system reads ahead, which random access does not profit from.
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
        try:
            import lmdb
        except ImportError as error:
            raise MissingLibraryError("LmdbBackend needs lmdb: pip install 'cfgtrain[lmdb]'.") from error
        self._lmdb = lmdb
        self.db_path = os.path.expanduser(str(db_path))  # noqa: PTH111  # a str, as in MMCV
        self._options = {"readonly": readonly, "lock": lock, "readahead": readahead, **kwargs}
        self._kept: Any = None
        self._kept_by = 0  # the process that opened it

    def get(self, filepath: str | Path) -> Any:
        """Return the value of a key as bytes, None where there is no such key."""
        with self._environment().begin(write=False) as transaction:
            return transaction.get(str(filepath).encode())

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Raise ``BackendMethodError``: as in MMCV, values are bytes."""
        raise BackendMethodError("LmdbBackend holds bytes, not text: use get().")

    def exists(self, filepath: str | Path) -> bool:
        """Whether there is such a key."""
        return self.get(filepath) is not None

    def isfile(self, filepath: str | Path) -> bool:
        """Whether there is such a key."""
        return self.exists(filepath)

    def _environment(self) -> Any:
        if self._kept_by != os.getpid():
            with _opening[0]:
                self._kept = self._opened()
                self._kept_by = os.getpid()
        return self._kept

    def _opened(self) -> Any:
        place = (os.getpid(), os.path.realpath(self.db_path))
        environment = _environments.get(place)
        if environment is None:
            # LMDB lets a process open a database once, and takes a forked child for its parent.
            for (pid, path), inherited in list(_environments.items()):
                if path == place[1] and pid != place[0]:
                    inherited.close()
            if self._options["readonly"] and not Path(self.db_path).exists():
                raise FileNotFoundError(f"There is no LMDB database {self.db_path}.")
            subdir = not Path(self.db_path).is_file()
            environment = self._lmdb.open(self.db_path, **{"subdir": subdir, **self._options})
            _environments[place] = environment
        return environment


# By process and path. Weak, so that a database is closed when the last backend that reads it goes.
_environments: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()
_opening = [threading.Lock()]
# Another thread may hold the lock at the moment of a fork, and is not there to release it in the child.
os.register_at_fork(after_in_child=lambda: _opening.__setitem__(0, threading.Lock()))


class MemcachedBackend(BaseStorageBackend):
    """Values of a memcached cluster, read by key through the SDK module ``mc``.

    Args:
        server_list_cfg: Path of the list of servers.
        client_cfg: Path of the client's settings.
        sys_path: Folder to find ``mc`` in, added to ``sys.path``.

    Raises:
        MissingLibraryError: There is no module ``mc``.
    """

    def __init__(self, server_list_cfg: str, client_cfg: str, sys_path: str | None = None) -> None:
        if sys_path is not None and sys_path not in sys.path:
            sys.path.append(sys_path)
        try:
            import mc
        except ImportError as error:
            raise MissingLibraryError(
                "MemcachedBackend needs the module mc, the memcached SDK of the cluster that you use. It is not "
                "on PyPI: those who run the cluster have it. sys_path=... names the folder that it is in."
            ) from error
        self._mc = mc
        self.server_list_cfg = server_list_cfg
        self.client_cfg = client_cfg
        self._client = mc.MemcachedClient.GetInstance(server_list_cfg, client_cfg)

    def get(self, filepath: str | Path) -> Any:
        """Return the value of a key, as the SDK does."""
        buffer = self._mc.pyvector()
        self._client.Get(str(filepath), buffer)
        return self._mc.ConvertBuffer(buffer)

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Raise ``BackendMethodError``: as in MMCV, values are bytes."""
        raise BackendMethodError("MemcachedBackend holds bytes, not text: use get().")
