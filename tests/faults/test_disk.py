"""A failed save is reported and tried again; the run and the last good checkpoint are kept."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.experiment import SAVED_AT, Forker, end_of, logged, newest
from tiny import same

from cfgtrain.checkpoint.save import write_checkpoint
from cfgtrain.errors import CheckpointError

KEEP_ONE = ["--cfg-options", "+checkpoint_config.max_keep_ckpts=1", "evaluation=None"]
# Where the second of the four checkpoints without evaluation is written.
SECOND = ["save:2:full", "fsync:6:full", "rename:4:full"]


@pytest.mark.parametrize("fault", SECOND)
def test_a_failed_save_is_reported_and_tried_again(
    fault: str, forker: Forker, unbroken: dict[str, Any]
) -> None:
    """The run ends as usual, and the message has the checkpoint, the reason and the last good one."""
    text = forker.run("train", "epoch.py", "--work-dir", "run", *KEEP_ONE, FAULTS=fault)
    assert "iter_14.pth cannot be written: [Errno 28] No space left on device" in text
    assert "The run continues; the last good checkpoint is" in text
    assert "iter_8.pth." in text
    assert "NOT saved" not in text
    assert {path.name for path in Path("run").glob("*.pth")} == {"iter_24.pth", "latest.pth"}
    assert same(end_of(Path("run"))["weights"], unbroken["epoch"][0]["weights"])


def test_a_failed_save_keeps_the_last_good_checkpoint(forker: Forker, unbroken: dict[str, Any]) -> None:
    """If the run is killed before the next save, it resumes from the last good checkpoint."""
    words = ["train", "epoch.py", "--work-dir", "run", *KEEP_ONE]
    forker.run(*words, code=-9, FAULTS="save:2:full iter:17:SIGKILL")
    assert newest(Path("run"))["resume"]["position"]["iter"] == SAVED_AT[0]
    forker.run(*words[:4], "--resume", "auto", *words[4:], SESSION="second")
    assert same(end_of(Path("run"))["weights"], unbroken["epoch"][0]["weights"])


def test_a_run_whose_end_is_not_saved_fails(forker: Forker) -> None:
    """If the last save fails, the exit code is 1 and the first line has what is not saved and why."""
    text = forker.run("train", "epoch.py", "--work-dir", "run", *KEEP_ONE, code=1, FAULTS="save:4:full")
    assert "The final state of the run was NOT saved." in text
    assert newest(Path("run"))["resume"]["position"]["iter"] == SAVED_AT[2]


@pytest.mark.parametrize("fault", ["save:3:full", "fsync:7:full"])
def test_the_best_stays_when_the_next_cannot_be_written(fault: str, forker: Forker) -> None:
    """If a best checkpoint cannot be written, the old one is kept, and the next evaluation tries again."""
    text = forker.run(
        "train", "epoch.py", "--work-dir", "run", "--cfg-options", "checkpoint_config=None", FAULTS=fault
    )
    assert "The best checkpoint remains" in text
    assert len(list(Path("run").glob("best_*.pth"))) == 1


def test_a_real_limit_of_the_file_size(forker: Forker, unbroken: dict[str, Any]) -> None:
    """If there is space for the logs but not for checkpoints, the run ends and each failure is reported."""
    size = 40_000  # the weights alone take more
    ballast = [f"model.ballast={size}", "evaluation=None"]
    with Path("parts.py").open("a") as file:
        file.write(f"\n\nimport resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n")
    text = forker.run("train", "epoch.py", "--work-dir", "run", "--cfg-options", *ballast, code=1)
    assert text.count("cannot be written: [Errno 27] File too large") >= len(SAVED_AT)
    assert "The final state of the run was NOT saved." in text
    assert [path.name for path in Path("run").iterdir() if "pth" in path.name] == []
    kept = [line for line in unbroken["epoch"][0]["logged"] if line["mode"] == "train"]
    assert [line["loss"] for line in logged(Path("run"))] == [line["loss"] for line in kept]


def test_full_logs_do_not_end_a_run(forker: Forker, unbroken: dict[str, Any]) -> None:
    """If the logs cannot be written, that is reported once, without tracebacks, and the run continues."""
    words = ["train", "epoch.py", "--work-dir"]
    text = forker.run(*words, "always", FAULTS="json:*:full log:*:full")
    assert text.count("log.json cannot be written") == 1
    assert "Traceback" not in text
    assert same(end_of(Path("always"))["weights"], unbroken["epoch"][0]["weights"])
    text = forker.run(*words, "once", FAULTS="json:3:full json:4:full")
    assert text.count("log.json cannot be written") == 1
    assert logged(Path("once")) == unbroken["epoch"][0]["logged"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the superuser")
def test_a_folder_without_permission(forker: Forker) -> None:
    """If a folder becomes read-only, that is reported and the run continues."""
    with Path("parts.py").open("a") as file:
        file.write("\n\nimport atexit\natexit.register(os.chmod, 'run', 0o755)\n")
        file.write("Probe.before_run = lambda self, runner: os.chmod('run', 0o555)\n")
    text = forker.run("train", "epoch.py", "--work-dir", "run", code=1)
    assert "Permission denied" in text


def test_a_folder_with_the_name_of_a_checkpoint(forker: Forker, unbroken: dict[str, Any]) -> None:
    """The folder is renamed with its content, and the run continues."""
    Path("run/iter_14.pth/inside").mkdir(parents=True)
    forker.run("train", "epoch.py", "--work-dir", "run")
    assert Path("run/iter_14.pth").is_file()
    assert len(list(Path("run").glob("iter_14.*.pth/inside"))) == 1
    assert same(end_of(Path("run"))["weights"], unbroken["epoch"][0]["weights"])


def test_a_link_that_cannot_be_created_does_not_stop_the_run(forker: Forker) -> None:
    """If ``latest.pth`` cannot be a link, the checkpoints are still written."""
    with Path("parts.py").open("a") as file:
        file.write("\n\ndef forbidden(*_): raise PermissionError(1, 'Operation not permitted')\n")
        file.write("Path.symlink_to = forbidden\n")
    text = forker.run("train", "epoch.py", "--work-dir", "run")
    assert "latest.pth cannot be pointed at iter_24.pth" in text
    assert newest(Path("run"))["resume"]["position"]["iter"] == 24


def test_unfinished_files_of_a_killed_run_are_removed(forker: Forker) -> None:
    """Temporary files of a kill during a save are removed when the folder is used again."""
    words = ["train", "epoch.py", "--work-dir", "run"]
    forker.run(*words, code=-9, FAULTS="fsync:8:SIGKILL")
    assert list(Path("run").glob(".*.tmp"))
    forker.run(*words, "--resume", "auto")
    assert not list(Path("run").glob(".*.tmp"))


def test_a_copied_folder_leaves_the_original_alone(forker: Forker) -> None:
    """A run resumed in a copy of a work directory removes old checkpoints there, and none in the original."""
    words = ["train", "epoch.py", "--cfg-options", "+checkpoint_config.max_keep_ckpts=1"]
    forker.run(*words, "--work-dir", "run", code=-9, FAULTS="iter:17:SIGKILL")
    shutil.copytree("run", "copy", symlinks=True)
    before = sorted(path.name for path in Path("run").iterdir())
    forker.run(*words, "--work-dir", "copy", "--resume", "auto", SESSION="second")
    assert sorted(path.name for path in Path("run").iterdir()) == before
    assert {path.name for path in Path("copy").glob("iter_*.pth")} == {"iter_24.pth"}
    assert len(list(Path("copy").glob("best_*.pth"))) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("at", range(1, 12))
def test_the_first_error_is_reported(
    at: int, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If any write fails, Ctrl-C and a full disk are still reported as such, and no temporary file is left."""
    written = 0

    class Failing(io.BufferedRandom):
        def write(self, data: Any) -> int:
            nonlocal written
            written += 1
            if written == at:
                raise kind(28, "No space left on device")
            return super().write(data)

    def opened(path: Path, mode: str = "r", **kwargs: Any) -> Any:
        assert mode == "x+b"
        return Failing(io.FileIO(path, mode.replace("b", "")))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        expected = CheckpointError if kind is OSError else kind
        with pytest.raises(expected, match="No space left on device"):
            write_checkpoint({"w": torch.ones(3), "v": torch.ones(3)}, "a.pth")
    assert not list(Path().glob("*a.pth*"))
