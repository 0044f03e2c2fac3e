from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cfgtrain.parallel.stacks import FOLDER, ProcessStacks

KILLED = """
import os, signal
from cfgtrain.parallel.stacks import ProcessStacks

print(ProcessStacks().folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, also of other processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(FOLDER, raising=False)
    return tmp_path


def test_what_a_killed_process_leaves_is_removed(temporary: Path) -> None:
    """The next run removes the folder of a process that was killed, but not that of one that runs."""
    done = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.is_dir()
    running = temporary / f"cfgtrain_stacks_{os.getppid()}_running"
    running.mkdir()
    stacks = ProcessStacks()
    try:
        assert sorted(temporary.iterdir()) == sorted([running, stacks.folder])
    finally:
        stacks.close()
    assert list(temporary.iterdir()) == [running]


def test_processes_of_a_launch_use_its_folder(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is created in that of the launch, which removes it; without that one it is created as usual."""
    launch = temporary / "launch"
    launch.mkdir()
    monkeypatch.setenv(FOLDER, str(launch))
    stacks = ProcessStacks()
    assert stacks.folder.parent == launch
    stacks.close()
    assert os.environ[FOLDER] == str(launch)
    launch.rmdir()
    stacks = ProcessStacks()
    assert stacks.folder.parent == temporary
    stacks.close()
