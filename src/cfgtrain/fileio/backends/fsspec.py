"""File systems that fsspec supports: S3, Google Cloud, Azure, SSH, memory, archives, ..."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cfgtrain.errors import BackendError, MissingLibraryError
from cfgtrain.fileio.backends.base import BaseStorageBackend, decode, import_library, temporary_file
from cfgtrain.fileio.uri import path_text
from cfgtrain.suggestions import suggest

__all__ = ["FsspecBackend"]

_FSSPEC_REQUIRED = "FsspecBackend requires fsspec: pip install fsspec."
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


class FsspecBackend(BaseStorageBackend):
    """Files on any file system of fsspec, by URI: ``"s3://bucket/key"``, ``"gs://..."``, ``"memory://..."``.

    Chained URIs such as ``"zip://a.json::s3://bucket/all.zip"`` and ``"simplecache::s3://..."`` are supported.

    Args:
        protocol: Protocol of paths without ``://``; by default they are local.
        options: Passed to the file system, such as ``key``, ``secret`` and ``endpoint_url`` for S3.

    Raises:
        BackendError: fsspec does not support the protocol.
        MissingLibraryError: fsspec, or the package that it needs for the protocol, is not installed.
    """

    def __init__(self, protocol: str | None = None, **options: Any) -> None:
        self._protocol = protocol
        self._options = options
        if protocol is not None:
            _check_protocol(protocol)

    def get(self, filepath: str | Path) -> bytes:
        """Return the content of a file as bytes."""
        system, path = self._system(filepath)
        return bytes(system.cat_file(path))

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""
        return decode(self.get(filepath), encoding)

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, replacing its content. On an object store, the write is atomic."""
        system, path = self._system(filepath)
        # A file system with folders; in an object store, the path begins with a bucket.
        if path.startswith("/"):
            system.makedirs(system._parent(path), exist_ok=True)
        system.pipe_file(path, obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        system, path = self._system(filepath)
        system.rm_file(path)

    def exists(self, filepath: str | Path) -> bool:
        """Return whether a file or folder exists."""
        system, path = self._system(filepath)
        return bool(system.exists(path))

    def isdir(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing folder."""
        system, path = self._system(filepath)
        return bool(system.isdir(path))

    def isfile(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing file."""
        system, path = self._system(filepath)
        return bool(system.isfile(path))

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Yield the path of a local copy of a file, with the same extensions.

        The copy is removed when the ``with`` block ends.
        """
        system, path = self._system(filepath)
        with temporary_file(path) as file:
            file.close()
            system.get_file(path, file.name)
            yield file.name

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        system, path = self._system(folder)
        for entry in system.ls(path, detail=True):
            full_name = entry["name"].rstrip("/")
            if full_name != path.rstrip("/"):  # some stores list the folder itself as an empty object
                yield full_name.rsplit("/", 1)[-1], entry["type"] == "directory"

    def _system(self, filepath: str | Path) -> tuple[Any, str]:
        """Return the file system of a path, and the path without the protocol.

        The file system is not stored: fsspec caches it, and creates a new one in a forked process.
        """
        core = import_library("fsspec.core", _FSSPEC_REQUIRED)
        uri = path_text(filepath)
        if self._protocol is not None and "://" not in uri:
            uri = f"{self._protocol}://{uri}"
        try:
            system, path = core.url_to_fs(uri, **self._options)
        except ImportError as error:
            raise MissingLibraryError(_missing_package(uri.split("://", 1)[0], error)) from error
        return system, path


def _check_protocol(protocol: str) -> None:
    """Raise if a protocol is unknown, or if a package for it is not installed."""
    fsspec = import_library("fsspec", _FSSPEC_REQUIRED)
    known = fsspec.available_protocols()
    if protocol not in known:
        raise BackendError(f"fsspec does not support {protocol}://.{suggest(protocol, known)}")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise MissingLibraryError(_missing_package(protocol, error)) from error


def _missing_package(protocol: str, error: ImportError) -> str:
    extra = _EXTRAS.get(protocol)
    hint = f" pip install 'cfgtrain[{extra}]'" if extra else ""
    return f"{protocol}:// requires a package that is not installed: {error}.{hint}"


def fsspec_protocols() -> list[str]:
    """Return the protocols that fsspec supports; none if it is not installed."""
    try:
        from fsspec import available_protocols
    except ImportError:
        return []
    return list(available_protocols())
