"""Locks between processes: of a folder that only one of them writes to, and of work that only one does."""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cfgtrain.errors import WorkDirError

try:
    import fcntl
except ImportError:  # pragma: no cover - not available on Windows: folders are not locked there
    fcntl = None  # type: ignore[assignment]  # None means "not available"

__all__ = ["LOCK_NAME", "is_locked", "locked_folder", "waiting_lock"]

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"


@contextmanager
def locked_folder(folder: Path, setting: str = "--work-dir") -> Iterator[None]:
    """Lock a folder against other processes while a ``with`` block runs.

    The lock belongs to the process: it is released when the process ends in any way, and forked processes
    do not inherit it. The lock file is not removed; it contains the process that locked the folder last.

    Args:
        folder: The folder.
        setting: By what the user has chosen it, for messages.

    Raises:
        WorkDirError: Another process has locked the folder (the message names it), or the folder is not
            writable.
    """
    try:
        file = (folder / LOCK_NAME).open("a+b", buffering=0)
    except OSError as error:
        raise WorkDirError(
            f"The folder {folder} cannot be locked: {error.strerror or error}.",
            hint=f"Choose another with {setting}.",
        ) from error
    with file:
        if fcntl is not None:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                file.seek(0)
                holder = file.read(1000).decode(errors="replace").strip("\0 \n") or "another process"
                raise WorkDirError(
                    f"The folder {folder} is in use by {holder}.",
                    hint=f"Wait for it to end, or choose another with {setting}.",
                ) from error
            except OSError as error:  # a file system without locks
                logger.warning(
                    "%s cannot be locked (%s): make sure that only one run at a time uses it.", folder, error
                )
        with suppress(OSError):  # on a full disk the lock still works, but does not name its holder
            file.truncate(0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        yield


def is_locked(folder: Path) -> bool:
    """Return whether another process has locked a folder, without taking the lock.

    A process that has locked the folder itself must not call it: closing the file would release its lock.
    It is false where that cannot be found out: on Windows, and on file systems without locks.
    """
    if fcntl is not None:
        # The fields of struct flock: type, whence, start, length, process; macOS has another order.
        layout, place = ("hhqqi", 0) if sys.platform == "linux" else ("qqihh", 3)
        fields: list[int] = [0, 0, 0, 0, 0]
        fields[place] = fcntl.F_WRLCK
        with suppress(OSError), (folder / LOCK_NAME).open("rb") as file:
            answer = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(layout, *fields) + b"\0" * 8)
            kind: int = struct.unpack_from(layout, answer)[place]
            return kind != fcntl.F_UNLCK
    return False


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Wait until no other process has a lock, and hold it while a ``with`` block runs.

    It does nothing where files cannot be locked. The file is not removed.

    Args:
        path: The file of the lock, which is created.

    Raises:
        OSError: The file cannot be created.
    """
    with path.open("ab") as file:
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.lockf(file, fcntl.LOCK_EX)
        yield
