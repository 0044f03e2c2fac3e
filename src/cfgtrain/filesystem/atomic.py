"""Write files and folders atomically: each is either written completely or left as it was."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = ["atomic_write"]


_REPLACED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.old\.tmp")  # as replace_folder names it
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


def append_whole(path: Path, data: bytes) -> None:
    """Append ``data`` to a file, creating it if needed. If this fails, the file is left as it was.

    Raises:
        OSError: The data cannot be written.
    """
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
    """Open a binary file for writing and reading that replaces ``path`` when the block ends.

    The data is written to a temporary file in the same folder, which is synced to disk and then renamed to
    ``path``; at last the folder is synced. So neither an exception nor a power failure leaves an incomplete
    file or destroys the existing one. The file gets the permissions of the file that it replaces, or those
    that the umask sets.

    Args:
        path: Path of the file.
        durable: Whether to sync the file and the folder to disk. Without it, the file survives the end of the
            process, but may not survive a power failure; use this for files that can be recreated easily.
        overwrite: Whether to replace an existing file, including one that was created during the block.

    Raises:
        FileExistsError: The file exists and ``overwrite`` is False.
        OSError: The file cannot be written. The error contains ``path``, not the temporary path.
    """
    path = Path(path)
    # File names are limited to 255 bytes, so the temporary name contains only a part of the name.
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
            error.filename = str(path)  # the caller does not know the temporary path
        raise
    if durable:
        sync_directory(path.parent)


@contextmanager
def replace_when_done(path: str | Path) -> Iterator[Path]:
    """Yield a temporary absolute path that replaces ``path`` when the block ends without an exception.

    This is ``atomic_write`` for libraries and programs that only write to a path. The temporary path is in the
    same folder, which is created if needed, and has the same suffix. It is not synced to disk.

    Args:
        path: Path of the file.

    Raises:
        OSError: The block has not written the file, or it cannot be renamed.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:50]}.{os.urandom(4).hex()}.tmp{path.suffix}")
    try:
        yield temporary
        with suppress(FileNotFoundError):
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def _rename_to_new(old: Path, new: Path) -> None:
    """Rename a file, or raise FileExistsError; creating a link is the only call that never overwrites."""
    try:
        new.hardlink_to(old)
    except FileExistsError:
        raise
    except OSError as error:  # a file system without hard links
        if new.exists():
            raise FileExistsError(error.errno, "File exists", str(new)) from error
        old.replace(new)
    else:
        old.unlink()


def replace_folder(temporary: Path, path: Path) -> None:
    """Rename a complete folder to ``path``, in place of what is there, and sync the folder around it.

    If the process is killed between the two renames that this takes, ``remove_unfinished`` restores what was there.

    Raises:
        OSError: The folder cannot be renamed; what was there remains.
    """
    old = path.with_name(f".{path.name}.{os.urandom(4).hex()}.old.tmp")
    with suppress(FileNotFoundError):
        path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            old.rename(path)
        raise
    sync_directory(path.parent)
    remove_path(old)


def remove_path(path: Path) -> None:
    """Remove a file, a link or a folder with its content, if it exists.

    A folder is renamed before, so that what a killed process leaves of it is removed by ``remove_unfinished``.

    Raises:
        OSError: It cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        doomed = path.with_name(f".{path.name[:50]}.{os.urandom(4).hex()}.tmp")
        path.rename(doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files and folders left in a folder by this module in a killed process.

    A folder that was about to be replaced by ``replace_folder`` gets its name back if that is still free.
    Call this only while no process is writing files to the folder.
    """
    for path in folder.glob(".*.*.tmp"):
        replaced = _REPLACED.fullmatch(path.name)
        with suppress(OSError):
            if replaced and not os.path.lexists(folder / replaced[1]):
                path.rename(folder / replaced[1])
            else:
                remove_path(path)


def replace_symlink(link: Path, target: str) -> None:
    """Create or replace a symbolic link atomically, so that it exists at every moment."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def sync_directory(folder: Path) -> None:
    """Sync a folder to disk, which makes renames in it durable; do nothing if the system does not support it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
