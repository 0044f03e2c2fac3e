"""What a run shows on a terminal, and in a pipe."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cfgtrain import terminal
from cfgtrain_cli import app

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TWO = ["--cfg-options", "runner.max_epochs=2"]
ROW = re.compile(r" *(\d+)/2 .*\d\.\d{4}.*")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[str]]]:
    """Run a command on a terminal of a width; return its exit code and the lines on stderr, without colours."""

    def call(*words: object, width: int = 80) -> tuple[int, list[str]]:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=width, theme=terminal.Theme(terminal._STYLES))
        monkeypatch.setattr(terminal, "log_console", lambda: console)
        with pytest.raises(SystemExit) as exit_info:
            app.main([str(word) for word in words])
        return int(exit_info.value.code or 0), re.split(r"[\r\n]+", CONTROL.sub("", out.getvalue()))

    return call


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_run_is_ten_lines_and_a_table(width: int, shown: Any, small: Path) -> None:
    """No line is wider than the terminal; neither the table of hooks nor lines of the log are shown."""
    code, lines = shown("train", small, *TWO, width=width)
    assert code == 0
    assert max(map(len, lines)) < width
    assert [ROW.fullmatch(line)[1] for line in lines if ROW.fullmatch(line)] == ["1", "2"]  # type: ignore[index]  # it matches
    text = "\n".join(lines)
    assert lines[0].startswith("Experiment  small")
    assert text.count("epoch   ") == 1
    assert text.count("best saved") == 2
    for absent in ("Hooks will", "Epoch [1]", "Exp name", "Saving checkpoint", "INFO"):
        assert absent not in text
    log = "".join(file.read_text() for file in Path("work_dirs/small").glob("*.log"))
    assert all(
        absent in log for absent in ("Hooks will", "Epoch [1]", "Exp name", "Saving checkpoint", "INFO")
    )


def test_a_pipe_has_the_lines_of_the_log(run: Callable[..., Any], small: Path) -> None:
    """Interval lines have MMCV's format; there is no table."""
    ran = run("train", small)
    assert re.search(r" - INFO - Epoch \[1\]\[8/17\]\tlr: 4\.150e-02, eta: ", ran.err)
    assert " - INFO - Experiment  small" in ran.err
    assert not any(absent in ran.err for absent in ("Hooks will", "-- train --", "\x1b"))


def test_a_real_terminal(small: Path) -> None:
    """The run sees the terminal and its width; the bar is there while it runs, and NO_COLOR leaves out colours."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 70, 0, 0))
    words = [sys.executable, "-m", "cfgtrain", "train", str(small), *TWO]
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(words, stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    out = b""
    while True:
        try:
            out += os.read(leader, 65536)
        except OSError:  # its end has been closed
            break
    assert process.wait(60) == 0
    text = out.decode()
    assert "/34" in text
    assert " eta " in text
    assert not re.search(r"\x1b\[[0-9;]*3\d", text)
    lines = re.split(r"[\r\n]+", CONTROL.sub("", text))
    table = [line for line in lines if ROW.fullmatch(line)]
    assert len(table) == 2
    assert max(map(len, table)) < 70


def test_messages_within_a_run(shown: Any, small: Path, write: Callable[[str, str], Path]) -> None:
    """Warnings and errors of hooks have a label, and are in the logs; messages of hooks are shown."""
    write(
        "parts.py",
        "from cfgtrain.runner import HOOKS, Hook\n\n\n@HOOKS.register_module()\nclass Noisy(Hook):\n"
        "    def after_train_epoch(self, runner):\n"
        "        runner.logger.warning('Careful: %s', 'x ' * 50)\n"
        "        runner.logger.error('It broke.')\n"
        "        runner.logger.info('A note.')\n",
    )
    hook = ["--cfg-options", "+custom_hooks=[{type: Noisy}]", "+custom_imports={imports: [parts]}"]
    code, lines = shown("train", small, *hook)
    assert code == 0
    assert any(line.startswith("Warning: Careful: x x") for line in lines)
    assert "Error: It broke." in lines
    assert "A note." in lines
    assert max(map(len, lines)) < 80
    (file,) = Path("work_dirs/small").glob("*.log.json")
    logged = [json.loads(line) for line in file.read_text().splitlines()]
    assert {mode: sum(line.get("mode") == mode for line in logged) for mode in ("warning", "error")} == {
        "warning": 2,
        "error": 1,
    }  # the other warning is about the schedule


def test_an_unfinished_run_is_told(run: Callable[..., Any], small: Path) -> None:
    """A second start in its folder says before it begins how to resume it; after a finished run it says nothing."""
    stop = "import os, signal\nfrom cfgtrain.runner import HOOKS, Hook\n\n\n@HOOKS.register_module()\nclass Stop(Hook):\n"
    Path("stop.py").write_text(
        stop
        + "    def after_train_iter(self, runner):\n        os.kill(os.getpid(), signal.SIGINT) if runner.iter == 20 else 0\n"
    )
    hook = ["+custom_hooks=[{type: Stop}]", "+custom_imports={imports: [stop]}"]
    assert run("train", small, *TWO, *hook).code == 75
    second = run("train", small, *TWO)
    assert second.code == 0
    warning = (
        "has an unfinished run: 1 of its 2 epochs are complete, saved in iter_21.pth. To resume it, stop this"
    )
    assert warning in second.err
    assert second.err.index(warning) < second.err.index("Experiment  ")
    assert "an unfinished run" not in run("train", small, *TWO).err
    assert "an unfinished run" not in run("train", small, *TWO, "--resume", "auto").err


def test_log_of_a_failed_run(run: Callable[..., Any], small: Path) -> None:
    """The logs have the error with its traceback; a failed start leaves no empty log."""
    ran = run("train", small, "--cfg-options", "optimizer.lr=1e9", "optimizer.momentum=0.0", "lr_config=None")
    assert ran.code == 1
    assert ran.err.count("The loss is") == 1
    (log,) = Path("work_dirs/small").glob("*.log")
    assert re.search(r"ERROR - The run failed: The loss is .*, samples \d+", log.read_text())
    assert "Traceback (most recent call last)" in log.read_text()
    (file,) = Path("work_dirs/small").glob("*.log.json")
    last = json.loads(file.read_text().splitlines()[-1])
    assert (last["mode"], last["result"]) == ("end", "failed")
    assert "samples" in last["reason"]


@pytest.mark.parametrize("name", ["train", "test"])
def test_no_empty_log_of_a_failed_start(name: str, run: Callable[..., Any], small: Path) -> None:
    """A start that fails before the run says why in its log."""
    ran = run("train", small, "--cfg-options", f"+data.{name}.classes=[77]")
    assert ran.code != 0
    assert all(file.stat().st_size for file in Path().rglob("*.log"))
