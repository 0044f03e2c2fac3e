from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.checkpoint import read_checkpoint, save_checkpoint
from cfgtrain.checkpoint.out_dir import Mirror, OutDir
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
    """A mirror with two checkpoints and the best of a run."""
    found = OutDir("memory://bucket").mirror("exp")
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
    """Checkpoints are written to a folder on a disk, whatever ``out_dir`` is."""
    assert OutDir(out_dir).folder("work/exp") == Path(folder)
    assert (OutDir(out_dir).mirror("work/exp") is None) == (out_dir != "memory://bucket")


def test_newest_and_best_are_fetched(mirror: Mirror, tmp_path: Path) -> None:
    """An empty folder gets the newest checkpoint and the best one, and no more; one that has them gets nothing."""
    folder = tmp_path / "new"
    folder.mkdir()
    mirror.fetch(folder, LOGGER)
    assert sorted(path.name for path in folder.iterdir()) == ["best_acc_epoch_1.pth", "epoch_2.pth"]
    assert value(folder / "epoch_2.pth") == 2
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    mirror.fetch(folder, LOGGER)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_damaged_files_are_replaced_and_passed_over(
    mirror: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged file here is fetched anew; one that is damaged there makes the one before it the newest."""
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
    assert "epoch_2.pth is passed over" in caplog.text


def test_other_runs_are_left_alone(mirror: Mirror) -> None:
    """A later run takes no copy of an earlier one away, under whatever name, here or there."""
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


def test_nothing_there_is_fine_and_what_cannot_be_read_is_not(tmp_path: Path) -> None:
    """A place without an index holds nothing; an index that is none is an error."""
    mirror = OutDir("memory://bucket").mirror("exp")
    assert mirror is not None
    mirror.fetch(tmp_path, LOGGER)
    FileClient(prefix="memory").put_text("{", f"{PLACE}/checkpoints.json")
    with pytest.raises(CheckpointError, match="memory://bucket/exp cannot be looked into"):
        mirror.fetch(tmp_path, LOGGER)


def test_index_names_no_file_outside(mirror: Mirror, tmp_path: Path) -> None:
    """A name with a path in it is none of a checkpoint."""
    entry: dict[str, Any] = {"name": "../evil.pth", "run": "first", "best": False}
    store = FileClient(prefix="memory")
    store.put_text(json.dumps([entry]), f"{PLACE}/checkpoints.json")
    mirror.fetch(tmp_path / "exp", LOGGER)
    assert not (tmp_path / "evil.pth").exists()
    assert torch.load(tmp_path / "exp" / "epoch_1.pth")
