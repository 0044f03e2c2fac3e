"""Tests of locks on unusual file systems; their use in a run is tested in ``tests/faults``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cfgtrain.errors import WorkDirError
from cfgtrain.filesystem.lock import LOCK_NAME, is_locked, locked_folder


def test_lock_file_names_holder(tmp_path: Path) -> None:
    """The lock file contains the process, the machine and the time of its holder, and no previous content."""
    (tmp_path / LOCK_NAME).write_text("somebody\n" * 9)
    with locked_folder(tmp_path):
        text = (tmp_path / LOCK_NAME).read_text()
    assert text.startswith("process ")
    assert text.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full does not exist")
def test_lock_on_full_disk(tmp_path: Path) -> None:
    """On a full disk the lock works, but its file does not name the holder."""
    (tmp_path / LOCK_NAME).symlink_to("/dev/full")
    code = (
        "import sys; from pathlib import Path; from cfgtrain.filesystem.lock import locked_folder as hold\n"
    )
    code += "with hold(Path(sys.argv[1])): pass"
    with locked_folder(tmp_path):
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
        )
    assert "is in use by another process" in other.stderr


def test_unusable_lock_file(tmp_path: Path) -> None:
    """A lock file that cannot be opened raises an error with the folder."""
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(WorkDirError, match="cannot be locked: Is a directory"), locked_folder(tmp_path):
        pass


def test_whether_another_process_has_the_lock(tmp_path: Path) -> None:
    """The question takes no lock, and the answer is no without a lock file."""
    assert not is_locked(tmp_path)
    code = "import sys; from pathlib import Path; from cfgtrain.filesystem.lock import is_locked\n"
    code += "print(is_locked(Path(sys.argv[1])), is_locked(Path(sys.argv[1])))"
    words = [sys.executable, "-c", code, str(tmp_path)]
    with locked_folder(tmp_path):
        held = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    free = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert (held.stdout, free.stdout) == ("True True\n", "False False\n")
    with locked_folder(tmp_path):
        pass
