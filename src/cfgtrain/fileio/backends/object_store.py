"""The object stores that MMCV knows by name: Ceph and Petrel, each through an SDK of its own."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cfgtrain.errors import ArgumentError, BackendMethodError, MissingLibraryError
from cfgtrain.fileio.backends.base import BaseStorageBackend, decode

__all__ = ["CephBackend", "PetrelBackend"]

_ELSEWHERE = (
    "It is not on PyPI: those who run the store have it. A store that speaks S3 can be read without it: "
    "pip install 'cfgtrain[s3]' and FileClient('fsspec', protocol='s3')."
)


class CephBackend(BaseStorageBackend):
    """Objects of a Ceph store, read through the SDK module ``ceph``. ``PetrelBackend`` has replaced it.

    Args:
        path_mapping: Beginnings of paths and what to put in their place; the first that fits is taken.

    Raises:
        ArgumentError: ``path_mapping`` is no dict.
        MissingLibraryError: There is no module ``ceph``.
    """

    def __init__(self, path_mapping: Mapping[str, str] | None = None) -> None:
        try:
            import ceph
        except ImportError as error:
            raise MissingLibraryError(f"CephBackend needs the SDK module ceph. {_ELSEWHERE}") from error
        warnings.warn("CephBackend is deprecated: use PetrelBackend.", DeprecationWarning, stacklevel=2)
        self.path_mapping = _checked(path_mapping)
        self._client = ceph.S3Client()

    def get(self, filepath: str | Path) -> memoryview:
        """Return the content of an object."""
        return memoryview(self._client.Get(_mapped(filepath, self.path_mapping)))

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Raise ``BackendMethodError``: as in MMCV, objects are bytes."""
        raise BackendMethodError("CephBackend holds bytes, not text: use get().")


class PetrelBackend(BaseStorageBackend):
    """Objects of a Petrel store (``s3://bucket/key``) through the SDK ``petrel_client``.

    Args:
        path_mapping: Beginnings of paths and what to put in their place, such as
            ``{"data/": "s3://bucket/data/"}``; the first that fits is taken.
        enable_mc: Whether the SDK may use memcached.
        conf_path: Its settings file.

    Raises:
        ArgumentError: ``path_mapping`` is no dict.
        MissingLibraryError: ``petrel_client`` is not installed.
    """

    def __init__(
        self,
        path_mapping: Mapping[str, str] | None = None,
        enable_mc: bool = True,
        conf_path: str | None = None,
    ) -> None:
        try:
            from petrel_client import client
        except ImportError as error:
            raise MissingLibraryError(f"PetrelBackend needs the SDK petrel_client. {_ELSEWHERE}") from error
        self.path_mapping = _checked(path_mapping)
        self._client = client.Client(conf_path=conf_path, enable_mc=enable_mc)

    @staticmethod
    def is_meant(options: Mapping[str, Any]) -> bool:
        """Whether ``s3://`` means Petrel: the SDK is there, or ``options`` are those of this class."""
        if {"path_mapping", "enable_mc", "conf_path"} & options.keys():
            return True
        if "petrel_client" in sys.modules:
            return bool(sys.modules["petrel_client"])
        return find_spec("petrel_client") is not None

    def get(self, filepath: str | Path) -> memoryview:
        """Return the content of an object."""
        path = self._path(filepath)
        content = self._client.Get(path)
        if content is None:
            raise FileNotFoundError(f"There is no object {path}.")
        return memoryview(content)

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of an object as text."""
        return decode(self.get(filepath), encoding)

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to an object."""
        self._client.put(self._path(filepath), obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove an object."""
        self._method("delete")(self._path(filepath))

    def exists(self, filepath: str | Path) -> bool:
        """Whether there is an object or a folder of this name."""
        contains, isdir = self._method("contains"), self._method("isdir")
        path = self._path(filepath)
        return bool(contains(path) or isdir(path))

    def isdir(self, filepath: str | Path) -> bool:
        """Whether there is a folder of this name."""
        return bool(self._method("isdir")(self._path(filepath)))

    def isfile(self, filepath: str | Path) -> bool:
        """Whether there is an object of this name."""
        return bool(self._method("contains")(self._path(filepath)))

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path with slashes, after mapping each."""
        return super().join_path(self._path(filepath), *map(self._path, filepaths))

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Have an object on disk, with its extensions, for the time of a ``with``."""
        if not self.isfile(filepath):
            raise FileNotFoundError(f"There is no object {self._path(filepath)}.")
        with super().get_local_path(filepath) as local:
            yield local

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        for name in self._method("list")(self._path(folder).removesuffix("/") + "/"):
            if name:
                yield name.removesuffix("/"), name.endswith("/")

    def _path(self, filepath: str | Path) -> str:
        return self._format_path(self._map_path(filepath))

    def _map_path(self, filepath: str | Path) -> str:
        return _mapped(filepath, self.path_mapping)

    def _format_path(self, filepath: str) -> str:
        """Make slashes of backslashes: Windows joins paths with them."""
        return re.sub(r"\\+", "/", filepath)

    def _method(self, name: str) -> Any:
        found = getattr(self._client, name, None)
        if found is None:
            raise BackendMethodError(
                f"This version of petrel_client has no {name}(): a newer one may have, or the fsspec backend."
            )
        return found


def _checked(path_mapping: object) -> Mapping[str, str] | None:
    if path_mapping is not None and not isinstance(path_mapping, Mapping):
        raise ArgumentError(f"path_mapping is a dict of beginnings of paths, not {path_mapping!r}.")
    return path_mapping


def _mapped(filepath: str | Path, path_mapping: Mapping[str, str] | None) -> str:
    path = str(filepath)
    for beginning, replacement in (path_mapping or {}).items():
        if path.startswith(beginning):
            return replacement + path[len(beginning) :]
    return path
