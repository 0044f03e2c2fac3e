"""The object stores that MMCV supports, Ceph and Petrel, each through its own SDK."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cfgtrain.arguments import check_type
from cfgtrain.errors import BackendMethodError, MissingLibraryError
from cfgtrain.fileio.backends.base import BaseStorageBackend, decode, import_library

__all__ = ["CephBackend", "PetrelBackend"]

_NOT_ON_PYPI = (
    "It is not on PyPI: get it from the operators of the store. A store with an S3 interface can be used without "
    "it: pip install 'cfgtrain[s3]' and FileClient('fsspec', protocol='s3')."
)


class CephBackend(BaseStorageBackend):
    """Objects of a Ceph store, read through the SDK module ``ceph``. Deprecated: use ``PetrelBackend``.

    Args:
        path_mapping: Path prefixes and their replacements. The first prefix that matches is replaced.

    Raises:
        ArgumentError: ``path_mapping`` is not a dict.
        MissingLibraryError: The module ``ceph`` is not installed.
    """

    def __init__(self, path_mapping: Mapping[str, str] | None = None) -> None:
        ceph = import_library("ceph", f"CephBackend requires the SDK module ceph. {_NOT_ON_PYPI}")
        warnings.warn("CephBackend is deprecated: use PetrelBackend.", DeprecationWarning, stacklevel=2)
        check_type("path_mapping", path_mapping, Mapping | None, "a dict of path prefixes")
        self.path_mapping = path_mapping
        self._client = ceph.S3Client()

    def get(self, filepath: str | Path) -> memoryview:
        """Return the content of an object as bytes."""
        return memoryview(self._client.Get(_apply_mapping(filepath, self.path_mapping)))

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Raise ``BackendMethodError``: objects are bytes, as in MMCV."""
        raise BackendMethodError("CephBackend stores bytes, not text: use get().")


class PetrelBackend(BaseStorageBackend):
    """Objects of a Petrel store (``s3://bucket/key``) through the SDK ``petrel_client``.

    Args:
        path_mapping: Path prefixes and their replacements, such as ``{"data/": "s3://bucket/data/"}``. The
            first prefix that matches is replaced.
        enable_mc: Whether the SDK may use memcached.
        conf_path: Path of the SDK's configuration file.

    Raises:
        ArgumentError: ``path_mapping`` is not a dict.
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
            raise MissingLibraryError(
                f"PetrelBackend requires the SDK petrel_client. {_NOT_ON_PYPI}"
            ) from error
        check_type("path_mapping", path_mapping, Mapping | None, "a dict of path prefixes")
        self.path_mapping = path_mapping
        self._client = client.Client(conf_path=conf_path, enable_mc=enable_mc)

    @staticmethod
    def handles_s3(options: Mapping[str, Any]) -> bool:
        """Return whether ``s3://`` URIs are handled by this class rather than by ``FsspecBackend``.

        They are if ``options`` contain an argument of this class, or if ``petrel_client`` is installed.
        """
        if {"path_mapping", "enable_mc", "conf_path"} & options.keys():
            return True
        if "petrel_client" in sys.modules:
            return bool(sys.modules["petrel_client"])
        return find_spec("petrel_client") is not None

    def get(self, filepath: str | Path) -> memoryview:
        """Return the content of an object as bytes."""
        path = self._path(filepath)
        content = self._client.Get(path)
        if content is None:
            raise FileNotFoundError(f"Object {path} does not exist.")
        return memoryview(content)

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of an object as text."""
        return decode(self.get(filepath), encoding)

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to an object, replacing its content."""
        self._client.put(self._path(filepath), obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove an object."""
        self._method("delete")(self._path(filepath))

    def exists(self, filepath: str | Path) -> bool:
        """Return whether an object or folder exists."""
        contains, isdir = self._method("contains"), self._method("isdir")
        path = self._path(filepath)
        return bool(contains(path) or isdir(path))

    def isdir(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing folder."""
        return bool(self._method("isdir")(self._path(filepath)))

    def isfile(self, filepath: str | Path) -> bool:
        """Return whether an object exists."""
        return bool(self._method("contains")(self._path(filepath)))

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path with slashes; ``path_mapping`` is applied to each part first."""
        return super().join_path(self._path(filepath), *map(self._path, filepaths))

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Yield the path of a local copy of an object, with the same extensions.

        The copy is removed when the ``with`` block ends.

        Raises:
            FileNotFoundError: The object does not exist.
        """
        if not self.isfile(filepath):
            raise FileNotFoundError(f"Object {self._path(filepath)} does not exist.")
        with super().get_local_path(filepath) as local:
            yield local

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        for name in self._method("list")(self._path(folder).removesuffix("/") + "/"):
            if name:
                yield name.removesuffix("/"), name.endswith("/")

    def _path(self, filepath: str | Path) -> str:
        return self._format_path(self._map_path(filepath))

    def _map_path(self, filepath: str | Path) -> str:
        return _apply_mapping(filepath, self.path_mapping)

    def _format_path(self, filepath: str) -> str:
        """Replace backslashes, with which Windows joins paths, by slashes."""
        return re.sub(r"\\+", "/", filepath)

    def _method(self, name: str) -> Any:
        found = getattr(self._client, name, None)
        if found is None:
            raise BackendMethodError(
                f"This version of petrel_client does not support {name}(). Try a newer version, or the fsspec backend."
            )
        return found


def _apply_mapping(filepath: str | Path, path_mapping: Mapping[str, str] | None) -> str:
    path = str(filepath)
    for prefix, replacement in (path_mapping or {}).items():
        if path.startswith(prefix):
            return replacement + path[len(prefix) :]
    return path
