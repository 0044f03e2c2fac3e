"""Checkpoints in shards: folders that are read, verified, kept and converted like files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from processes import in_processes

from cfgtrain.checkpoint.read import read_file, read_lazily
from cfgtrain.checkpoint.sharded import is_sharded


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
