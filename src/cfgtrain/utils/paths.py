"""Files and folders."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = [
    "append_whole",
    "atomic_write",
    "mkdir_or_exist",
    "remove_unfinished",
    "replace_symlink",
    "sync_directory",
]


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Make a folder and its parents unless it is there; ``~`` is expanded, ``""`` means here."""
    if str(dir_name):
        Path(dir_name).expanduser().mkdir(mode=mode, parents=True, exist_ok=True)


def append_whole(path: Path, data: bytes) -> None:
    """Add ``data`` at the end of a file, or leave the file as it was and raise OSError."""
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


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
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
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
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
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
