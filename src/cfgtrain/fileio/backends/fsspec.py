"""Every file system that fsspec knows: S3, Google Cloud, Azure, SSH, memory, archives, ..."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cfgtrain.errors import BackendError, MissingLibraryError
from cfgtrain.fileio.backends.base import BaseStorageBackend, decode, temporary_file
from cfgtrain.fileio.uri import path_text
from cfgtrain.suggestions import suggest

__all__ = ["FsspecBackend"]

_NEEDED = "FsspecBackend needs fsspec: pip install fsspec."
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


class FsspecBackend(BaseStorageBackend):
    """Files of any file system of fsspec, by URI: ``"s3://bucket/key"``, ``"gs://..."``, ``"memory://..."``.

    Chains such as ``"zip://a.json::s3://bucket/all.zip"`` and ``"simplecache::s3://..."`` work too.

    Args:
        protocol: What a path without ``://`` belongs to; the local disk by default.
        options: Passed to the file system, such as ``key``, ``secret`` and ``endpoint_url`` for S3.

    Raises:
        MissingLibraryError: fsspec, or the package that it needs for the protocol, is not installed.
    """

    def __init__(self, protocol: str | None = None, **options: Any) -> None:
        self._protocol = protocol
        self._options = options
        if protocol is not None:
            _check_protocol(protocol)

    def get(self, filepath: str | Path) -> bytes:
        """Return the content of a file."""
        system, path = self._system(filepath)
        return bytes(system.cat_file(path))

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""
        return decode(self.get(filepath), encoding)

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file; an object store shows them whole or not at all."""
        system, path = self._system(filepath)
        if path.startswith("/"):  # there are folders; where paths begin with a bucket there are none to make
            system.makedirs(system._parent(path), exist_ok=True)
        system.pipe_file(path, obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        system, path = self._system(filepath)
        system.rm_file(path)

    def exists(self, filepath: str | Path) -> bool:
        """Whether there is a file or folder of this name."""
        system, path = self._system(filepath)
        return bool(system.exists(path))

    def isdir(self, filepath: str | Path) -> bool:
        """Whether there is a folder of this name."""
        system, path = self._system(filepath)
        return bool(system.isdir(path))

    def isfile(self, filepath: str | Path) -> bool:
        """Whether there is a file of this name."""
        system, path = self._system(filepath)
        return bool(system.isfile(path))

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Have a file on disk, with its extensions, for the time of a ``with``."""
        system, path = self._system(filepath)
        with temporary_file(path) as file:
            file.close()
            system.get_file(path, file.name)
            yield file.name

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        system, path = self._system(folder)
        for entry in system.ls(path, detail=True):
            whole = entry["name"].rstrip("/")
            if whole != path.rstrip("/"):  # some stores have an empty object for the folder itself
                yield whole.rsplit("/", 1)[-1], entry["type"] == "directory"

    def _system(self, filepath: str | Path) -> tuple[Any, str]:
        """Return the file system and the path in it.

        Asked anew each time: fsspec keeps its file systems, and makes others in a forked process.
        """
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingLibraryError(_NEEDED) from error
        uri = path_text(filepath)
        if self._protocol is not None and "://" not in uri:
            uri = f"{self._protocol}://{uri}"
        try:
            system, path = url_to_fs(uri, **self._options)
        except ImportError as error:
            raise MissingLibraryError(_missing(uri.split("://", 1)[0], error)) from error
        return system, path


def _check_protocol(protocol: str) -> None:
    """Let what is unknown or not installed show at once."""
    try:
        from fsspec import available_protocols, get_filesystem_class
    except ImportError as error:
        raise MissingLibraryError(_NEEDED) from error
    if protocol not in available_protocols():
        raise BackendError(f"fsspec knows no {protocol}://.{suggest(protocol, available_protocols())}")
    try:
        get_filesystem_class(protocol)
    except ImportError as error:
        raise MissingLibraryError(_missing(protocol, error)) from error


def _missing(protocol: str, error: ImportError) -> str:
    extra = _EXTRAS.get(protocol)
    hint = f" pip install 'cfgtrain[{extra}]'" if extra else ""
    return f"{protocol}:// needs a package that is not installed: {error}.{hint}"


def fsspec_protocols() -> list[str]:
    """Return the prefixes that fsspec knows, none where it is not installed."""
    try:
        from fsspec import available_protocols
    except ImportError:
        return []
    return list(available_protocols())
