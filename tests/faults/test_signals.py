"""Ctrl-C, SIGTERM and SIGHUP save the run, and print the command that resumes it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from faults.experiment import (
    ITERATIONS,
    RUNNERS,
    Command,
    Forker,
    end_of,
    iterations,
    lines,
    newest,
    wait_for,
)
from tiny import same

STOPPED, INTERRUPTED = 75, 130


def resume_command(text: str) -> list[str]:
    """Return the arguments of the last line, which is the command that resumes the run."""
    words = shlex.split(text.strip().splitlines()[-1])
    assert words[0] == "cfgtrain"
    return words[1:]


@pytest.mark.parametrize(
    ("at", "saved", "name"),
    [
        (1, 2, "SIGINT"),
        (6, 6, "SIGTERM"),
        (13, 14, "SIGINT"),
        (14, 14, "SIGTERM"),
        (23, 24, "SIGTERM"),
        (24, 24, "SIGINT"),
    ],
)
@pytest.mark.parametrize("kind", RUNNERS)
def test_a_signal_ends_the_run_at_the_end_of_its_window(
    kind: str, at: int, saved: int, name: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """The exit code is 75, and the printed command resumes the run there."""
    words = ["train", f"{kind}.py", "--work-dir", "run"]
    text = forker.run(*words, code=STOPPED, FAULTS=f"iter:{at}:{name}")
    assert f"Stopping: {name}" in text
    assert f"Stopped by {name} after {saved} iterations" in text
    assert len(iterations("first")) == saved
    assert newest(Path("run"))["resume"]["position"]["iter"] == saved
    assert forker.run(*resume_command(text), SESSION="second").count("Test: accuracy") == 1
    end, seen = unbroken[kind]
    assert iterations("second") == seen[saved:]
    assert same(end_of(Path("run")), end)


# Where a signal comes: place, count, exit code, and the iteration that is saved, or None.
PLACES = [
    ("val-read", 3, 6, True),  # an evaluation between epochs is broken off and done again
    ("val-read", 12, 12, True),
    ("epoch", 1, 6, False),
    ("save", 1, 6, False),
    ("save", 2, 8, False),
    ("fsync", 5, 8, False),
    ("rename", 2, 6, False),
    ("test-read", 2, 24, True),
    ("before-run", 1, 0, False),
]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("place", "count", "saved", "broken_off"), PLACES)
def test_a_signal_at_any_point(
    place: str, count: int, saved: int, broken_off: bool, name: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """The same is true during evaluation, saving and the final test, and before the first batch."""
    text = forker.run(
        "train", "epoch.py", "--work-dir", "run", code=STOPPED, FAULTS=f"{place}:{count}:{name}"
    )
    assert newest(Path("run"))["resume"]["position"]["iter"] == saved
    if broken_off:
        part = place.split("-")[0]
        assert len(lines(f"read-{part}", "first")) < {"val": 9 * (saved // 6), "test": 7}[part]
    forker.run(*resume_command(text), SESSION="second")
    end, seen = unbroken["epoch"]
    assert iterations("second") == seen[saved:]
    assert same(end_of(Path("run")), end)


def test_a_signal_during_an_evaluation_between_iterations_waits_for_it(
    forker: Forker, unbroken: dict[str, Any]
) -> None:
    """Within an epoch the state before the evaluation cannot be saved, so the evaluation is completed."""
    text = forker.run("train", "iter.py", "--work-dir", "run", code=STOPPED, FAULTS="val-read:3:SIGTERM")
    assert len(lines("read-val", "first")) == 9
    forker.run(*resume_command(text), SESSION="second")
    assert same(end_of(Path("run")), unbroken["iter"][0])


@pytest.mark.parametrize("kind", RUNNERS)
def test_a_signal_right_after_resuming_keeps_the_state(
    kind: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """A resumed run that is stopped before its first batch saves the complete state that it was resumed from."""
    words = ["train", f"{kind}.py", "--work-dir", "run"]
    forker.run(*words, code=-signal.SIGKILL, FAULTS="iter:9:SIGKILL")
    text = forker.run(
        *words, "--resume", "auto", code=STOPPED, FAULTS="before-run:1:SIGTERM", SESSION="second"
    )
    assert iterations("second") == []
    forker.run(*resume_command(text), SESSION="third")
    assert iterations("third") == unbroken[kind][1][8:]
    assert same(end_of(Path("run")), unbroken[kind][0])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("kind", RUNNERS)
def test_a_signal_to_all_processes_does_not_stop_the_workers(
    kind: str, name: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """Only the main process handles a signal that a terminal or scheduler sends to every process."""
    words = ["train", f"{kind}.py", "--work-dir", "run", "--cfg-options", "data.workers_per_gpu=2"]
    command = forker.start(*words, own_group=True, FAULTS="iter:9:hold")
    wait_for(lambda: list(Path().glob("held-iter-*")), "iteration 9")
    os.killpg(command.pid, getattr(signal, name))
    Path("go").touch()
    assert command.end() == STOPPED, command.text
    assert newest(Path("run"))["resume"]["position"]["iter"] == 10
    forker.run(*resume_command(command.text), SESSION="second")
    assert same(end_of(Path("run")), unbroken[kind][0])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_workers_start(name: str, forker: Forker, unbroken: dict[str, Any]) -> None:
    """The same is true while the workers are being started."""
    words = ["train", "epoch.py", "--work-dir", "run", "--cfg-options", "data.workers_per_gpu=2"]
    command = forker.start(*words, own_group=True, FAULTS="train-read:1:hold")
    # The worker that is started first reads while the next one is being started.
    wait_for(lambda: list(Path().glob("held-train-read-*")), "the first sample")
    os.killpg(command.pid, getattr(signal, name))
    Path("go").touch()
    assert command.end() == STOPPED, command.text
    forker.run(*resume_command(command.text), SESSION="second")
    assert same(end_of(Path("run")), unbroken["epoch"][0])


def send_until_dead(command: Command, number: int) -> int:
    """Send Ctrl-C repeatedly until the command has ended."""
    deadline = time.monotonic() + 30
    while command.code is None and time.monotonic() < deadline:
        command.send(number)
        wait_for_a_moment(command)
    return command.end(1)


def wait_for_a_moment(command: Command, seconds: float = 0.15) -> None:
    """Wait briefly for the end of a command."""
    try:
        wait_for(lambda: command.code is not None, "the end", seconds)
    except TimeoutError:
        return


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("place", "count", "left"), [("iter", 17, 14), ("save", 3, 14), ("fsync", 9, 14), ("rename", 6, 14)]
)
def test_a_second_signal_ends_immediately(
    place: str, count: int, left: int, name: str, forker: Forker
) -> None:
    """The exit code is 130, the last checkpoint is kept, and no temporary file is left, even during a save."""
    options = ["--cfg-options", "+checkpoint_config.max_keep_ckpts=1", "evaluation=None"]
    command = forker.start("train", "epoch.py", "--work-dir", "run", *options, FAULTS=f"{place}:{count}:hold")
    try:
        wait_for(lambda: list(Path().glob("held-*")) or command.code is not None, "the place")
        assert command.code is None, f"{place} is not reached {count} times: {command.text}"
        command.send(getattr(signal, name))
        assert send_until_dead(command, getattr(signal, name)) == INTERRUPTED, command.text
        assert "auto" in resume_command(command.text)
    finally:
        Path("go").touch()
    assert newest(Path("run"))["resume"]["position"]["iter"] == left
    assert [path.name for path in Path("run").glob(".*") if path.name != ".lock"] == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_before_the_run_there_is_nothing_to_resume(name: str, forker: Forker) -> None:
    """A signal before the training starts is exit code 130, without a traceback or a checkpoint."""
    with Path("parts.py").open("a") as file:
        file.write("\n\nreach('import')\n")
    text = forker.run("train", "epoch.py", "--work-dir", "run", code=INTERRUPTED, FAULTS=f"import:1:{name}")
    assert "Traceback" not in text
    assert not list(Path().glob("run/*.pth"))


def test_a_signal_at_the_end_changes_no_exit_code(forker: Forker) -> None:
    """A SIGTERM after everything is done or saved, while Python exits, has no effect."""
    with Path("parts.py").open("a") as file:
        file.write("\n\nimport atexit\natexit.register(reach, 'exit')\n")
    words = ["train", "epoch.py", "--work-dir", "run"]
    stopped = forker.run(*words, code=STOPPED, FAULTS="iter:9:SIGTERM exit:1:SIGTERM")
    done = forker.run(*words, "--resume", "auto", code=0, FAULTS="exit:1:SIGTERM")
    assert "Traceback" not in stopped + done


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("first", "later"),
    [("iter:9", "after-run:1"), ("iter:9", "closed:1"), ("iter:9", "exit:1"), ("test-read:2", "test-read:3")],
)
def test_a_second_signal_when_all_is_saved_changes_nothing(
    first: str, later: str, name: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """In the end of a run, in that of its command, and in a test that is left out, it is too late."""
    with Path("parts.py").open("a") as file:
        file.write(
            "\n\nimport atexit\natexit.register(reach, 'exit')\n"
            "import cfgtrain.train\nwatch(cfgtrain.train, 'TrainResult', 'closed')\n"
            "at_once = act\n"
            "def act(place, action):\n"
            "    time.sleep(0.12)  # two signals within 0.1 seconds count as one\n"
            "    at_once(place, action)\n"
        )
    # The first signal is not the last: a third one comes at the exit.
    faults = f"{first}:{name} {later}:{name} exit:1:{name}"
    words = ["train", "epoch.py", "--work-dir", "run"]
    text = forker.run(*words, code=STOPPED, FAULTS=faults)
    assert "Traceback" not in text
    forker.run(*resume_command(text), SESSION="second")
    assert same(end_of(Path("run")), unbroken["epoch"][0])


@pytest.mark.parametrize("kind", RUNNERS)
def test_a_signal_that_is_ignored_at_the_start_stays_ignored(
    kind: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """A run under ``nohup`` outlives its terminal, and one in the background Ctrl-C."""
    script = Path("ignoring.py")
    script.write_text(
        "import signal, sys\n"
        "for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):\n"
        "    signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
        "from cfgtrain_cli.app import main\n"
        "main()\n"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "FAULTS": "iter:9:SIGHUP iter:11:SIGINT iter:13:SIGTERM"}
    words = [sys.executable, str(script), "train", f"{kind}.py", "--work-dir", "run"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert same(end_of(Path("run")), unbroken[kind][0])


def test_the_doubled_signal_of_timeout_is_one(forker: Forker) -> None:
    """Two immediate signals, as ``timeout`` sends them, let the iteration finish."""
    command = forker.start("train", "epoch.py", "--work-dir", "run", FAULTS="iter:9:hold")
    wait_for(lambda: list(Path().glob("held-*")), "iteration 9")
    command.send(signal.SIGTERM)
    command.send(signal.SIGTERM)
    Path("go").touch()
    assert command.end() == STOPPED, command.text


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--work-dir", "run", "epoch.py"],
        ["--debug", "train", "epoch.py", "--cfg-options", "optimizer.lr=0.02", "seed=5", "+work_dir=run"],
        ["train", "epoch.py", "--resume=auto", "--work-dir", "run"],
    ],
)
def test_the_printed_command_keeps_all_arguments(words: list[str], forker: Forker) -> None:
    """Options before and after the config, and overrides, are in the command that resumes the run."""
    text = forker.run(*words, code=STOPPED, FAULTS="iter:9:SIGTERM")
    resume = resume_command(text)
    assert resume.count("auto") == 1
    forker.run(*resume, SESSION="second")
    assert iterations("second")[0][0] == 11
    assert iterations("second")[-1][0] == ITERATIONS


def test_a_checkpoint_is_saved_if_there_is_none(forker: Forker, unbroken: dict[str, Any]) -> None:
    """A run that saves no optimizer, or nothing at all, can be resumed after a signal."""
    for number, option in enumerate(["+checkpoint_config.save_optimizer=False", "checkpoint_config=None"]):
        words = ["train", "epoch.py", "--work-dir", "run", "--cfg-options", "evaluation=None", option]
        text = forker.run(*words, code=STOPPED, FAULTS="iter:14:SIGTERM", SESSION=f"first{number}")
        forker.run(*resume_command(text), SESSION=f"second{number}")
        assert iterations(f"second{number}") == unbroken["epoch"][1][14:]
        shutil.rmtree("run")


def test_the_installed_command(forker: Forker) -> None:
    """The same is true for a process that is not forked, and the printed command resumes the run."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "FAULTS": "iter:9:hold"}
    with Path("out.txt").open("w") as out:
        first = subprocess.Popen(
            [sys.executable, "-m", "cfgtrain", "train", "epoch.py"], env=env, stdout=out, stderr=out
        )
        wait_for(lambda: list(Path().glob("held-*")) or first.poll() is not None, "iteration 9")
        first.send_signal(signal.SIGINT)
        Path("go").touch()
        assert first.wait(60) == STOPPED, Path("out.txt").read_text()
    text = forker.run(*resume_command(Path("out.txt").read_text()), SESSION="second")
    assert iterations("second")[0][0] == 11
    assert "Test: accuracy" in text
