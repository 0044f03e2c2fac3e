"""Weights alone, means, other formats, and differences."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Scalar, TinyNet, same
from torch import Tensor, nn

from cfgtrain.checkpoint import load_checkpoint, save_checkpoint
from cfgtrain.checkpoint.compare import compare_checkpoints
from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.publish import average_checkpoints, convert_checkpoint, strip_checkpoint
from cfgtrain.checkpoint.read import read_file
from cfgtrain.errors import ArgumentError, CheckpointError, MissingLibraryError


def save(name: str, value: float = 1.0, **state: Any) -> dict[str, Tensor]:
    """Save a ``TinyNet`` with its optimizer, and return its weights."""
    torch.manual_seed(int(value))
    model = TinyNet()
    nn.init.constant_(model.fc.weight, value)
    model.norm.num_batches_tracked.fill_(int(value))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    sum(each.sum() for each in model.parameters()).backward()
    optimizer.step()
    meta = {
        "epoch": int(value),
        "iter": 10,
        "run_id": "7",
        "CLASSES": ("a", "b", "c"),
        "hook_msgs": {"a": "/x"},
    }
    save_checkpoint(model, name, optimizer, meta, **state)
    return model.state_dict()


def test_the_weights_alone_are_kept() -> None:
    """The optimizer, the state of the run, and what the meta says of the machine are left out."""
    weights = save("a.pth", resume={"position": {}})
    written = strip_checkpoint("a.pth", Path("b.pth"))
    stripped = read_file(Path("b.pth"))
    assert sorted(stripped) == ["meta", "state_dict"]
    assert sorted(stripped["meta"]) == [
        "CLASSES", "cfgtrain_version", "epoch", "iter", "mmcv_version", "time",
    ]  # fmt: skip
    assert same(stripped["state_dict"], weights)
    assert written.left_out == ["optimizer", "resume", "meta.run_id", "meta.hook_msgs"]
    assert written.size == Path("b.pth").stat().st_size < Path("a.pth").stat().st_size
    assert verify_digest(Path("b.pth"))
    load_checkpoint(TinyNet(), "b.pth", strict=True)


def test_weights_below_another_key_are_not_left_out() -> None:
    """Of a file of another tool, only what is not written is said to be left out."""
    pytest.importorskip("safetensors")
    torch.save({"model": TinyNet().state_dict(), "optimizer": {}, "epoch": 3}, "a.pth")
    assert strip_checkpoint("a.pth", Path("b.pth")).left_out == ["optimizer", "epoch"]
    assert convert_checkpoint("a.pth", Path("b.safetensors")).left_out == ["optimizer", "epoch"]


def test_the_name_has_the_hash() -> None:
    """On request, the name ends in the beginning of the SHA-256 of the file."""
    save("a.pth")
    written = strip_checkpoint("a.pth", Path("out/net.pth"), with_hash=True)
    digest = hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert written.path == Path(f"out/net-{digest[:8]}.pth")
    assert [path.name for path in Path("out").iterdir()] == [written.path.name]
    with pytest.raises(ArgumentError, match="exists already"):
        strip_checkpoint("a.pth", Path("out/net.pth"), with_hash=True)
    strip_checkpoint("a.pth", Path("out/net.pth"), with_hash=True, overwrite=True)


@pytest.mark.parametrize(
    ("averages", "own", "foreign"), [(None, 1.0, 1.0), (True, 1.0, 2.0), (False, 2.0, 1.0)]
)
def test_one_of_two_versions_is_kept(averages: bool | None, own: float, foreign: float) -> None:
    """Of the averages of EMAHook and the weights themselves one is kept, under the names of the weights.

    cfgtrain saves the averages under these names; a file of MMCV within an epoch has them as ``ema_...``.
    """
    weights = {"fc.w": torch.tensor(1.0), "fc_w": torch.tensor(1.0), "n": torch.tensor(1)}
    weights |= {
        "ema_fc_w": torch.tensor(2.0),
        "ema_fc_w_": torch.tensor(2.0),
        "ema_model.w": torch.tensor(3.0),
    }
    for meta, expected in (({"run_id": "1"}, own), ({"mmcv_version": "1.7.2"}, foreign)):
        torch.save({"state_dict": weights, "meta": meta}, "a.pth")
        written = strip_checkpoint("a.pth", Path("b.pth"), averages=averages, overwrite=True)
        kept = read_file(Path("b.pth"))["state_dict"]
        assert kept == {"fc.w": expected, "fc_w": expected, "n": 1, "ema_model.w": 3.0}
        assert "2 tensors of EMAHook" in written.left_out


def test_averages_that_are_not_there_are_an_error() -> None:
    """Asking for one version of weights that have only one is an error."""
    save("a.pth")
    for averages in (True, False):
        with pytest.raises(CheckpointError, match=r"a\.pth has no averages"):
            strip_checkpoint("a.pth", Path("b.pth"), averages=averages)


def test_names_are_renamed() -> None:
    """Prefixes are replaced, in the versions of the modules too."""
    save_checkpoint(nn.Sequential(TinyNet()), "a.pth")
    strip_checkpoint("a.pth", Path("b.pth"), renames=[("0.", ""), ("norm.", "bn.")])
    found = read_file(Path("b.pth"))["state_dict"]
    assert [name for name in found if not name.startswith(("bn.", "fc."))] == []
    assert found._metadata["bn"] == {"version": 2}
    assert found._metadata["fc"] == {"version": 1}
    with pytest.raises(ArgumentError, match=r"No name begins with 'x\.'; the first one is '0\."):
        strip_checkpoint("a.pth", Path("c.pth"), renames=[("x.", "")])
    with pytest.raises(ArgumentError, match="two weights would have one name"):
        strip_checkpoint("a.pth", Path("c.pth"), renames=[("0.norm.", "0.fc.")])


def test_the_mean_is_exact() -> None:
    """Means are computed in float64; integers and the meta are those of the last file."""
    for i, value in enumerate([1.0, 2.0, 6.0]):
        save(f"{i}.pth", value)
    average_checkpoints(["0.pth", "1.pth", "2.pth"], Path("mean.pth"))
    files = [read_file(Path(f"{i}.pth"))["state_dict"] for i in range(3)]
    mean = read_file(Path("mean.pth"))
    for name, value in mean["state_dict"].items():
        assert value.dtype == files[0][name].dtype
        if value.is_floating_point():
            expected = torch.stack([each[name].double() for each in files]).mean(0).float()
            assert torch.equal(value, expected), name
    assert mean["state_dict"]["norm.num_batches_tracked"] == 6
    assert mean["meta"]["epoch"] == 6
    assert mean["meta"]["averaged_from"] == ["0.pth", "1.pth", "2.pth"]
    assert "optimizer" not in mean


def test_half_precision_is_not_lost_in_the_sum() -> None:
    """The sum of float16 tensors does not overflow."""
    for name, value in (("a.pth", 60000.0), ("b.pth", 40000.0)):
        torch.save({"w": torch.tensor(value, dtype=torch.float16)}, name)
    average_checkpoints(["a.pth", "b.pth"], Path("m.pth"))
    assert read_file(Path("m.pth"))["state_dict"]["w"] == torch.tensor(50000.0, dtype=torch.float16)


def test_other_models_have_no_mean() -> None:
    """Files of other names or shapes are refused, with the first difference."""
    save("a.pth")
    save_checkpoint(Scalar(), "b.pth")
    torch.save({"w": torch.ones(3)}, "c.pth")
    with pytest.raises(
        CheckpointError, match=r"a\.pth and b\.pth cannot be averaged.*not there in the other"
    ):
        average_checkpoints(["a.pth", "b.pth"], Path("m.pth"))
    with pytest.raises(CheckpointError, match=r"w is \(\) in one and \(3,\) in the other"):
        average_checkpoints(["b.pth", "c.pth"], Path("m.pth"))
    with pytest.raises(ArgumentError, match="at least 2"):
        average_checkpoints(["a.pth"], Path("m.pth"))
    assert not Path("m.pth").exists()


def test_outputs_are_not_replaced() -> None:
    """An output that exists needs ``overwrite``; an input is never replaced, under any of its names."""
    save("a.pth")
    Path("b.pth").write_bytes(b"old")
    Path("link.pth").symlink_to("a.pth")
    Path("folder.pth").mkdir()
    with pytest.raises(ArgumentError, match=r"b\.pth exists already.*--overwrite"):
        strip_checkpoint("a.pth", Path("b.pth"))
    assert Path("b.pth").read_bytes() == b"old"
    for output in ("a.pth", "./a.pth", "link.pth"):
        with pytest.raises(ArgumentError, match="is an input, which is never replaced"):
            strip_checkpoint("a.pth", Path(output), overwrite=True)
    with pytest.raises(ArgumentError, match="is a folder"):
        strip_checkpoint("a.pth", Path("folder.pth"), overwrite=True)
    strip_checkpoint("a.pth", Path("b.pth"), overwrite=True)
    assert verify_digest(Path("b.pth"))


def test_safetensors_and_back() -> None:
    """Weights, versions and the plain part of the meta survive; tied weights are written twice."""
    pytest.importorskip("safetensors")
    weights = save("a.pth")
    checkpoint = torch.load("a.pth")
    checkpoint["state_dict"]["tied"] = checkpoint["state_dict"]["fc.weight"]
    checkpoint["meta"]["numbers"] = torch.ones(2)
    torch.save(checkpoint, "a.pth")
    written = convert_checkpoint("a.pth", Path("a.safetensors"))
    assert written.left_out == ["optimizer", "meta.numbers"]
    assert Path("a.safetensors").stat().st_mode == Path("a.pth").stat().st_mode
    convert_checkpoint("a.safetensors", Path("b.pth"))
    back = read_file(Path("b.pth"))
    assert torch.equal(back["state_dict"].pop("tied"), weights["fc.weight"])
    assert same(back["state_dict"], weights)
    assert back["state_dict"]._metadata["norm"] == {"version": 2}
    assert back["meta"].keys() == checkpoint["meta"].keys() - {"numbers"}
    assert back["meta"]["epoch"] == 1
    assert list(back["meta"]["CLASSES"]) == ["a", "b", "c"]
    load_checkpoint(TinyNet(), "a.safetensors")
    data = Path("a.safetensors").read_bytes()
    Path("a.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"a\.safetensors cannot be read"):
        read_file(Path("a.safetensors"))


def test_missing_safetensors_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "safetensors", None)
    save("a.pth")
    with pytest.raises(MissingLibraryError, match=r"pip install 'cfgtrain\[safetensors\]'"):
        convert_checkpoint("a.pth", Path("a.safetensors"))
    assert not list(Path().glob("*safetensors*"))


def test_the_suffix_selects_the_format() -> None:
    """Another suffix is refused."""
    save("a.pth")
    with pytest.raises(ArgumentError, match=r"must end in .safetensors, .pth or .pt, not '.onnx'"):
        convert_checkpoint("a.pth", Path("a.onnx"))


def test_differences_are_measured() -> None:
    """Per tensor: the largest difference, the norm of the difference, and how many values changed."""
    torch.save({"a": torch.tensor([3.0, 4.0, 0.0, 0.0]), "b": torch.ones(2), "n": torch.tensor(3)}, "a.pth")
    torch.save({"a": torch.tensor([3.0, 3.5, 0.0, 0.0]), "b": torch.ones(2), "n": torch.tensor(4)}, "b.pth")
    found = compare_checkpoints("a.pth", "b.pth")
    first, second = found.tensors
    assert (first.name, first.largest, first.relative, first.changed) == ("a", 0.5, 0.1, 0.25)
    assert (second.name, second.largest, second.changed) == ("n", 1.0, 1.0)
    assert found.equal == 1
    same_file = compare_checkpoints("a.pth", "a.pth")
    assert (same_file.tensors, same_file.equal, same_file.meta) == ([], 3, [])


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        (torch.tensor(float("nan")), torch.tensor(float("nan")), False),
        (torch.tensor(float("inf")), torch.tensor(float("inf")), False),
        (torch.tensor(float("nan")), torch.tensor(1.0), True),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), True),
        (torch.ones(2), torch.ones(3), True),
        (torch.ones(0), torch.ones(0), False),
        (torch.tensor([True]), torch.tensor([False]), True),
        (torch.tensor([1j]), torch.tensor([2j]), True),
    ],
)
def test_any_values_can_be_compared(old: Tensor, new: Tensor, differs: bool) -> None:
    """NaN equals NaN; other dtypes and shapes are differences."""
    torch.save({"w": old}, "a.pth")
    torch.save({"w": new}, "b.pth")
    assert bool(compare_checkpoints("a.pth", "b.pth").tensors) is differs


def test_meta_and_keys_are_compared() -> None:
    """Entries of the meta are compared by key path, and keys that only one file has are listed."""
    weights = {"w": torch.ones(1)}
    torch.save({"state_dict": weights, "meta": {"epoch": 1, "h": {"x": 1, "t": torch.ones(2)}}}, "a.pth")
    torch.save(
        {
            "state_dict": weights,
            "meta": {"epoch": 2, "h": {"x": 1, "t": torch.ones(2)}, "new": 3},
            "optimizer": {},
        },
        "b.pth",
    )
    found = compare_checkpoints("a.pth", "b.pth")
    assert [tuple(each) for each in found.meta] == [("epoch", 1, 2), ("new", "not there", 3)]
    assert found.keys == [("optimizer", "b")]
    torch.save({"state_dict": weights, "meta": {"seed": None}}, "c.pth")
    torch.save({"state_dict": weights, "meta": {}}, "d.pth")
    found = compare_checkpoints("c.pth", "d.pth")
    assert [tuple(each) for each in found.meta] == [("seed", None, "not there")]
