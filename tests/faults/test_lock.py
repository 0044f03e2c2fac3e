"""One run per folder, and none that loses what another left there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from faults.experiment import Forker, iterations, newest, read_checkpoint, wait_for

WORDS = ["train", "epoch.py", "--work-dir", "run"]


def test_a_second_run_in_the_folder_is_refused(forker: Forker) -> None:
    """The second says which process holds the folder and changes nothing; the first goes on."""
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
    """Two work_dirs of one name and one ``out_dir`` put their checkpoints into one folder: one at a time."""
    elsewhere = ["--cfg-options", "+checkpoint_config.out_dir=elsewhere"]
    words = ["train", "epoch.py", *elsewhere, "--work-dir"]
    first = forker.start(*words, "one/run", FAULTS="iter:9:hold")
    wait_for(lambda: list(Path().glob("held-*")), "iteration 9")
    text = forker.run(*words, "two/run", code=1, SESSION="second")
    assert "elsewhere/run is in use by process" in text
    Path("go").touch()
    assert first.end() == 0, first.text


def test_a_clock_that_was_put_back_changes_nothing(forker: Forker) -> None:
    """What a resumed run wrote is newer than what it was resumed from, whatever the clock says."""
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
def test_a_killed_run_holds_nothing(workers: int, forker: Forker) -> None:
    """Right after a kill the folder is free, though loading processes of the killed run may live on a little."""
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
    """A second run in the folder gets logs of its own and puts the checkpoints it would overwrite aside."""
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


def test_each_further_run_sets_aside_under_another_name(forker: Forker) -> None:
    """Four runs of one folder leave four ends."""
    for seed in range(4):
        forker.run(*WORDS, "--seed", seed, "--cfg-options", "evaluation=None", SESSION=str(seed))
    ends = [read_checkpoint(path)["meta"]["seed"] for path in Path("run").glob("iter_24*.pth")]
    assert sorted(ends) == [0, 1, 2, 3]


def test_going_on_from_an_earlier_checkpoint_keeps_the_later_ones(forker: Forker) -> None:
    """A run resumed from the middle of another one overwrites none of what that one wrote after it."""
    forker.run(*WORDS)
    before = {path.read_bytes() for path in Path("run").glob("*_*.pth")}
    forker.run(*WORDS, "--resume", "run/iter_8.pth", SESSION="second")
    assert before < {path.read_bytes() for path in Path("run").glob("*_*.pth")}
    assert iterations("second")[0][0] == 9


def test_going_on_in_another_folder_touches_nothing_in_the_first(forker: Forker) -> None:
    """Resumed from a path into a new work_dir, old checkpoints are removed there alone."""
    keep_one = ["--cfg-options", "+checkpoint_config.max_keep_ckpts=1"]
    forker.run(*WORDS, *keep_one, code=-9, FAULTS="iter:17:SIGKILL")
    before = sorted(path.name for path in Path("run").iterdir())
    forker.run(
        "train", "epoch.py", "--work-dir", "new", "--resume", "run/iter_14.pth", *keep_one, SESSION="second"
    )
    assert sorted(path.name for path in Path("run").iterdir()) == before
    assert {path.name for path in Path("new").glob("iter_*.pth")} == {"iter_24.pth"}


def test_checkpoints_elsewhere_are_found(forker: Forker) -> None:
    """``--resume auto`` looks into the ``out_dir`` of the checkpoints as well."""
    elsewhere = ["--cfg-options", "+checkpoint_config.out_dir=elsewhere", "evaluation=None"]
    forker.run(*WORDS, *elsewhere, code=-9, FAULTS="iter:9:SIGKILL")
    assert not list(Path("run").glob("*.pth"))
    forker.run(*WORDS, "--resume", "auto", *elsewhere, SESSION="second")
    assert iterations("second")[0][0] == 9
