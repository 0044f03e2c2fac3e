"""One writer per folder."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cfgtrain.errors import WorkDirError

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this system: there is no lock then
    fcntl = None  # type: ignore[assignment]  # stands for "none"

__all__ = ["LOCK_NAME", "locked_folder"]

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes.

    The lock belongs to the process: it is gone when that ends, however it ends, and is not
    passed on to the processes that it forks. The file stays and says who held it last.

    Raises:
        WorkDirError: Another process holds the folder, and the message says which; or it
            cannot be written to.
    """
    try:
        file = (folder / LOCK_NAME).open("a+b", buffering=0)
    except OSError as error:
        raise WorkDirError(
            f"The folder {folder} cannot be locked: {error.strerror or error}. Choose another with --work-dir."
        ) from error
    with file:
        if fcntl is not None:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                file.seek(0)
                holder = file.read(1000).decode(errors="replace").strip("\0 \n") or "another process"
                raise WorkDirError(
                    f"The folder {folder} is in use by {holder}. "
                    "Wait for it to end, or choose another with --work-dir."
                ) from error
            except OSError as error:  # a file system without locks
                logger.warning(
                    "%s cannot be locked (%s): see to it that one run at a time uses it.", folder, error
                )
        with suppress(OSError):  # a full disk: the lock holds, though it does not say whose it is
            file.truncate(0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        yield
