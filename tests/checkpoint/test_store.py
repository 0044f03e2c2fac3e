from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.checkpoint import read_checkpoint, save_checkpoint
from cfgtrain.checkpoint.mirror import Mirror
from cfgtrain.checkpoint.store import CheckpointStore
from cfgtrain.errors import CheckpointError
from cfgtrain.fileio import FileClient

LOGGER = logging.getLogger("cfgtrain.tests")
PLACE = "memory://bucket/exp"


def write(name: str, run: str, value: float = 0.0) -> Path:
    """Write a checkpoint of a run, and return its path."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, value)
    path = Path("exp", name)
    save_checkpoint(model, path, meta={"run_id": run})
    return path


def value(path: str | Path) -> float:
    return float(read_checkpoint(path)["state_dict"]["weight"])


@pytest.fixture
def mirror() -> Mirror:
    """A mirror with two checkpoints and the best one of a run."""
    found = CheckpointStore("memory://bucket").mirror_for("exp")
    assert found is not None
    for at, name in enumerate(["epoch_1.pth", "best_acc_epoch_1.pth", "epoch_2.pth"]):
        assert found.copy(write(name, "first", at), "first", LOGGER, best="best" in name) is None
    return found


def listed() -> list[str]:
    return list(FileClient(prefix="memory").list_dir_or_file(PLACE, list_dir=False))


@pytest.mark.parametrize(
    ("out_dir", "folder"),
    [
        (None, "work/exp"),
        ("other", "other/exp"),
        ("file:///other", "/other/exp"),
        ("~/other", str(Path.home() / "other/exp")),
        ("memory://bucket", "work/exp"),
    ],
)
def test_folder_on_disk(out_dir: str | None, folder: str) -> None:
    """Checkpoints are written to a folder on a disk, and copied if ``out_dir`` is not on a disk."""
    assert CheckpointStore(out_dir).folder_for("work/exp") == Path(folder)
    assert (CheckpointStore(out_dir).mirror_for("work/exp") is None) == (out_dir != "memory://bucket")


def test_newest_and_best_are_downloaded(mirror: Mirror, tmp_path: Path) -> None:
    """Only the newest checkpoint and the best one are downloaded, and only if they are not in the folder."""
    folder = tmp_path / "new"
    folder.mkdir()
    mirror.fetch(folder, LOGGER)
    assert sorted(path.name for path in folder.iterdir()) == ["best_acc_epoch_1.pth", "epoch_2.pth"]
    assert value(folder / "epoch_2.pth") == 2
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    mirror.fetch(folder, LOGGER)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_damaged_files_are_replaced_or_skipped(
    mirror: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged local file is downloaded again; instead of a damaged copy the previous one is downloaded."""
    path = tmp_path / "exp" / "epoch_2.pth"
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    mirror.fetch(tmp_path / "exp", LOGGER)
    assert path.read_bytes() == whole
    FileClient(prefix="memory").put(whole[:-300], f"{PLACE}/epoch_2.pth")
    for file in (tmp_path / "exp").iterdir():
        file.unlink()
    mirror.fetch(tmp_path / "exp", LOGGER)
    assert sorted(file.name for file in (tmp_path / "exp").iterdir()) == [
        "best_acc_epoch_1.pth",
        "epoch_1.pth",
    ]
    assert "Skipping memory://bucket/exp/epoch_2.pth: " in caplog.text


def test_copies_of_other_runs_are_kept(mirror: Mirror) -> None:
    """A run neither overwrites nor removes files of another run, in the mirror or locally."""
    assert mirror.copy(write("epoch_2.pth", "second", 7), "second", LOGGER) is None
    assert listed() == [
        "best_acc_epoch_1.pth",
        "checkpoints.json",
        "epoch_1.pth",
        "epoch_2.first.pth",
        "epoch_2.pth",
    ]
    mirror.remove("epoch_1.pth", "second", LOGGER)
    assert "epoch_1.pth" in listed()
    mirror.remove("epoch_1.pth", "first", LOGGER)
    assert "epoch_1.pth" not in listed()
    write("epoch_2.pth", "third", 9)
    mirror.fetch(Path("exp"), LOGGER)
    assert (value("exp/epoch_2.pth"), value("exp/epoch_2.third.pth")) == (7, 9)


def test_missing_index_is_empty_and_invalid_index_is_an_error(tmp_path: Path) -> None:
    """A mirror without an index is empty; an index that cannot be parsed is an error."""
    mirror = CheckpointStore("memory://bucket").mirror_for("exp")
    assert mirror is not None
    mirror.fetch(tmp_path, LOGGER)
    FileClient(prefix="memory").put_text("{", f"{PLACE}/checkpoints.json")
    with pytest.raises(CheckpointError, match="checkpoints in memory://bucket/exp cannot be read"):
        mirror.fetch(tmp_path, LOGGER)


def test_index_cannot_name_files_outside(mirror: Mirror, tmp_path: Path) -> None:
    """An entry whose name contains a folder is ignored."""
    entry: dict[str, Any] = {"name": "../evil.pth", "run": "first", "best": False}
    store = FileClient(prefix="memory")
    store.put_text(json.dumps([entry]), f"{PLACE}/checkpoints.json")
    mirror.fetch(tmp_path / "exp", LOGGER)
    assert not (tmp_path / "evil.pth").exists()
    assert torch.load(tmp_path / "exp" / "epoch_1.pth")
