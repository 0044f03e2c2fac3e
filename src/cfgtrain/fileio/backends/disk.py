"""Files on this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cfgtrain.errors import BackendError
from cfgtrain.fileio.backends.base import BaseStorageBackend
from cfgtrain.fileio.uri import path_text
from cfgtrain.filesystem.atomic import atomic_write

__all__ = ["HardDiskBackend"]


class HardDiskBackend(BaseStorageBackend):
    """Files on this machine, by path or ``file:///path``; ``~`` is expanded.

    Files are written whole or not at all, and their folders are made.
    """

    _allow_symlink = True

    def get(self, filepath: str | Path) -> bytes:
        """Return the content of a file."""
        return _existing(filepath).read_bytes()

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text, with line ends as Python has them."""
        return _existing(filepath).read_text(encoding)

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, through links."""
        path = _existing(filepath)
        if path.exists() and not path.is_file():
            path.write_bytes(obj)  # a pipe or a device, which is not to be replaced; a folder is an error
            return
        path = Path(os.path.realpath(path)) if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        _existing(filepath).unlink()

    def exists(self, filepath: str | Path) -> bool:
        """Whether there is a file or folder of this name."""
        return os.path.exists(_local(filepath))  # noqa: PTH110  # "" is no path; Path("") is one

    def isdir(self, filepath: str | Path) -> bool:
        """Whether there is a folder of this name."""
        return os.path.isdir(_local(filepath))  # noqa: PTH112  # likewise

    def isfile(self, filepath: str | Path) -> bool:
        """Whether there is a file of this name."""
        return os.path.isfile(_local(filepath))  # noqa: PTH113  # likewise

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path as this system does."""
        return os.path.join(str(filepath), *map(str, filepaths))  # noqa: PTH118  # keeps file://

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Have the path itself; the file stays."""
        local = _local(filepath)
        yield filepath if local == str(filepath) else local

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        with os.scandir(_existing(folder)) as entries:
            yield from ((entry.name, entry.is_dir()) for entry in entries)

    def _identity(self, folder: str) -> str:
        return os.path.realpath(_local(folder))


def _local(filepath: str | Path) -> str:
    text = path_text(filepath)
    if not text.startswith("file://"):
        return os.path.expanduser(text)  # noqa: PTH111  # leaves the home of an unknown user alone
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise BackendError(
            f"{text!r} is on another machine: a local file is file:///path, with three slashes."
        )
    return unquote(parts.path)


def _existing(filepath: str | Path) -> Path:
    local = _local(filepath)
    if not local:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), local)
    return Path(local)
