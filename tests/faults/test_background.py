"""Checkpoints that are written in the background keep all promises of those that are not."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from faults.experiment import (
    DEADLINE,
    RUNNERS,
    SAVED_AT,
    Forker,
    end_of,
    iterations,
    newest,
    wait_for,
)
from faults.test_signals import INTERRUPTED, STOPPED, resume_command, send_until_dead
from tiny import same

KILLED = -signal.SIGKILL
ASYNC = "+checkpoint_config.async_save=True"
KEEP_ONE = "+checkpoint_config.max_keep_ckpts=1"
WORDS = ["train", "epoch.py", "--work-dir", "run", "--cfg-options", ASYNC, KEEP_ONE]


def saved_in(work_dir: Path) -> int:
    """Return the iteration that a run resumes after; 0 if it cannot be resumed."""
    try:
        return int(newest(work_dir)["resume"]["position"]["iter"])
    except AssertionError:
        return 0


def hidden(work_dir: Path) -> list[str]:
    """Return the temporary files in a folder."""
    return [path.name for path in work_dir.glob(".*") if path.name != ".lock"]


@pytest.mark.parametrize("kind", RUNNERS)
def test_the_results_are_the_same(kind: str, forker: Forker, unbroken: dict[str, Any]) -> None:
    """Every bit of the run and of its last file is that of a run without it; the same files are left."""
    words = ["train", f"{kind}.py", "--cfg-options", KEEP_ONE]
    forker.run(*words, "--work-dir", "plain", SESSION="plain")
    forker.run(*words, ASYNC, "--work-dir", "run")
    assert iterations("first") == unbroken[kind][1]
    assert same(end_of(Path("run")), unbroken[kind][0])
    names = [sorted(path.name for path in Path(run).glob("*.pth")) for run in ("plain", "run")]
    assert names[0] == names[1]


# As in test_kill.py: how often a run of seven checkpoints does what saving consists of.
STEPS = {"save": 7, "fsync": 8, "rename": 8, "remove": 8}


@pytest.mark.parametrize(
    ("place", "count"), [(place, at) for place, times in STEPS.items() for at in range(1, times + 1)]
)
def test_a_kill_while_writing(place: str, count: int, forker: Forker, unbroken: dict[str, Any]) -> None:
    """A run that is killed at any step of writing resumes from a checkpoint, exactly, and cleans up."""
    forker.run(*WORDS, code=KILLED, FAULTS=f"{place}:{count}:SIGKILL")
    went_on_at = saved_in(Path("run"))
    if not (place in ("save", "fsync") and count == 1):  # otherwise the first may be incomplete
        assert len(iterations("first")) - went_on_at <= 2 * 8  # the next one is due after one interval
    forker.run(*WORDS, "--resume=auto", SESSION="second")
    assert iterations("second") == unbroken["epoch"][1][went_on_at:]
    assert hidden(Path("run")) == []
    assert same(end_of(Path("run")), unbroken["epoch"][0])
    names = {path.name for path in Path("run").glob("*_*.pth") if path.name.count(".") == 1}
    assert names == {"iter_24.pth", "best_accuracy_epoch_4.pth"}


@pytest.mark.parametrize("fault", ["save:2:full", "fsync:6:full", "rename:4:full"])
def test_a_failed_save_is_reported_and_tried_again(
    fault: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """The message has the checkpoint, the reason and the last good one; the run continues."""
    text = forker.run(*WORDS, "evaluation=None", FAULTS=fault)
    assert "iter_14.pth cannot be written: [Errno 28] No space left on device" in text
    assert "The run continues; the last good checkpoint is" in text
    assert "iter_8.pth." in text
    assert {path.name for path in Path("run").glob("*.pth")} == {"iter_24.pth", "latest.pth"}
    assert same(end_of(Path("run"))["weights"], unbroken["epoch"][0]["weights"])


def test_a_run_whose_end_is_not_saved_fails(forker: Forker) -> None:
    """If the last save fails, the exit code is 1, and the last good checkpoint is kept."""
    text = forker.run(*WORDS, "evaluation=None", code=1, FAULTS="save:4:full")
    assert "The final state of the run was NOT saved." in text
    assert "iter_24.pth cannot be written: [Errno 28]" in text
    assert saved_in(Path("run")) == SAVED_AT[2]


@pytest.mark.parametrize("fault", ["save:3:full", "fsync:7:full"])
def test_the_best_stays_when_the_next_cannot_be_written(fault: str, forker: Forker) -> None:
    """If a best checkpoint cannot be written, the old one is kept, and the next evaluation tries again."""
    text = forker.run(
        "train", "epoch.py", "--work-dir", "run", "--cfg-options",
        "checkpoint_config.interval=100", "+checkpoint_config.save_last=False", ASYNC,
        FAULTS=fault,
    )  # fmt: skip
    assert "The best checkpoint remains" in text
    assert len(list(Path("run").glob("best_*.pth"))) == 1


def test_a_state_that_cannot_be_resumed_ends_the_run(forker: Forker) -> None:
    """What is not plain data is an error of the run, at the next save or at its end."""
    with Path("parts.py").open("a") as file:
        file.write("\n\nclass Odd: pass\nProbe.state_dict = lambda self: {'odd': Odd()}\n")
    text = forker.run(*WORDS, "evaluation=None", code=1)
    assert "Probe.odd (parts.Odd)" in text
    assert hidden(Path("run")) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("place", "count"), [("save", 1), ("save", 2), ("fsync", 5), ("rename", 2)])
def test_a_signal_while_writing(
    place: str, count: int, name: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """The writing is finished, the run is saved where it stops, and the printed command resumes it exactly."""
    text = forker.run(*WORDS, code=STOPPED, FAULTS=f"{place}:{count}:{name}")
    assert f"Stopping: {name}" in text
    saved = saved_in(Path("run"))
    assert saved == len(iterations("first"))
    assert hidden(Path("run")) == []
    forker.run(*resume_command(text), SESSION="second")
    assert iterations("second") == unbroken["epoch"][1][saved:]
    assert same(end_of(Path("run")), unbroken["epoch"][0])


def test_a_signal_waits_for_the_writing(forker: Forker) -> None:
    """The checkpoint that is being written is completed before that of the stop is written."""
    keep_all = [*WORDS[:-1], "evaluation=None"]
    command = forker.start(*keep_all, FAULTS="save:1:hold iter:10:SIGTERM")
    wait_for(lambda: len(iterations("first")) == 10, "iteration 10, while the checkpoint of 8 is written")
    assert command.code is None
    assert not list(Path("run").glob("iter_*.pth"))
    Path("go").touch()
    assert command.end() == STOPPED, command.text
    assert {path.name for path in Path("run").glob("iter_*.pth")} == {"iter_8.pth", "iter_10.pth"}


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("place", "count"), [("save", 3), ("fsync", 9), ("rename", 6)])
def test_a_second_signal_ends_immediately(place: str, count: int, name: str, forker: Forker) -> None:
    """The writing is abandoned: the last checkpoint is kept, and no temporary file is left."""
    command = forker.start(*WORDS, "evaluation=None", FAULTS=f"{place}:{count}:hold")
    try:
        wait_for(lambda: list(Path().glob("held-*")) or command.code is not None, "the place")
        assert command.code is None, f"{place} is not reached {count} times: {command.text}"
        command.send(getattr(signal, name))
        assert send_until_dead(command, getattr(signal, name)) == INTERRUPTED, command.text
        assert "auto" in resume_command(command.text)
    finally:
        Path("go").touch()
    assert saved_in(Path("run")) == SAVED_AT[1]
    assert hidden(Path("run")) == []


def test_the_end_of_the_run_waits(forker: Forker, unbroken: dict[str, Any]) -> None:
    """The command ends when the last checkpoint is complete."""
    command = forker.start(*WORDS, "evaluation=None", FAULTS="save:4:hold")
    wait_for(lambda: list(Path().glob("held-*")), "the last checkpoint")
    wait_for(lambda: len(iterations("first")) == 24, "the last iteration")
    assert command.code is None
    Path("go").touch()
    assert command.end(DEADLINE) == 0, command.text
    assert same(end_of(Path("run"))["weights"], unbroken["epoch"][0]["weights"])


def test_an_error_of_the_run_waits(forker: Forker, unbroken: dict[str, Any]) -> None:
    """If the training fails while a checkpoint is written, that is completed, and can be resumed from."""
    command = forker.start(*WORDS, "evaluation=None", FAULTS="save:2:hold before-iter:16:raise")
    wait_for(lambda: list(Path().glob("held-*")) or command.code is not None, "the second checkpoint")
    Path("go").touch()
    assert command.end() == 1, command.text
    saved = saved_in(Path("run"))
    assert hidden(Path("run")) == []
    forker.run(*WORDS, "evaluation=None", "--resume=auto", SESSION="second")
    assert same(end_of(Path("run"))["weights"], unbroken["epoch"][0]["weights"])
    assert saved >= 14
