from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Scalar, TinyNet, same
from torch import nn

import cfgtrain
from cfgtrain.checkpoint import load_checkpoint, save
from cfgtrain.checkpoint.digest import TRAILER, TRAILER_LENGTH
from cfgtrain.checkpoint.save import save_checkpoint, write_checkpoint
from cfgtrain.errors import CheckpointError
from cfgtrain.fileio import FileClient
from cfgtrain.parallel import OnDevice
from cfgtrain.utils import digit_version


def test_format_is_that_of_mmcv() -> None:
    """A checkpoint contains meta, weights and optimizer, like that of MMCV, and nothing else."""
    model = TinyNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    save_checkpoint(model, "a.pth", optimizer, {"epoch": 3})
    loaded = torch.load("a.pth")
    assert list(loaded) == ["meta", "state_dict", "optimizer"]
    assert loaded["meta"]["epoch"] == 3
    assert isinstance(loaded["meta"]["time"], str)
    assert same(loaded["state_dict"], model.state_dict())
    assert loaded["state_dict"]._metadata["norm"] == {"version": 2}
    assert same(loaded["optimizer"], optimizer.state_dict())


def test_weights_alone() -> None:
    """Without an optimizer the file contains only meta and weights."""
    save_checkpoint(Scalar(), "a.pth")
    assert set(torch.load("a.pth")) == {"meta", "state_dict"}


def test_several_optimizers() -> None:
    """A dict of optimizers is saved by name."""
    model = Scalar()
    save_checkpoint(model, "a.pth", {"x": torch.optim.SGD(model.parameters(), lr=0.5)})
    assert torch.load("a.pth")["optimizer"]["x"]["param_groups"][0]["lr"] == 0.5


def test_model_is_saved_without_its_wrappers() -> None:
    """Names do not contain those of nested wrappers, and ``CLASSES`` of the model is saved in meta."""
    model = Scalar()
    model.CLASSES = ("cat", "dog")
    wrapped = nn.DataParallel(OnDevice(model, torch.device("cpu")))
    save_checkpoint(wrapped, "a.pth")
    loaded = torch.load("a.pth")
    assert list(loaded["state_dict"]) == ["w"]
    assert loaded["meta"]["CLASSES"] == ("cat", "dog")


def test_meta_is_not_changed() -> None:
    """The dict of the caller is not changed; another type is an error."""
    meta = {"epoch": 1}
    save_checkpoint(Scalar(), "a.pth", meta=meta)
    assert meta == {"epoch": 1}
    with pytest.raises(TypeError, match="meta must be a dict or None"):
        save_checkpoint(Scalar(), "b.pth", meta=[1])
    assert not Path("b.pth").exists()


def test_folder_is_created() -> None:
    """Missing folders are created."""
    save_checkpoint(Scalar(), "a/b/c.pth")
    assert Path("a/b/c.pth").is_file()


def test_file_ends_in_its_digest() -> None:
    """The last line is the SHA-256 of everything except the contents of the records, which have a CRC each."""
    write_checkpoint({"a": torch.arange(9)}, "a.pth")
    data = Path("a.pth").read_bytes()
    frame = bytearray(data[:-TRAILER_LENGTH])
    with zipfile.ZipFile("a.pth") as archive:
        assert archive.testzip() is None
        for info in reversed(archive.infolist()):
            names = sum(struct.unpack("<HH", frame[info.header_offset + 26 : info.header_offset + 30]))
            begin = info.header_offset + 30 + names
            del frame[begin : begin + info.file_size]
    assert data[-TRAILER_LENGTH:] == TRAILER + hashlib.sha256(frame).hexdigest().encode() + b"\n"


