"""``cfgtrain checkpoint``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TinyNet
from torch import nn

from cfgtrain.checkpoint import save_checkpoint


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("pwned"),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two checkpoints of a run, the best one and a link."""
    folder = tmp_path / "work"
    for epoch, name in ((1, "epoch_1"), (2, "epoch_2"), (2, "best_accuracy_epoch_2")):
        model = TinyNet()
        optimizer = torch.optim.SGD(model.parameters(), 0.1 / 3, momentum=0.9)
        messages = {"best_score": 0.5 * epoch, "best_ckpt": f"/w/best_accuracy_epoch_{epoch}.pth"}
        meta = {"epoch": epoch, "iter": epoch * 10, "seed": 3, "exp_name": "tiny", "hook_msgs": messages}
        meta["config"] = "a = 1\nb = 2\n"
        save_checkpoint(model, folder / f"{name}.pth", optimizer, meta, resume={"position": {}})
    (folder / "latest.pth").symlink_to("epoch_2.pth")
    return folder


def damage(file: Path) -> None:
    """Flip a bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


INFO = """\
work/epoch_2.pth
  state        sound: the content matches the digest
  file         {size}, zip file of torch.save
  written by   cfgtrain {version}, {time}
  progress     epoch 2, iteration 20
  best score   accuracy 1.0000, in best_accuracy_epoch_2.pth
  experiment   tiny, seed 3
  config       2 lines; --config prints it
  optimizer    1 group, lr 0.03333, momentum 0.9, weight_decay 0
  resumes      exactly

  module  tensors  parameters  buffers   size  dtype
  norm          5          72       73  584 B  float32 int64
  fc            2         111        -  444 B  float32
  total         7         183       73  1.00 KiB  float32 int64
