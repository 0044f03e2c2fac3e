"""The Python stacks of a process and of its loader workers, also of those that hang."""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from traceback import FrameSummary
from typing import Any, NamedTuple

from cfgtrain.filesystem.lock import is_locked, locked_folder

__all__ = ["ProcessStacks", "Stack", "write_stacks_on_signal"]

# Environment variable of the workers of a process: its folder. In the process itself: where to create that.
FOLDER = "CFGTRAIN_STACKS_FOLDER"
_PREFIX = "cfgtrain_stacks_"
# A signal that no scheduler and hardly any program sends.
SIGNAL: int | None = getattr(signal, "SIGRTMAX", getattr(signal, "SIGUSR2", None))
WAIT_SECONDS = 1.0  # for a process to write its stacks
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)

_open_files: list[Any] = []  # faulthandler keeps only their descriptors


class Stack(NamedTuple):
    """The Python stacks of the threads of a process.

    Attributes:
        name: ``""`` for a process of the run, otherwise which of its workers it is.
        text: As ``faulthandler`` writes them.
    """

    name: str
    text: str

    def main_frames(self) -> list[FrameSummary]:
        """Return the frames of the main thread, the innermost one last."""
        of_main = self.text.rpartition("(most recent call first):")[2]  # the main thread is listed last
        return [FrameSummary(file, int(line), name) for file, line, name in _FRAME.findall(of_main)][::-1]


def write_stacks_on_signal(name: str) -> None:
    """Make this process write its stacks to a file at ``SIGNAL``, even while it runs no Python code.

    Nothing is done in a process of no distributed run.

    Args:
        name: Which process this is.
    """
    folder = os.environ.get(FOLDER)
    if not folder or SIGNAL is None:
        return
    with suppress(OSError, RuntimeError, ValueError):
        file = Path(folder, f"{os.getpid()} {name}").open("w", encoding="utf-8")  # noqa: SIM115  # stays open
        _open_files.append(file)
        faulthandler.register(SIGNAL, file, all_threads=True)


class ProcessStacks:
    """The stacks of this process and of its workers.

    It also removes what processes of this user on this machine have left that were killed.

    Attributes:
        folder: A folder on this machine, to which the processes write them.
    """

    def __init__(self) -> None:
        self._before = os.environ.get(FOLDER)
        parent = Path(self._before) if self._before and Path(self._before).is_dir() else None
        if parent is None:
            _remove_abandoned(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}_", dir=parent))
        self._lock = ExitStack()
        self._lock.enter_context(locked_folder(self.folder))
        os.environ[FOLDER] = str(self.folder)
        write_stacks_on_signal("")

    def current(self) -> list[Stack]:
        """Return the stacks of this process and of its workers, as they are now."""
        own = self.folder / "own"
        with own.open("w+", encoding="utf-8") as file:
            faulthandler.dump_traceback(file, all_threads=True)
        return [
            Stack("", own.read_text(encoding="utf-8")),
            *(each for each in read_stacks(self.folder) if each.name),
        ]

    def kill_workers(self) -> None:
        """Kill the workers, which would not end by themselves if they hang."""
        for pid, name in _processes(self.folder):
            if name:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Remove the files."""
        if SIGNAL is not None:
            faulthandler.unregister(SIGNAL)
        for file in _open_files:
            file.close()
        _open_files.clear()
        os.environ.pop(FOLDER, None)
        if self._before is not None:
            os.environ[FOLDER] = self._before
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of processes of this user that have ended without ``close``."""
    if SIGNAL is None:  # on Windows, where nothing says whether a folder is in use
        return
    for folder in parent.glob(f"{_PREFIX}*_*"):
        pid = folder.name.removeprefix(_PREFIX).partition("_")[0]
        with suppress(OSError):
            # In another container that has the same folder, the process has another id, but the lock is the same.
            is_abandoned = pid.isdecimal() and not _is_running(int(pid)) and not is_locked(folder)
            if is_abandoned and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def read_stacks(folder: Path) -> list[Stack]:
    """Return the stacks of a process and of its workers, which write them to their files at a signal.

    Args:
        folder: Folder of a ``ProcessStacks`` of any process on this machine.
    """
    stacks: list[Stack] = []
    if SIGNAL is None:
        return stacks
    for pid, name in _processes(folder):
        file = folder / f"{pid} {name}"
        with suppress(OSError):
            size = file.stat().st_size
            os.kill(pid, SIGNAL)
            deadline = time.monotonic() + WAIT_SECONDS
            before = size
            while time.monotonic() < deadline:
                time.sleep(0.05)
                now = file.stat().st_size
                if now == before > size:
                    break
                before = now
            stacks.append(Stack(name, file.read_bytes()[size:].decode(errors="replace")))
    return stacks


def _processes(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield the process id and the name of each process of a folder that is running."""
    for file in sorted(folder.glob("[0-9]* *"), key=lambda file: file.name.partition(" ")[2]):
        pid, _, name = file.name.partition(" ")
        with suppress(OSError):
            os.kill(int(pid), 0)
            yield int(pid), name
