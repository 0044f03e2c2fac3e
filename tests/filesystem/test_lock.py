"""Locks, where the file system makes difficulties; what they are for is in ``tests/faults``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cfgtrain.errors import WorkDirError
from cfgtrain.filesystem.lock import LOCK_NAME, locked_folder


def test_file_says_who_holds_it(tmp_path: Path) -> None:
    """The file names process, machine and time, and nobody else from before."""
    (tmp_path / LOCK_NAME).write_text("somebody\n" * 9)
    with locked_folder(tmp_path):
        text = (tmp_path / LOCK_NAME).read_text()
    assert text.startswith("process ")
    assert text.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no file that is always full")
def test_full_disk_locks_all_the_same(tmp_path: Path) -> None:
    """Where nothing can be written the lock holds without a name in it."""
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


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A lock file of somebody else, or something else of that name, is an error that names the folder."""
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(WorkDirError, match="cannot be locked: Is a directory"), locked_folder(tmp_path):
        pass
