from __future__ import annotations

import logging
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Scalar, TinyNet, same
from torch import nn

from cfgtrain.checkpoint.digest import TRAILER_LENGTH, append_digest, verify_digest
from cfgtrain.checkpoint.find import find_checkpoint
from cfgtrain.checkpoint.load import load_checkpoint, read_checkpoint
from cfgtrain.checkpoint.ownership import run_id_of
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.errors import CheckpointError
from cfgtrain.parallel import OnDevice


def saved(name: str = "a.pth", resume: Any = None) -> bytes:
    """Write a checkpoint of a ``TinyNet`` and return its bytes."""
    torch.manual_seed(0)
    save_checkpoint(TinyNet(), name, meta={"epoch": 1}, resume=resume)
    return Path(name).read_bytes()


def test_weights_are_loaded() -> None:
    """The loaded weights equal the saved ones exactly, and the checkpoint is returned."""
    model = TinyNet()
    save_checkpoint(model, "a.pth", meta={"epoch": 4})
    other = TinyNet()
    loaded = load_checkpoint(other, "a.pth", strict=True)
    assert same(other.state_dict(), model.state_dict())
    assert loaded["meta"]["epoch"] == 4


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
def test_truncated_file_is_refused(share: float) -> None:
    """A file truncated anywhere in its body cannot be read."""
    data = saved()
    Path("a.pth").write_bytes(data[: int((len(data) - TRAILER_LENGTH) * share)])
    with pytest.raises(CheckpointError, match=r"a\.pth cannot be read"):
        read_checkpoint("a.pth")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 30])
def test_very_short_file_is_refused(size: int) -> None:
    """A file of a few bytes cannot be read; the message does not mention code in it."""
    Path("a.pth").write_bytes(saved()[:size])
    with pytest.raises(CheckpointError, match=r"a\.pth cannot be read"):
        read_checkpoint("a.pth")


@pytest.mark.parametrize("missing", [1, 20, TRAILER_LENGTH])
def test_run_without_complete_digest_is_refused(missing: int) -> None:
    """A checkpoint with the exact state of a run needs its complete digest."""
    data = saved(resume={"position": {}})
    Path("a.pth").write_bytes(data[:-missing])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint("a.pth")


@pytest.mark.parametrize("step", range(40))
def test_flipped_bit_is_refused(step: int) -> None:
    """A single flipped bit anywhere in the body or the digest is detected."""
    data = bytearray(saved(resume={"position": {}}))
    data[step * (len(data) - 1) // 39] ^= 1 << step % 8
    Path("a.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"The checkpoint a\.pth is damaged"):
        read_checkpoint("a.pth")


@pytest.mark.parametrize("change", ["nothing", "meta", "weights"])
def test_edited_file_is_read(change: str) -> None:
    """A checkpoint that was loaded, edited and written with ``torch.save`` has no digest, and is read."""
    saved(resume={"position": {}})
    checkpoint = torch.load("a.pth")
    if change == "meta":
        checkpoint["meta"]["epoch"] = 7
    elif change == "weights":
        checkpoint["state_dict"]["fc.bias"].zero_()
    torch.save(checkpoint, "a.pth")
    assert verify_digest(Path("a.pth")) is False
    read = read_checkpoint("a.pth")
    assert read["meta"]["epoch"] == (7 if change == "meta" else 1)
    assert bool(read["state_dict"]["fc.bias"].any()) is (change != "weights")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.5, 0.6, 0.8])
def test_damaged_data_of_an_edited_file_is_found(share: float) -> None:
    """A flipped bit in the weights of a file of ``torch.save`` is found by torch's own checksums."""
    weight = torch.ones(5000)
    torch.save({"state_dict": {"w": weight}, "resume": {}}, "a.pth")
    data = bytearray(Path("a.pth").read_bytes())
    begin = data.find(weight.numpy().tobytes())
    data[begin + int(20000 * share)] ^= 4
    Path("a.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"The checkpoint a\.pth is damaged"):
        read_checkpoint("a.pth")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99, 0.999])
