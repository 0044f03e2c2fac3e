"""Only one run uses a folder at a time, and no run overwrites files of another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from faults.experiment import Forker, iterations, newest, read_checkpoint, wait_for

WORDS = ["train", "epoch.py", "--work-dir", "run"]


def test_a_second_run_in_the_folder_is_refused(forker: Forker) -> None:
    """The error has the process that uses the folder; nothing is changed, and the first run continues."""
    first = forker.start(*WORDS, FAULTS="iter:9:hold")
    wait_for(lambda: list(Path().glob("held-*")), "iteration 9")
    before = sorted(path.name for path in Path("run").iterdir())
    for extra in ([], ["--resume", "auto"]):
        text = forker.run(*WORDS, *extra, code=1, SESSION="second")
        assert f"in use by process {first.pid} on " in text
        assert "--work-dir" in text
        assert "Traceback" not in text
    assert sorted(path.name for path in Path("run").iterdir()) == before
    Path("go").touch()
    assert first.end() == 0, first.text
    assert iterations("second") == []


def test_a_run_that_saves_into_the_same_folder_is_refused(forker: Forker) -> None:
    """Two work directories with one name and one ``out_dir`` share the folder of their checkpoints."""
    elsewhere = ["--cfg-options", "+checkpoint_config.out_dir=elsewhere"]
    words = ["train", "epoch.py", *elsewhere, "--work-dir"]
    first = forker.start(*words, "one/run", FAULTS="iter:9:hold")
    wait_for(lambda: list(Path().glob("held-*")), "iteration 9")
    text = forker.run(*words, "two/run", code=1, SESSION="second")
    assert "elsewhere/run is in use by process" in text
    Path("go").touch()
    assert first.end() == 0, first.text


def test_a_clock_that_was_set_back_changes_nothing(forker: Forker) -> None:
    """The checkpoints of a resumed run are newer than the one it was resumed from, for any clock time."""
    with Path("parts.py").open("a") as file:
        file.write(
            "\n\nimport cfgtrain.experiment.work_dir\nfrom datetime import datetime, timezone\n"
            "class Early(datetime):\n"
            "    @classmethod\n"
            "    def now(cls, tz=None):\n"
            "        return datetime(2001, 1, 1, tzinfo=timezone.utc)\n"
            "if SESSION == 'early':\n"
            "    sys.modules['cfgtrain.experiment.work_dir'].datetime = Early\n"
        )
    forker.run(*WORDS, code=-signal.SIGKILL, FAULTS="iter:9:SIGKILL")
    forker.run(*WORDS, "--resume", "auto", code=-signal.SIGKILL, FAULTS="iter:17:SIGKILL", SESSION="early")
    assert newest(Path("run"))["resume"]["position"]["iter"] == 14
    forker.run(*WORDS, "--resume", "auto", SESSION="last")
    assert iterations("last")[0][0] == 15


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_does_not_lock_the_folder(workers: int, forker: Forker) -> None:
    """The folder can be used right after a kill, even while workers of the killed run still exist."""
    options = ["--cfg-options", f"data.workers_per_gpu={workers}"]
    killed = forker.start(*WORDS, *options, own_group=True, FAULTS="iter:9:SIGKILL")
    assert killed.end() == -signal.SIGKILL
    forker.run(*WORDS, "--resume", "auto", *options, SESSION="second")
    assert iterations("second")[-1][0] == 24
    wait_for(lambda: not group_lives(killed.pid), "the loading processes of the killed run to end", 20)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_without_resume_leaves_the_earlier_one_alone(forker: Forker) -> None:
    """A second run in the folder has its own logs and renames the checkpoints that it would overwrite."""
    keep_one = ["--cfg-options", "+checkpoint_config.max_keep_ckpts=1"]
    forker.run(*WORDS, *keep_one)
    before = {path.read_bytes() for path in Path("run").glob("*_*.pth")}
    logs = {path: path.read_bytes() for path in Path("run").glob("*.log*")}
    forker.run(*WORDS, *keep_one, "--seed", "4", SESSION="second")
    after = {path.read_bytes() for path in Path("run").glob("*_*.pth")}
    assert before < after
    assert {path: path.read_bytes() for path in logs} == logs
    assert len(list(Path("run").glob("*.log"))) == len(list(Path("run").glob("*.log.json"))) == 2
    assert newest(Path("run"))["meta"]["seed"] == 4


def test_each_run_renames_to_another_name(forker: Forker) -> None:
    """Four runs in one folder leave four final checkpoints."""
    for seed in range(4):
        forker.run(*WORDS, "--seed", seed, "--cfg-options", "evaluation=None", SESSION=str(seed))
    ends = [read_checkpoint(path)["meta"]["seed"] for path in Path("run").glob("iter_24*.pth")]
    assert sorted(ends) == [0, 1, 2, 3]


def test_resuming_from_an_earlier_checkpoint_keeps_the_later_ones(forker: Forker) -> None:
    """A run resumed from the middle of another one overwrites none of its later checkpoints."""
    forker.run(*WORDS)
    before = {path.read_bytes() for path in Path("run").glob("*_*.pth")}
    forker.run(*WORDS, "--resume", "run/iter_8.pth", SESSION="second")
    assert before < {path.read_bytes() for path in Path("run").glob("*_*.pth")}
    assert iterations("second")[0][0] == 9


def test_resuming_in_another_folder_changes_nothing_in_the_first(forker: Forker) -> None:
    """A run resumed in a new work directory removes old checkpoints only there."""
    keep_one = ["--cfg-options", "+checkpoint_config.max_keep_ckpts=1"]
    forker.run(*WORDS, *keep_one, code=-9, FAULTS="iter:17:SIGKILL")
    before = sorted(path.name for path in Path("run").iterdir())
    forker.run(
        "train", "epoch.py", "--work-dir", "new", "--resume", "run/iter_14.pth", *keep_one, SESSION="second"
    )
    assert sorted(path.name for path in Path("run").iterdir()) == before
    assert {path.name for path in Path("new").glob("iter_*.pth")} == {"iter_24.pth"}


def test_checkpoints_in_out_dir_are_found(forker: Forker) -> None:
    """``--resume auto`` also searches the ``out_dir`` of the checkpoints."""
    elsewhere = ["--cfg-options", "+checkpoint_config.out_dir=elsewhere", "evaluation=None"]
    forker.run(*WORDS, *elsewhere, code=-9, FAULTS="iter:9:SIGKILL")
    assert not list(Path("run").glob("*.pth"))
    forker.run(*WORDS, "--resume", "auto", *elsewhere, SESSION="second")
    assert iterations("second")[0][0] == 9
