"""Checkpoints in shards: folders that are read, verified, kept and converted like files."""

from __future__ import annotations

import logging
import os
import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from processes import in_processes

from cfgtrain.checkpoint import save, sharded
from cfgtrain.checkpoint.compare import compare_checkpoints
from cfgtrain.checkpoint.describe import State, describe, examine
from cfgtrain.checkpoint.find import find_checkpoint, find_resume
from cfgtrain.checkpoint.load import load_checkpoint
from cfgtrain.checkpoint.ownership import rename_foreign
from cfgtrain.checkpoint.publish import average_checkpoints, convert_checkpoint
from cfgtrain.checkpoint.read import read_file, read_lazily
from cfgtrain.checkpoint.sharded import is_sharded, read_full, write_sharded
from cfgtrain.checkpoint.store import CheckpointStore
from cfgtrain.errors import ArgumentTypeError, CheckpointError
from cfgtrain.fileio import FileClient
from cfgtrain.filesystem.atomic import remove_path, remove_unfinished, replace_symlink
from cfgtrain_cli.checkpoint.commands import app


def test_two_processes_write_shards_that_any_number_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes write a folder; both read it back, and one process reads it as it reads a file."""
    monkeypatch.setenv("CFGTRAIN_TEST_FOLDER", str(tmp_path))
    results = in_processes("write_in_shards", 2, tmp_path)
    for written, read in results:
        assert len(written) == 4
        torch.testing.assert_close(read, written, rtol=0, atol=0)
    names = {path.name for path in (tmp_path / "epoch_3").iterdir()}
    assert names == {"cfgtrain.pth", ".metadata", "__0_0.distcp", "__1_0.distcp"}
    assert is_sharded(tmp_path / "epoch_3")
    assert not list(tmp_path.glob(".*"))

    content = read_file(tmp_path / "epoch_3")
    torch.testing.assert_close(list(content["state_dict"].values()), results[0][0], rtol=0, atol=0)
    lazily = read_lazily(tmp_path / "epoch_3")
    assert list(lazily) == list(content) == ["meta", "state_dict", "optimizer", "resume"]
    assert all(each.is_meta for each in lazily["state_dict"].values())
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 2))
    model.load_state_dict(content["state_dict"])
    groups = [{"params": list(model[1].parameters())}, {"params": model[0].parameters()}]
    optimizer = torch.optim.AdamW(groups)
    optimizer.load_state_dict(content["optimizer"])
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.1]
    for parameter in model.parameters():
        assert optimizer.state[parameter]["exp_avg"].shape == parameter.shape
        assert optimizer.state[parameter]["step"] == 2


def test_a_process_that_cannot_write_ends_the_save_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one process has no space, all raise an error that names it, and the older checkpoint remains."""
    monkeypatch.setenv("CFGTRAIN_TEST_FOLDER", str(tmp_path))
    results = in_processes("fail_to_write_shards", 2, tmp_path)
    assert results[0] == results[1]
    full, no_folder = results[0]
    assert "rank 1: " in full and "File too large" in full
    assert "rank 0: " in no_folder and "Not a directory" in no_folder
    assert not list(tmp_path.glob(".*"))
    read_file(tmp_path / "epoch_3")