def test_torch_reads_the_file_with_its_defaults() -> None:
    """The digest is ignored by torch, with memory mapping too, and by zip readers."""
    write_checkpoint({"a": torch.arange(9)}, "a.pth")
    assert same(torch.load("a.pth"), {"a": torch.arange(9)})
    assert same(torch.load("a.pth", mmap=True), {"a": torch.arange(9)})
    assert same(torch.load(io.BytesIO(Path("a.pth").read_bytes())), {"a": torch.arange(9)})
    assert zipfile.ZipFile("a.pth").testzip() is None


class FullDisk:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *args: Any) -> None:
        self.file.close()


@pytest.mark.parametrize("room", [0, 10, 500, 1000, 1500])
def test_full_disk_keeps_the_old_file(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full after any number of bytes, the old file is unchanged and no other file is left."""
    write_checkpoint({"epoch": 1, "w": torch.ones(100)}, "a.pth")
    before = Path("a.pth").read_bytes()
    assert len(before) > 1500
    open_file = Path.open
    with monkeypatch.context() as patch, pytest.raises(CheckpointError, match=r"a\.pth cannot be written"):
        patch.setattr(Path, "open", lambda path, mode="r", **kw: FullDisk(open_file(path, mode, **kw), room))
        write_checkpoint({"epoch": 2, "w": torch.zeros(100)}, "a.pth")
    assert Path("a.pth").read_bytes() == before
    assert [path.name for path in Path("a.pth").absolute().parent.iterdir()] == ["a.pth"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failure_before_the_rename_keeps_the_old_file(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while syncing or renaming leaves the old file and no temporary one."""
    write_checkpoint({"epoch": 1}, "a.pth")

    def fail(*args: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(CheckpointError, match="Input/output error"):
        patch.setattr(os if call == "fsync" else Path, call, fail)
        write_checkpoint({"epoch": 2}, "a.pth")
    assert torch.load("a.pth") == {"epoch": 1}
    assert len(list(Path("a.pth").absolute().parent.iterdir())) == 1


def test_interrupt_keeps_the_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during writing leaves the old file, and is not turned into another error."""
    write_checkpoint({"epoch": 1}, "a.pth")

    def interrupted(checkpoint: Any, file: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(save.torch, "save", interrupted)
        write_checkpoint({"epoch": 2}, "a.pth")
    assert torch.load("a.pth") == {"epoch": 1}
    assert len(list(Path("a.pth").absolute().parent.iterdir())) == 1


def test_folder_that_cannot_be_created() -> None:
    """A file with the name of the folder is an error that names the checkpoint."""
    Path("file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/a\.pth cannot be written"):
        write_checkpoint({}, "file/a.pth")


def test_a_uri_is_written_by_its_backend() -> None:
    """``file_client_args`` selects the backend, as in MMCV; without it, the URI does."""
    for args in (None, {"backend": "fsspec"}):
        save_checkpoint(TinyNet(), "memory://a/b.pth", meta={"epoch": 2}, file_client_args=args)
        assert load_checkpoint(TinyNet(), "memory://a/b.pth", strict=True)["meta"]["epoch"] == 2
        FileClient(prefix="memory").remove("memory://a/b.pth")
    save_checkpoint(TinyNet(), "c.pth", None, None, {"backend": "disk"})
    assert load_checkpoint(TinyNet(), "c.pth", strict=True)
    with pytest.raises(CheckpointError, match=r"http://host/b\.pth cannot be written"):
        save_checkpoint(TinyNet(), "http://host/b.pth")
    with pytest.raises(ValueError, match="not uploaded to Pavi"):
        save_checkpoint(TinyNet(), "pavi://team/a.pth", file_client_args={"backend": "disk"})


def test_versions_in_the_meta() -> None:
    """``mmcv_version`` is one that programs can compare, and replaces that of a resumed checkpoint of MMCV."""
    save_checkpoint(Scalar(), "a.pth", meta={"mmcv_version": "1.3.0"})
    meta = torch.load("a.pth")["meta"]
    assert digit_version(meta["mmcv_version"]) >= digit_version("1.7.0")
    assert meta["cfgtrain_version"] == cfgtrain.__version__