def test_cut_edited_file_is_refused(share: float) -> None:
    """A file of ``torch.save`` that was cut has no central directory."""
    torch.save({"state_dict": TinyNet().state_dict(), "resume": {}}, "a.pth")
    data = Path("a.pth").read_bytes()
    Path("a.pth").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r"a\.pth cannot be read"):
        read_checkpoint("a.pth")
    with pytest.raises(CheckpointError, match="its end is missing"):
        verify_digest(Path("a.pth"))


def test_file_without_checksums_is_read() -> None:
    """Torch can be told to write no checksums; such a file is not damaged."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.tensor(3.0)}, "w.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    assert read_checkpoint("w.pth")["w"] == 3.0


def test_the_digest_is_the_comment_of_the_zip_file() -> None:
    """Other zip readers find nothing unusual in a checkpoint."""
    saved()
    with zipfile.ZipFile("a.pth") as archive:
        assert archive.comment.startswith(b"\ncfgtrain-sha256:")
        assert archive.testzip() is None


def test_longer_file_is_refused() -> None:
    """Bytes after the digest are damage as well."""
    data = saved(resume={"position": {}})
    Path("a.pth").write_bytes(data + b"\n")
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint("a.pth")


def test_verify_digest_returns_whether_there_is_one() -> None:
    """``verify_digest`` returns True for a file with a digest and False for one without."""
    saved()
    torch.save({"a": 1}, "plain.pth")
    Path("empty.pth").write_bytes(b"")
    assert verify_digest(Path("a.pth")) is True
    assert verify_digest(Path("plain.pth")) is False
    assert verify_digest(Path("empty.pth")) is False


@pytest.mark.parametrize("zipped", [True, False])
def test_file_of_mmcv_is_read(zipped: bool) -> None:
    """A checkpoint without a digest, in the new or the old format of torch, is read."""
    model = TinyNet()
    torch.save(
        {"meta": {"epoch": 2, "CLASSES": ("a", "b")}, "state_dict": model.state_dict()},
        "old.pth",
        _use_new_zipfile_serialization=zipped,
    )
    other = TinyNet()
    assert load_checkpoint(other, "old.pth", strict=True)["meta"] == {"epoch": 2, "CLASSES": ("a", "b")}
    assert same(other.state_dict(), model.state_dict())


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_truncated_file_of_the_old_format_is_refused(share: float) -> None:
    """A truncated file of torch's old format is refused as well."""
    torch.save({"state_dict": TinyNet().state_dict()}, "old.pth", _use_new_zipfile_serialization=False)
    data = Path("old.pth").read_bytes()
    Path("old.pth").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r"old\.pth"):
        read_checkpoint("old.pth")


def test_bare_weights_are_read() -> None:
    """A file that contains only a state dict is a checkpoint."""
    torch.save({"w": torch.tensor(3.0)}, "w.pth")
    model = Scalar()
    load_checkpoint(model, "w.pth", strict=True)
    assert model.w.item() == 3.0


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("pwned"),)


def test_no_code_is_run() -> None:
    """A file that would run code is refused without running it; the message says how to trust it."""
    torch.save({"state_dict": {}, "meta": {"evil": Evil()}}, "evil.pth")
    with pytest.raises(CheckpointError, match=r"could run code.*trusted=True"):
        read_checkpoint("evil.pth")
    assert not Path("pwned").exists()


def test_trusted_file_may_run_code() -> None:
    """``trusted=True`` loads a file as pickle does."""
    torch.save({"state_dict": {"w": torch.tensor(2.0)}, "meta": {"evil": Evil()}}, "evil.pth")
    model = Scalar()
    load_checkpoint(model, "evil.pth", trusted=True)
    assert Path("pwned").exists()
    assert model.w.item() == 2.0