def write(path: Path, value: float = 1.0, iteration: int = 10, run: str = "r1", extra: object = None) -> Path:
    """Write a checkpoint in shards in this process, and return its path."""
    weights = {"fc.weight": torch.full((2, 3), value), "fc.bias": torch.zeros(2)}
    group = {"lr": 0.1, "params": ["fc.weight", "fc.bias"]}
    state = {"fc.weight": {"momentum_buffer": torch.ones(2, 3)}}
    facts = {
        "meta": {"run_id": run, "epoch": iteration // 10, "iter": iteration, "extra": extra},
        "resume": {"position": {"epoch": iteration // 10, "iter": iteration}},
    }
    write_sharded(
        path, {"state_dict": weights, "optimizer": {"state": state, "param_groups": [group]}}, facts
    )
    return path


def net() -> torch.nn.Module:
    """The model of those weights."""
    model = torch.nn.Module()
    model.fc = torch.nn.Linear(3, 2)
    return model


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("__0_0.distcp", Path.unlink, "file __0_0.distcp is missing"),
        ("__0_0.distcp", cut, "bytes instead of .* in the file __0_0.distcp"),
        ("__0_0.distcp", change, "its content has changed in the file __0_0.distcp"),
        (".metadata", change, "its content has changed in the file .metadata"),
        ("__7_0.distcp", Path.touch, "files of another checkpoint: '__7_0.distcp'"),
        ("cfgtrain.pth", Path.unlink, "no cfgtrain.pth"),
        ("cfgtrain.pth", change, "cfgtrain.pth is damaged"),
    ],
)
def test_damage_is_found(tmp_path: Path, name: str, damage: Callable[[Path], None], message: str) -> None:
    """Reading, verifying and resuming name the damaged file of a folder, and the run resumes from an older one."""
    older, newer = write(tmp_path / "epoch_1"), write(tmp_path / "epoch_2", iteration=20)
    damage(newer / name)
    with pytest.raises(CheckpointError, match=message):
        read_file(newer)
    state, problem, *_ = examine(newer)
    assert state is State.DAMAGED
    assert re.search(message, problem) or name in problem
    found = find_checkpoint(tmp_path)
    assert found.path == older
    assert [skipped.path for skipped in found.skipped] == [newer]
    assert name in found.skipped[0].reason or re.search(message, found.skipped[0].reason)


def test_newest_of_files_and_folders_is_found(tmp_path: Path) -> None:
    """Files and folders are compared by their progress; the link to the newest one is read like it."""
    write(tmp_path / "epoch_1")
    write(tmp_path / "epoch_3", 3.0, iteration=30)
    convert_checkpoint(str(tmp_path / "epoch_1"), tmp_path / "epoch_2.pth")
    replace_symlink(tmp_path / "latest.pth", "epoch_3")
    assert find_checkpoint(tmp_path).path == tmp_path / "epoch_3"
    resumed = find_resume(str(tmp_path / "latest.pth"), [tmp_path], logging.getLogger())
    assert resumed is not None
    assert resumed.run_id == "r1"
    model = net()
    load_checkpoint(model, tmp_path / "latest.pth", strict=True)
    assert model.fc.weight.unique().tolist() == [3.0]
    remove_path(tmp_path / "epoch_3")
    assert find_checkpoint(tmp_path).path in (tmp_path / "epoch_1", tmp_path / "epoch_2.pth")
    with pytest.raises(CheckpointError, match="Did you mean 'epoch_1'"):
        load_checkpoint(model, tmp_path / "epoch_0")


def test_a_folder_becomes_a_file_that_resumes(tmp_path: Path) -> None:
    """``convert`` writes everything to a file of torch.save, with numbered parameters; safetensors has the weights."""
    source = write(tmp_path / "epoch_1", 2.0)
    convert_checkpoint(str(source), tmp_path / "epoch_1.pth")
    content = read_file(tmp_path / "epoch_1.pth")
    assert content["resume"] == {"position": {"epoch": 1, "iter": 10}}
    model = net()
    model.load_state_dict(content["state_dict"])
    optimizer = torch.optim.SGD(model.parameters(), 1.0, momentum=0.9)
    optimizer.load_state_dict(content["optimizer"])
    assert optimizer.state[model.fc.weight]["momentum_buffer"].sum() == 6
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert compare_checkpoints(str(source), str(tmp_path / "epoch_1.pth")).tensors == []
    pytest.importorskip("safetensors")
    convert_checkpoint(str(source), tmp_path / "a.safetensors")
    assert read_file(tmp_path / "a.safetensors")["state_dict"]["fc.weight"].unique().tolist() == [2.0]
    average_checkpoints([str(source), str(write(tmp_path / "epoch_2", 4.0))], tmp_path / "mean.pth")
    assert read_file(tmp_path / "mean.pth")["state_dict"]["fc.weight"].unique().tolist() == [3.0]


def test_commands_take_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands list, describe and verify folders, and say which one is latest."""
    write(tmp_path / "epoch_1")
    replace_symlink(tmp_path / "latest.pth", "epoch_1")
    found = describe(tmp_path / "epoch_1")
    assert (found.format, found.state, found.iteration, found.resumes) == (
        "shards",
        State.SOUND,
        10,
        "exactly",
    )
    assert found.parts[0].parameters == 8
    assert found.size == sum(path.stat().st_size for path in (tmp_path / "epoch_1").iterdir())
    for arguments in (
        ["list", str(tmp_path)],
        ["verify", str(tmp_path)],
        ["verify", str(tmp_path / "epoch_1")],
    ):
        with pytest.raises(SystemExit) as ended:
            app(arguments)
        assert ended.value.code == 0
        assert "epoch_1" in capsys.readouterr().out


def test_old_folders_are_removed(tmp_path: Path) -> None:
    """Of the folders of a run the newest ones are kept; one of another run is renamed, not overwritten."""
    write(tmp_path / "epoch_1", run="other")
    rename_foreign(tmp_path / "epoch_1", "r1")
    store = CheckpointStore()
    store.open(tmp_path)
    for number in (1, 2, 3):
        write(store.add(f"epoch_{number}", "r1"), iteration=10 * number)
        store.commit(2, logging.getLogger())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_1.other", "epoch_2", "epoch_3"]
    write(tmp_path / "epoch_3", 5.0, iteration=30)
    assert read_file(tmp_path / "epoch_3")["state_dict"]["fc.weight"].unique().tolist() == [5.0]
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_killed_save_leaves_is_removed(tmp_path: Path) -> None:
    """An unfinished folder is ignored and removed, and a folder that was about to be replaced is restored."""
    write(tmp_path / "epoch_1").rename(tmp_path / ".epoch_1.0123abcd.tmp")
    write(tmp_path / "epoch_2").rename(tmp_path / ".epoch_2.0123abcd.old.tmp")
    assert find_checkpoint(tmp_path) == (None, None, [])
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_2"]
    read_file(tmp_path / "epoch_2")


def test_folders_are_copied_to_a_mirror(tmp_path: Path) -> None:
    """A mirror has the files of a folder, which is downloaded and verified as a whole, and removed as a whole."""
    mirror = CheckpointStore("memory://shards").mirror_for("exp")
    assert mirror is not None
    logger = logging.getLogger()
    for number in (1, 2):
        assert mirror.copy(write(tmp_path / f"epoch_{number}", number, 10 * number), "r1", logger) is None
    mirror.remove("epoch_1", "r1", logger)
    client = FileClient(prefix="memory")
    names = ("__0_0.distcp", "cfgtrain.pth")  # hidden files are not listed
    stored = sorted(client.list_dir_or_file("memory://shards/exp", list_dir=False, recursive=True))
    assert stored == ["checkpoints.json", *(f"epoch_2/{name}" for name in names)]
    new = tmp_path / "new"
    new.mkdir()
    mirror.fetch(new, logger)
    mirror.fetch(new, logger)
    assert [path.name for path in new.iterdir()] == ["epoch_2"]
    assert read_file(new / "epoch_2")["meta"]["iter"] == 20
    client.put(b"changed", "memory://shards/exp/epoch_2/__0_0.distcp")
    remove_path(new / "epoch_2")
    mirror.fetch(new, logger)
    assert list(new.iterdir()) == []


class Intruder:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("intruded",)


def test_code_in_a_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index of torch, a pickle, is read without running code in it."""
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "epoch_1")
    (folder / ".metadata").write_bytes(pickle.dumps(Intruder()))
    with pytest.raises(CheckpointError, match="could run code"):
        read_full(folder)
    assert not Path("intruded").exists()


