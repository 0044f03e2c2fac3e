"""Checkpoints that are uploaded to an object store, and resumed from there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tiny import same

from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.fileio import FileClient
from cfgtrain.runner import HOOKS, Hook

SETTINGS = [
    "runner.max_epochs=2",
    "checkpoint_config={interval: 5, by_epoch: false, max_keep_ckpts: 2, out_dir: 'memory://bucket'}",
]


@pytest.mark.parametrize("best", ["memory://bucket", "memory://other", None])
def test_resume_after_the_disk_is_lost(best: str | None, configs: Path, run: Callable[..., Any]) -> None:
    """With an empty work directory, ``--resume auto`` downloads what it needs and ends like an uninterrupted run."""
    lost: dict[str, bytes] = {}  # the content of the store when the machine is lost

    @HOOKS.register_module()
    class Snapshot(Hook):
        def before_train_iter(self, runner: Any) -> None:
            if runner.iter == 32:
                lost.update({path: file.getvalue() for path, file in MemoryFileSystem.store.items()})

    words = [
        configs / "digits" / "lenet5.py",
        "--cfg-options",
        *SETTINGS,
        f"+evaluation.out_dir={best}",
    ]
    whole = run("train", *words, "+custom_hooks=[{type: Snapshot}]")
    assert whole.code == 0, whole.err
    end = read_checkpoint("work_dirs/lenet5/latest.pth")
    shutil.rmtree("work_dirs")
    MemoryFileSystem.store.clear()
    for path, content in lost.items():
        FileClient(prefix="memory").put(content, f"memory:/{path}")
    resumed = run("train", *words, "--resume", "auto")
    assert resumed.code == 0, resumed.err
    again = read_checkpoint("work_dirs/lenet5/latest.pth")
    assert same(again["state_dict"], end["state_dict"])
    assert same(again["optimizer"], end["optimizer"])
    assert resumed.out.splitlines()[0] == whole.out.splitlines()[0]  # the test scores of the best checkpoint
    log = "".join(path.read_text() for path in Path("work_dirs/lenet5").glob("*.log"))
    assert "Downloaded memory://bucket/lenet5/iter_30.pth" in log
    assert ("Downloaded memory://other/lenet5/best_accuracy_epoch_1.pth" in log) == (best == "memory://other")
    stored = {path for path in MemoryFileSystem.store if path.endswith(".pth")}
    copied = {f"/{best.split('/')[2]}/lenet5/best_accuracy_epoch_2.pth"} if best else set()
    assert stored == {"/bucket/lenet5/iter_30.pth", "/bucket/lenet5/iter_34.pth"} | copied


def test_unknown_backend_is_reported_before_the_run(configs: Path, run: Callable[..., Any]) -> None:
    """An ``out_dir`` of an unknown scheme is an error that names the config key."""
    for key in ("checkpoint_config", "evaluation"):
        done = run("train", configs / "digits" / "lenet5.py", "--cfg-options", f"+{key}.out_dir=s4://bucket")
        assert done.code == 2
        assert "No file backend reads s4://" in done.err
        assert f"at {key}" in done.err
    assert not Path("work_dirs").exists()


@pytest.mark.parametrize("key", ["checkpoint_config", "evaluation"])
def test_a_folder_that_cannot_be_written_is_named_with_its_key(
    key: str, configs: Path, run: Callable[..., Any]
) -> None:
    """The error about a folder in ``out_dir`` names that key, and not the option for the work directory."""
    Path("file").touch()
    done = run("train", configs / "digits" / "lenet5.py", "--cfg-options", f"+{key}.out_dir=file/runs")
    assert done.code == 1
    assert (
        f"The folder {Path('file/runs/lenet5').absolute()} cannot be written to: Not a directory. "
        in done.err
    )
    assert f"Choose another with out_dir.\n  at {key}.out_dir (--cfg-options" in done.err
    assert "--work-dir" not in done.err