@pytest.mark.parametrize("data", [b"hello, world\n", b"\x00" * 100, b"PK\x03\x04 and no more", b"GIF89a"])
def test_other_file_is_refused(data: bytes) -> None:
    """A file of another format cannot be read."""
    Path("a.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"a\.pth cannot be read"):
        read_checkpoint("a.pth")


def test_other_pickle_is_refused() -> None:
    """A plain pickle is not a checkpoint."""
    Path("a.pkl").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(CheckpointError, match=r"a\.pkl cannot be read"):
        read_checkpoint("a.pkl")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_that_would_run_code_is_refused_with_a_reason(protocol: int) -> None:
    """A pickle of any version is refused without a warning of torch, and the message says what it contains."""
    Path("a.pth").write_bytes(pickle.dumps(Evil(), protocol=protocol))
    with pytest.raises(CheckpointError, match=r"is refused: \w.*\. If you trust"):
        read_checkpoint("a.pth")
    assert not Path("pwned").exists()


def test_checkpoint_is_a_dict() -> None:
    """A tensor alone is refused; the message names its type."""
    torch.save(torch.ones(2), "t.pth")
    with pytest.raises(CheckpointError, match="it contains a Tensor"):
        read_checkpoint("t.pth")


def test_missing_file_is_an_error_with_a_suggestion() -> None:
    """The closest file name in the folder is suggested."""
    Path("epoch_12.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no checkpoint epoch_21.pth. Did you mean 'epoch_12.pth'"):
        read_checkpoint("epoch_21.pth")
    with pytest.raises(CheckpointError, match="no checkpoint nowhere/a"):
        read_checkpoint("nowhere/a.pth")


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``~`` is the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    saved()
    assert read_checkpoint("~/a.pth")["meta"]["epoch"] == 1


DIFFERENT = {
    "fc.weight": torch.ones(2, 2),
    "fc.bias": torch.tensor([1.0, 2.0, 3.0]),
    "head.weight": torch.ones(1),
}
REPORT = """1 of 6 tensors loaded; 5 left as initialized, 1 of the file not used:
  tensor             in the model  in the file
  fc.weight          (3, 36)       (2, 2)
  norm.weight        (36,)         not there
  norm.bias          (36,)         not there
  norm.running_mean  (36,)         not there
  norm.running_var   (36,)         not there
  head.weight        not there     (1,)"""


def test_mismatches_are_reported_and_the_rest_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    """Without ``strict``, differing names and shapes are one warning, and the other weights are loaded."""
    torch.save(DIFFERENT, "a.pth")
    model = TinyNet()
    weight = model.fc.weight.clone()
    with caplog.at_level(logging.WARNING, "cfgtrain"):
        load_checkpoint(model, "a.pth")
    assert caplog.messages == [REPORT]
    assert model.fc.bias.tolist() == [1, 2, 3]
    assert same(model.fc.weight.detach(), weight.detach())


def test_strict_refuses_mismatches() -> None:
    """With ``strict`` the same report is an error of the type that MMCV raises."""
    torch.save(DIFFERENT, "a.pth")
    with pytest.raises(RuntimeError) as error:
        load_checkpoint(TinyNet(), "a.pth", strict=True)
    assert str(error.value) == f"a.pth: The model and the loaded weights do not match exactly.\n{REPORT}"


def test_modules_may_convert_weights(caplog: pytest.LogCaptureFixture) -> None:
    """A module that converts weights of another shape in a hook gets them, also if others do not match."""

    class Table(nn.Module):
        def __init__(self, rows: int) -> None:
            super().__init__()
            self.rows = nn.Parameter(torch.arange(float(rows)))
            self.register_load_state_dict_pre_hook(self._cut)

        @staticmethod
        def _cut(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
            state_dict[f"{prefix}rows"] = state_dict[f"{prefix}rows"][-2:]

    torch.save(nn.Sequential(Table(5), nn.Linear(2, 3)).state_dict(), "a.pth")
    model = nn.Sequential(Table(2), nn.Linear(2, 4))
    load_checkpoint(model, "a.pth")
    assert model[0].rows.tolist() == [3, 4]
    assert "  1.weight  (4, 2)        (3, 2)" in caplog.text
    assert "0.rows" not in caplog.text


def test_batch_counter_may_be_missing(caplog: pytest.LogCaptureFixture) -> None:
    """Old files do not have ``num_batches_tracked``; this is not reported."""
    weights = {k: v for k, v in TinyNet().state_dict().items() if "num_batches" not in k}
    torch.save(weights, "a.pth")
    load_checkpoint(TinyNet(), "a.pth", strict=True)
    assert caplog.messages == []


def test_names_are_revised_in_order() -> None:
    """Regular expressions rename weights; by default a leading ``module.`` is removed."""
    torch.save({"state_dict": {"module.w": torch.tensor(2.0)}}, "a.pth")
    model = Scalar()
    loaded = load_checkpoint(model, "a.pth", strict=True)
    assert model.w.item() == 2.0
    assert list(loaded["state_dict"]) == ["module.w"]
    torch.save({"state_dict": {"old.weight": torch.tensor(3.0)}}, "b.pth")
    load_checkpoint(model, "b.pth", strict=True, revise_keys=[(r"^old\.", "new."), (r"^new\.weight$", "w")])
    assert model.w.item() == 3.0


def test_default_revision_needs_the_dot() -> None:
    """``module_a`` does not match ``module.``."""
    model = nn.Module()
    model.module_a = nn.Parameter(torch.zeros(()))
    torch.save({"module_a": torch.tensor(2.0)}, "a.pth")
    load_checkpoint(model, "a.pth", strict=True)
    assert model.module_a.item() == 2.0


def test_wrapped_model_is_loaded() -> None:
    """Weights are loaded into the model inside a wrapper."""
    torch.save({"w": torch.tensor(2.0)}, "a.pth")
    model = Scalar()
    load_checkpoint(OnDevice(model, torch.device("cpu")), "a.pth", strict=True)
    assert model.w.item() == 2.0


class Migrating(nn.Module):
    """Renamed its weight in version 2."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.new = nn.Parameter(torch.zeros(()))

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *args: Any) -> None:
        if metadata.get("version") is None or metadata["version"] < 2:
            state[prefix + "new"] = state.pop(prefix + "old")
        super()._load_from_state_dict(state, prefix, metadata, *args)


def test_versions_of_modules_are_loaded() -> None:
    """A module receives the version that its weights were saved with, and can rename them."""
    weights = Migrating().state_dict()
    del weights["new"]
    weights["old"] = torch.tensor(4.0)
    weights._metadata[""]["version"] = 1
    torch.save({"state_dict": weights}, "a.pth")
    model = Migrating()
    load_checkpoint(model, "a.pth")
    assert model.new.item() == 4.0
    save_checkpoint(model, "b.pth")
    other = Migrating()
    load_checkpoint(other, "b.pth", strict=True)
    assert other.new.item() == 4.0


def test_message_about_untrusted_files_names_the_types_and_the_ways() -> None:
    """The message names what is not plain data and the ways to trust a file, and has no control characters."""
    torch.save({"state_dict": {}, "meta": {"evil": Evil()}}, "evil\x1b[31m.pth")
    with pytest.raises(
        CheckpointError, match=r"refused: .*pathlib\.(_local\.)?Path, .*--trust-checkpoint.*trusted=True"
    ) as caught:
        read_checkpoint("evil\x1b[31m.pth")
    assert str(caught.value).isprintable()
    assert r"evil\x1b[31m.pth" in str(caught.value)
    Path("other").mkdir()
    torch.save({"state_dict": {}, "resume": {}, "meta": {"evil": Evil()}}, "other/evil.pth")
    (skipped,) = find_checkpoint(Path("other")).skipped
    assert "--trust-checkpoint" in skipped.reason
    assert skipped.reason.isprintable()
    assert not Path("pwned").exists()


NUMPY: dict[str, Any] = {
    "float64": np.float64(0.75),
    "float32": np.float32(0.5),
    "float16": np.float16(0.5),
    "int64": np.int64(3),
    "uint8": np.uint8(200),
    "bool": np.bool_(True),
    "complex": np.complex64(1 + 2j),
    "text": np.str_("a"),
    "bytes": np.bytes_(b"a"),
    "date": np.datetime64("2020-01-02"),
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "empty": np.zeros((0, 3)),
    "texts": np.array(["a", "bc"]),
    "dtype": np.dtype("float32"),
}


def rename_module(file: Path, module: str) -> None:
    """Rename the module of NumPy's functions in a checkpoint, which differs between NumPy 1 and 2."""

    def renamed(data: bytes) -> bytes:
        for each in ("numpy.core", "numpy._core"):
            data = data.replace(f"c{each}.multiarray\n".encode(), f"c{module}.multiarray\n".encode())
        return data

    if not zipfile.is_zipfile(file):
        file.write_bytes(renamed(file.read_bytes()))
        return
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, renamed(data))


@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("zipped", [True, False])
def test_numpy_values_are_plain_data(name: str, module: str, zipped: bool) -> None:
    """NumPy scalars and arrays, as code for MMCV saves them in ``meta``, are read, from NumPy 1 and 2."""
    value = NUMPY[name]
    torch.save({"meta": {"value": value}}, "a.pth", _use_new_zipfile_serialization=zipped)
    rename_module(Path("a.pth"), module)
    if name != "dtype":
        assert f"{module}.multiarray".encode() in Path("a.pth").read_bytes()
    loaded = read_checkpoint("a.pth")["meta"]["value"]
    assert type(loaded) is type(value)
    assert np.array_equal(loaded, value) if name != "dtype" else loaded == value
    usual = pickle.loads(pickle.dumps(value, 2))  # of another byte order, NumPy returns the same numbers
    assert getattr(loaded, "dtype", None) == getattr(usual, "dtype", None)


@pytest.mark.parametrize(
    "value", [np.array([Evil()], dtype=object), np.zeros(2, dtype=[("a", "f4")]), Evil()]
)
def test_numpy_objects_are_not_plain_data(value: Any) -> None:
    """Arrays of objects and records are refused."""
    torch.save({"state_dict": {}, "meta": {"value": value}}, "a.pth")
    with pytest.raises(CheckpointError, match="--trust-checkpoint"):
        read_checkpoint("a.pth")
    assert not Path("pwned").exists()


def test_numpy_values_are_saved_and_found() -> None:
    """A checkpoint to resume from may contain NumPy values; it is found, and its run is known."""
    meta = {"run_id": "7", "hook_msgs": {"best_score": np.float64(0.5)}, "mean": np.arange(3.0)}
    save_checkpoint(TinyNet(), "epoch_1.pth", meta=meta, resume={"position": {"iter": 4, "epoch": 1}})
    found = find_checkpoint(Path())
    assert found.path == Path("epoch_1.pth")
    assert found.checkpoint is not None
    assert found.checkpoint["meta"]["hook_msgs"]["best_score"] == 0.5
    assert run_id_of(Path("epoch_1.pth")) == "7"


def test_trusted_files_are_found() -> None:
    """With ``trusted``, a checkpoint that contains more than plain data can be found and resumed from."""
    save_checkpoint(TinyNet(), "epoch_1.pth", resume={"position": {"iter": 4, "epoch": 1}})
    checkpoint = read_checkpoint("epoch_1.pth")
    checkpoint["meta"]["path"] = Path("a")
    with Path("epoch_1.pth").open("w+b") as file:
        torch.save(checkpoint, file)
        append_digest(file)
    assert find_checkpoint(Path()).path is None
    assert find_checkpoint(Path(), trusted=True).path == Path("epoch_1.pth")
