"""Shell completion, in a real bash on a terminal."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")
BASH, SCRIPTS = shutil.which("bash"), Path(sys.executable).parent


@pytest.mark.skipif(
    BASH is None or not (SCRIPTS / "cfgtrain").exists(), reason="needs bash, and an installed cfgtrain"
)
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """After --install-completion, a new bash completes commands, options and their choices on Tab."""
    environment = {
        "HOME": str(tmp_path), "PATH": f"{SCRIPTS}:/usr/bin:/bin", "TERM": "dumb", "PS1": "$ ",
    }  # fmt: skip
    # The command detects the shell that runs it. Without "&& true", bash would replace itself.
    subprocess.run(
        [str(BASH), "-c", "cfgtrain --install-completion && true"],
        env=environment,
        check=True,
        capture_output=True,
    )
    terminal, inside = pty.openpty()
    words = [str(BASH), "--noprofile", "--rcfile", str(tmp_path / ".bashrc"), "-i"]
    shell = subprocess.Popen(
        words, stdin=inside, stdout=inside, stderr=inside, env=environment, start_new_session=True
    )
    os.close(inside)
    try:
        assert typed(terminal, "cfgtrain ima\t", "image ")
        assert typed(terminal, "resi\t", "resize ")
        assert typed(terminal, "--inter\t", "--interpolation ")
        assert typed(terminal, "lanc\t", "lanczos ")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)


def typed(terminal: int, text: str, expected: str) -> bool:
    """Type ``text``, and return whether the terminal shows ``expected`` in time."""
    os.write(terminal, text.encode())
    shown, deadline = "", time.monotonic() + 20
    while expected not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return expected in shown