"""


def test_info_shows_the_run_and_the_weights(folder: Path, run: Callable[..., Any]) -> None:
    """Epoch, iteration, score, config and parameters by module are shown."""
    ran = run("checkpoint", "info", "work/epoch_2.pth")
    assert ran.code == 0
    lines = ran.out.splitlines()
    expected = INFO.splitlines()
    assert len(lines) == len(expected)
    for line, wanted in zip(lines, expected, strict=True):
        before, mark, _ = wanted.partition("{")
        words = before.split()
        assert line.split()[: len(words)] == words, line
        assert mark or line.split() == wanted.split()
        assert len(line) <= 80


def test_info_prints_the_config_alone(folder: Path, run: Callable[..., Any]) -> None:
    """``--config`` prints the text of the config; a file without one is an error."""
    assert run("checkpoint", "info", folder / "epoch_1.pth", "--config").out == "a = 1\nb = 2\n"
    torch.save(TinyNet().state_dict(), "plain.pth")
    ran = run("checkpoint", "info", "plain.pth", "--config")
    assert (ran.code, ran.out) == (1, "")
    assert "plain.pth has no config" in ran.err


def test_info_shows_numbers_of_numpy(run: Callable[..., Any]) -> None:
    """Projects for MMCV save them in ``meta``, and resuming reads them too."""
    numbers = {"epoch": np.int64(2), "iter": np.int32(20), "seed": np.int64(7)}
    torch.save(
        {"state_dict": TinyNet().state_dict(), "meta": {**numbers, "mmcv_version": "1.7.2"}}, "old.pth"
    )
    found = json.loads(run("checkpoint", "info", "old.pth", "--json").out)
    assert (found["epoch"], found["iteration"], found["seed"]) == (2, 20, 7)


def test_info_as_json(folder: Path, run: Callable[..., Any]) -> None:
    """``--json`` has everything as plain types."""
    found = json.loads(run("checkpoint", "info", folder / "epoch_2.pth", "--json").out)
    assert (found["state"], found["epoch"], found["best_score"]) == ("sound", 2, 1.0)
    assert [part["name"] for part in found["parts"]] == ["norm", "fc"]


@pytest.mark.parametrize(
    ("depth", "names"), [(0, ["(the model itself)"]), (1, ["a"]), (2, ["a.0", "a.1"]), (None, ["a.0", "a.1"])]
)
def test_depth_selects_the_modules(depth: int | None, names: list[str], run: Callable[..., Any]) -> None:
    """``--depth`` says how many levels are distinguished, by default as few as there are several of."""
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 3))})
    torch.save(model.state_dict(), "a.pth")
    words = [] if depth is None else ["--depth", depth]
    found = json.loads(run("checkpoint", "info", "a.pth", "--json", *words).out)
    assert [part["name"] for part in found["parts"]] == names


def test_list_has_a_row_per_checkpoint(folder: Path, run: Callable[..., Any]) -> None:
    """In the order of the run, with best score, marks and state; links are no rows."""
    damage(folder / "epoch_1.pth")
    ran = run("checkpoint", "list", "work")
    assert ran.code == 1
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[0] == ["file", "epoch", "iter", "score", "size", "saved", "state"]
    assert [(row[0], *row[1:4]) for row in rows[1:4]] == [
        ("epoch_1.pth", "1", "10", "0.5000"),
        ("best_accuracy_epoch_2.pth", "2", "20", "1.0000"),
        ("epoch_2.pth", "2", "20", "1.0000"),
    ]
    assert rows[1][-1] == "damaged"
    assert rows[2][-2:] == ["sound,", "best"]
    assert rows[3][-2:] == ["sound,", "latest"]
    assert ran.out.splitlines()[-1] == "epoch_1.pth: its content is not what was written"
    found = json.loads(run("checkpoint", "list", "work", "--json").out)
    assert [each["marks"] for each in found] == [[], ["best"], ["latest"]]


def test_list_needs_a_folder_with_checkpoints(run: Callable[..., Any]) -> None:
    """A file, a missing folder and an empty one are errors."""
    Path("empty").mkdir()
    Path("file.pth").write_bytes(b"")
    assert "WORK_DIR is a folder; nowhere is not there" in run("checkpoint", "list", "nowhere").err
    assert run("checkpoint", "list", "file.pth").code == 2
    ran = run("checkpoint", "list", "empty")
    assert (ran.code, ran.out) == (1, "")
    assert "There is no checkpoint in empty." in ran.err


def files_of_all_kinds(folder: Path) -> dict[str, str]:
    """Write files of many kinds, and return what ``verify`` says of each."""
    whole = (folder / "epoch_2.pth").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    Path("cut.pth").write_bytes(whole[:-500])
    Path("no_digest.pth").write_bytes(whole[:-82])
    Path("flipped.pth").write_bytes(flipped)
    Path("text.pth").write_text("hello")
    Path("empty.pth").write_text("")
    weights = TinyNet().state_dict()
    torch.save(torch.load(folder / "epoch_2.pth"), "edited.pth")
    torch.save(weights, "plain.pth")
    torch.save({"model": weights}, "old.pth", _use_new_zipfile_serialization=False)
    Path("old_cut.pth").write_bytes(Path("old.pth").read_bytes()[:-300])
    torch.save(nn.Linear(1, 2), "whole.pth")
    torch.save({"state_dict": weights, "meta": {"evil": Evil()}}, "evil.pth")
    torch.save({"meta": {"evil": Evil()}}, "evil_old.pth", _use_new_zipfile_serialization=False)
    torch.save([1, 2], "list.pth")
    return {
        "cut.pth": "damaged: its end is missing",
        "no_digest.pth": "damaged: its content is not what was written",
        "flipped.pth": "damaged: its content is not what was written",
        "text.pth": "damaged: it does not start like a file of torch.save",
        "empty.pth": "damaged: it is empty",
        "edited.pth": "sound (without a digest of cfgtrain)",
        "plain.pth": "sound (without a digest of cfgtrain)",
        "old.pth": "sound (without a digest of cfgtrain)",
        "old_cut.pth": "damaged: ",
        "whole.pth": "not plain data: contains more than weights and plain data, which could run code when loaded, "
        "and is refused: torch.nn.modules.linear.Linear. It seems to be a whole model",
        "evil.pth": "not plain data: ",
        "evil_old.pth": "not plain data: ",
        "list.pth": "damaged: is not a checkpoint: it contains a list",
    }


def test_verify_knows_files_of_all_kinds(folder: Path, run: Callable[..., Any]) -> None:
    """Good, cut, flipped, foreign, edited and hostile files are told apart, and no code is run."""
    for name, expected in files_of_all_kinds(folder).items():
        ran = run("checkpoint", "verify", name)
        assert " ".join(ran.out.split()).startswith(f"{name}: {expected}"), ran.out
        assert ran.code == (0 if expected.startswith("sound") else 1)
        assert max(map(len, ran.out.splitlines())) <= 80
        shown = run("checkpoint", "info", name)
        assert shown.code == ran.code
        assert "Traceback" not in shown.err
        assert max(map(len, shown.out.splitlines())) <= 80
    assert not Path("pwned").exists()


def test_verify_takes_folders(folder: Path, run: Callable[..., Any]) -> None:
    """All checkpoints of a folder are verified; one that is damaged sets the exit code."""
    ran = run("checkpoint", "verify", "work")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "work/best_accuracy_epoch_2.pth: sound",
        "work/epoch_1.pth: sound",
        "work/epoch_2.pth: sound",
    ]
    damage(folder / "epoch_1.pth")
    ran = run("checkpoint", "verify", "work", "--json")
    assert ran.code == 1
    assert [each["state"] for each in json.loads(ran.out)] == ["sound", "damaged", "sound"]
    assert run("checkpoint", "verify", "nowhere.pth").code == 1


def test_values_of_a_file_do_not_control_the_terminal(run: Callable[..., Any]) -> None:
    """Control characters, wrong types and huge values in a file are shown harmlessly."""
    meta = {
        "epoch": "x" * 1000, "iter": [1], "config": 5, "hook_msgs": [1], "CLASSES": {"a"}, "exp_name": "\x1b[31m" * 99,
        "time": "\x1b[2J", "mmcv_version": 3, "seed": 10**100,
    }  # fmt: skip
    torch.save({"state_dict": {"\x1b[2J.w": torch.ones(1)}, "meta": meta, "optimizer": 3}, "odd.pth")
    for words in (["info", "odd.pth"], ["list", "."], ["verify", "odd.pth"], ["diff", "odd.pth", "odd.pth"]):
        ran = run("checkpoint", *words)
        assert ran.code == 0, ran.err
        assert "\x1b" not in ran.out + ran.err


def test_strip_average_and_convert_say_what_they_wrote(folder: Path, run: Callable[..., Any]) -> None:
    """Each command writes one file and says how large it is and what was left out."""
    ran = run("checkpoint", "strip", "work/epoch_2.pth", "-o", "small.pth")
    assert ran.code == 0
    assert ran.out.startswith("Wrote small.pth: 7 tensors, ")
    assert "Left out: optimizer, resume, meta.hook_msgs." in ran.out
    ran = run("checkpoint", "average", "work/epoch_1.pth", "work/epoch_2.pth", "-o", "mean.pth")
    assert ran.out.startswith("Wrote mean.pth: 7 tensors, ")
    ran = run("checkpoint", "convert", "mean.pth", "-o", "again.pth")
    assert ran.out.startswith("Wrote again.pth: 7 tensors, ")
    assert run("checkpoint", "diff", "mean.pth", "again.pth").code == 0
    ran = run("checkpoint", "strip", "mean.pth", "-o", "bn.pth", "--rename", "norm.=bn.", "--hash")
    assert ran.code == 0
    (written,) = Path().glob("bn-*.pth")
    assert "bn.weight" in torch.load(written)["state_dict"]


def test_wrong_use_is_said(folder: Path, run: Callable[..., Any]) -> None:
    """Wrong arguments and existing outputs have the exit code 2, other failures 1, each with one message."""
    uses = [
        (["average", "work/epoch_1.pth", "-o", "m.pth"], 2, "Two or more"),
        (["strip", "work/epoch_1.pth", "-o", "work/epoch_2.pth"], 2, "exists already. Use --overwrite"),
        (["strip", "work/epoch_1.pth", "-o", "work/epoch_1.pth", "--overwrite"], 2, "is an input"),
        (["strip", "work/epoch_1.pth", "-o", "m.pth", "--rename", "a"], 2, "--rename is OLD=NEW"),
        (["strip", "work/epoch_1.pth", "-o", "m.pth", "--ema"], 1, "has no averages"),
        (["convert", "work/epoch_1.pth", "-o", "m.onnx"], 2, "must end in"),
        (["info", "work/epoch_9.pth"], 1, "Did you mean"),
        (["info", "htps://host/a.pth"], 1, "reads htps://"),
        (["verify"], 2, "Usage"),
    ]
    for words, code, text in uses:
        ran = run("checkpoint", *words)
        assert ran.code == code, (words, ran)
        assert text in " ".join((ran.err + ran.out).split()), words
        assert "Traceback" not in ran.err
    assert sorted(path.name for path in Path().glob("*")) == ["work"]


def test_diff_shows_the_largest_changes_first(folder: Path, run: Callable[..., Any]) -> None:
    """Tensors are sorted by relative difference; other shapes and the meta are listed after them."""
    checkpoint = torch.load(folder / "epoch_2.pth")
    weights = checkpoint["state_dict"]
    weights["norm.weight"] = weights["norm.weight"] * 1.01
    weights["norm.running_var"] = weights["norm.running_var"] * 2
    weights["fc.bias"] = torch.ones(5)
    checkpoint["meta"]["config"] += "c = 3\n"
    torch.save(checkpoint, "b.pth")
    ran = run("checkpoint", "diff", "work/epoch_2.pth", "b.pth")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "3 of 7 tensors differ between A = work/epoch_2.pth and B = b.pth.",
        "",
        "tensor            shape           largest  relative  changed",
        "norm.running_var  (36,) float32  1.00e+00  1.00e+00     100%",
        "norm.weight       (36,) float32  1.00e-02  1.00e-02     100%",
        "",
        "tensor   in A          in B",
        "fc.bias  (3,) float32  (5,) float32",
        "",
        "meta",
        "  config: 2 lines -> 3 lines",
    ]
    found = json.loads(run("checkpoint", "diff", "work/epoch_2.pth", "b.pth", "--json").out)
    assert found["equal"] is False
    assert [each["name"] for each in found["tensors"]] == ["norm.weight", "norm.running_var", "fc.bias"]
    same = run("checkpoint", "diff", "b.pth", "b.pth")
    assert (same.code, same.out) == (0, "All 7 tensors of b.pth and b.pth are equal.\n")
