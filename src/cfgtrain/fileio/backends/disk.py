"""Files on the local disk."""

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
    """Files on the local disk, by path or ``file:///path``; ``~`` is expanded.

    A file is written atomically: it is either written completely or left as it was. Missing parent folders
    are created.
    """

    _allow_symlink = True

    def get(self, filepath: str | Path) -> bytes:
        """Return the content of a file as bytes."""
        # The content is read whole, so a buffer would only copy it.
        with _non_empty_path(filepath).open("rb", buffering=0) as file:
            return file.readall()

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        r"""Return the content of a file as text, with all line endings converted to ``\n``."""
        return _non_empty_path(filepath).read_text(encoding)

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, replacing its content. If the path is a link, its target is written."""
        path = _non_empty_path(filepath)
        if path.exists() and not path.is_file():
            path.write_bytes(obj)  # a pipe or device must not be replaced by a file; a folder raises an error
            return
        path = Path(os.path.realpath(path)) if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        _non_empty_path(filepath).unlink()

    def exists(self, filepath: str | Path) -> bool:
        """Return whether a file or folder exists."""
        return os.path.exists(_local_path(filepath))  # noqa: PTH110  # "" does not exist, but Path("") is "."

    def isdir(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing folder."""
        return os.path.isdir(_local_path(filepath))  # noqa: PTH112  # likewise

    def isfile(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing file."""
        return os.path.isfile(_local_path(filepath))  # noqa: PTH113  # likewise

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path with the separator of the operating system."""
        return os.path.join(str(filepath), *map(str, filepaths))  # noqa: PTH118  # keeps file://

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str | Path]:
        """Yield the local path of the file itself; nothing is copied or removed."""
        local = _local_path(filepath)
        yield filepath if local == str(filepath) else local

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        with os.scandir(_non_empty_path(folder)) as entries:
            yield from ((entry.name, entry.is_dir()) for entry in entries)

    def _identity(self, folder: str) -> str:
        return os.path.realpath(_local_path(folder))


def _local_path(filepath: str | Path) -> str:
    text = path_text(filepath)
    if not text.startswith("file://"):
        return os.path.expanduser(text)  # noqa: PTH111  # Path.expanduser raises for an unknown user
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise BackendError(
            f"{text!r} names a file on another machine. The URI of a local file has three slashes: file:///path."
        )
    return unquote(parts.path)


def _non_empty_path(filepath: str | Path) -> Path:
    local = _local_path(filepath)
    if not local:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), local)
    return Path(local)
