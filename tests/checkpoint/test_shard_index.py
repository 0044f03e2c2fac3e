"""The index of a checkpoint in shards is read without running code, whichever version of Python wrote it."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemWriter, save

from cfgtrain.checkpoint.shard_index import INDEX, ShardReader, ShardWriter


def written(folder: Path, kind: type[FileSystemWriter]) -> Path:
    """Write a tensor with a writer, and return the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save({"weight": torch.arange(6.0)}, storage_writer=kind(folder), no_dist=True)
    return folder


@pytest.mark.parametrize("kind", [FileSystemWriter, ShardWriter])
def test_an_index_with_and_without_a_path_is_read(kind: type[FileSystemWriter], tmp_path: Path) -> None:
    """That of torch has the path of the folder, which Python 3.13 pickles by another name than earlier versions."""
    folder = written(tmp_path / "shards", kind)
    content = (folder / INDEX).read_bytes()
    assert (b"PosixPath" in content or b"WindowsPath" in content) == (kind is FileSystemWriter)
    assert list(ShardReader(folder).read_metadata().state_dict_metadata) == ["weight"]


@pytest.mark.parametrize(
    ("before", "after"), [(b"pathlib._local", b"pathlib"), (b"pathlib", b"pathlib._local")]
)
def test_an_index_of_another_version_of_python_is_read(before: bytes, after: bytes, tmp_path: Path) -> None:
    """The name of the module in the pickle is replaced by that of the other version."""
    folder = written(tmp_path / "shards", FileSystemWriter)
    content = (folder / INDEX).read_bytes()
    name, other = (bytes([0x8C, len(each)]) + each for each in (before, after))  # a short text in a pickle
    if name in content:
        at = content.index(b"\x95")  # a frame has a length, which no longer fits
        assert content[at + 1 : at + 9] == (len(content) - at - 9).to_bytes(8, "little")
        changed = content[at + 9 :].replace(name, other)
        (folder / INDEX).write_bytes(content[: at + 1] + len(changed).to_bytes(8, "little") + changed)
    assert list(ShardReader(folder).read_metadata().state_dict_metadata) == ["weight"]


def test_code_in_an_index_is_not_run(tmp_path: Path) -> None:
    """A function in the pickle is an error that names it."""

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    (tmp_path / INDEX).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(pickle.UnpicklingError, match=r"contains (posix|nt)\.mkdir"):
        ShardReader(tmp_path).read_metadata()
    assert not (tmp_path / "made").exists()
