"""Write files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = ["atomic_write"]


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


def append_whole(path: Path, data: bytes) -> None:
    """Add ``data`` at the end of a file, or leave the file as it was and raise OSError."""
    descriptor = os.open(path, _APPEND, 0o666)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: str | Path, *, durable: bool = True, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open a file for writing (and reading back) that appears under ``path`` whole, or not at all.

    The bytes go to a temporary file beside ``path``, are synced to disk and renamed over
    it, and the folder is synced, so that neither an exception nor a power cut leaves half
    a file or loses the one that was there. The permissions follow the umask, or the file
    that is replaced.

    Args:
        path: Where the file appears.
        durable: Whether to sync. What can be made again in a moment may do without: it then
            survives the end of the process, but perhaps not a power cut.
        overwrite: Whether to replace a file that is there, even one that has come meanwhile.

    Raises:
        FileExistsError: Without ``overwrite``, a file is there.
        OSError: The file cannot be made; the error names ``path``.
    """
    path = Path(path)
    # A name of 255 bytes is as long as one may be: not all of it is taken over.
    temporary = path.with_name(f".{path.name[:50]}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if overwrite:
            with suppress(FileNotFoundError):
                temporary.chmod(path.stat().st_mode & 0o777)
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    except BaseException as error:
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # which is what the caller knows of
        raise
    if durable:
        sync_directory(path.parent)


def _rename_to_new(old: Path, new: Path) -> None:
    """Rename a file, unless one of the new name is there; a link is the only call that can refuse."""
    try:
        new.hardlink_to(old)
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if new.exists():
            raise FileExistsError(error.errno, "File exists", str(new)) from error
        old.replace(new)
    else:
        old.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove what ``atomic_write`` and ``replace_symlink`` leave when the process is killed.

    To be called when nobody is writing files there.
    """
    for path in folder.glob(".*.*.tmp"):
        with suppress(OSError):
            path.unlink()


def replace_symlink(link: Path, target: str) -> None:
    """Point ``link`` at ``target`` in one step: at no moment is there no link."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def sync_directory(folder: Path) -> None:
    """Make renames in ``folder`` durable, on systems where a folder can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