def test_what_is_no_plain_data_is_refused(tmp_path: Path) -> None:
    """A checkpoint that could not be read again is not written, and nothing is left of it."""
    write(tmp_path / "epoch_1")
    with pytest.raises(ArgumentTypeError, match="extra"):
        write(tmp_path / "epoch_2", extra=net())
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_1"]


def test_a_full_disk_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder and the reason, and no temporary path."""

    def full(file: object) -> None:
        raise OSError(28, "No space left on device", ".epoch_1.tmp")

    monkeypatch.setattr(save, "append_digest", full)
    with pytest.raises(CheckpointError) as error:
        write(tmp_path / "epoch_1")
    expected = f"The checkpoint {tmp_path / 'epoch_1'} cannot be written: [Errno 28] No space left on device."
    assert str(error.value) == expected
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_seen_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another machine has written may have an old size for a while; one that stays so is an error."""
    (tmp_path / "new").mkdir()
    late = tmp_path / "new" / "__1_0.distcp"
    late.write_bytes(b"")
    timer = threading.Timer(0.3, late.write_bytes, [b"12345"])
    timer.start()
    sharded._finish(tmp_path / "new", tmp_path / "epoch_1", {}, {}, {late.name: (5, "")})
    timer.join()
    assert is_sharded(tmp_path / "epoch_1")

    monkeypatch.setattr(sharded, "VISIBLE_SECONDS", 0.2)
    (tmp_path / "new").mkdir()
    with pytest.raises(CheckpointError, match=r"not see the files of other processes: '__1_0\.distcp'"):
        sharded._finish(tmp_path / "new", tmp_path / "epoch_2", {}, {}, {late.name: (5, "")})


def test_an_interrupted_process_leaves_the_files_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C in one of several processes, the others still write; alone, what is incomplete is removed."""

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sharded, "_write_shards", interrupted)
    for world_size, left in ((1, 0), (2, 1)):
        monkeypatch.setattr(sharded, "get_dist_info", lambda size=world_size: (0, size))
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "epoch_1")
        assert len(list(tmp_path.iterdir())) == left
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []
