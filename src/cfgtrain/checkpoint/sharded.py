"""Checkpoints whose tensors are divided among the processes of a run: folders that torch.distributed.checkpoint writes.

A folder contains one file of shards per process (``__0_0.distcp`` ...), the index of torch (``.metadata``), and,
written last, ``cfgtrain.pth``: a checkpoint of the usual form whose tensors are on the meta device, with the size and
the SHA-256 of each other file. The folder is written under a temporary name, synced and renamed. So a folder with a
``cfgtrain.pth`` is complete, and whether it was changed since can be verified.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.save import first_error, write_checkpoint
from cfgtrain.checkpoint.shard_index import INDEX, ShardReader, ShardWriter
from cfgtrain.checkpoint.torch_file import read_torch_file
from cfgtrain.errors import CheckpointError
from cfgtrain.filesystem.atomic import replace_folder
from cfgtrain.parallel.data import map_tensors
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.parallel.objects import broadcast_object, error_text, gather_objects, on_every_process
from cfgtrain.suggestions import listed

__all__ = [
    "MARK",
    "checkpoints_in",
    "files_of",
    "folder_name",
    "has_shards",
    "is_sharded",
    "read_full",
    "read_mark",
    "verified_files",
    "verify_files",
    "verify_shards",
    "write_sharded",
]

MARK = "cfgtrain.pth"
VISIBLE_SECONDS = (
    10.0  # for files of other machines to be seen: network file systems cache sizes for some seconds
)

_SUFFIX = ".distcp"
_FILES = "shards"  # key of the sizes and digests in the mark
_PARTS = ("state_dict", "optimizer")  # what is divided into shards

Value = TypeVar("Value")


def is_sharded(path: str | Path) -> bool:
    """Return whether a path is a folder, or a link to one, with a complete checkpoint in shards."""
    return Path(path, MARK).is_file()


def folder_name(name: str) -> str:
    """Return the name of a checkpoint in shards where a file would have this name: without ``.pth``."""
    return name.removesuffix(".pth") or name


def has_shards(path: str | Path) -> bool:
    """Return whether a path is a folder of a checkpoint in shards, which may lack files."""
    path = Path(path)
    return is_sharded(path) or (
        path.is_dir() and ((path / INDEX).exists() or next(path.glob(f"*{_SUFFIX}"), None) is not None)
    )


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder that a run may resume from, files and folders, without links to others."""
    files = [path for path in folder.glob("*.pth") if not path.is_dir()]
    folders = [path for path in folder.glob("[!.]*") if has_shards(path)]
    return [path for path in (*files, *folders) if not path.is_symlink()]


def files_of(path: Path) -> list[str]:
    """Return the names of the files of a checkpoint in shards, with the mark last.

    Raises:
        CheckpointError: The folder is not a complete checkpoint.
    """
    return [*sorted(_read_mark(path, f"The checkpoint {path}", trusted=False)[_FILES]), MARK]


def write_sharded(path: str | Path, state: Mapping[str, Any], checkpoint: Mapping[str, Any] | None) -> None:
    """Write a checkpoint in shards, durably, and completely or not at all.

    All processes of the process group must call it; without one, this process writes the whole checkpoint.

    Args:
        path: Path of the folder, which must be visible to all processes. What is there is replaced.
        state: What is divided: ``state_dict`` and ``optimizer``, as ``torch.distributed.checkpoint.state_dict``
            returns them. Their values that are not tensors must be plain data, and are taken from rank 0.
        checkpoint: The other entries of the checkpoint in rank 0, such as ``meta`` and ``resume``; None in the others.

    Raises:
        CheckpointError: The folder cannot be written in one of the processes; a previous one remains unchanged.
        ArgumentTypeError: The checkpoint contains objects that cannot be loaded safely; in other processes than
            rank 0, this is a ProcessError.
    """
    path = Path(path).absolute()
    rank, world_size = get_dist_info()
    temporary = path.with_name(broadcast_object(f".{path.name[:50]}.{os.urandom(4).hex()}.tmp"))
    try:
        _together(path, lambda: temporary.mkdir(parents=True) if rank == 0 else None)
        gathered = _together(path, lambda: _write_shards(temporary, state, rank, world_size))
        files = {name: each for found in gathered for name, each in found.items()}
        _together(path, lambda: _finish(temporary, path, state, checkpoint, files) if rank == 0 else None)
    except BaseException as error:
        # After Ctrl-C in one process, others still write to the folder; then the next run removes it.
        if world_size == 1 or (rank == 0 and isinstance(error, Exception)):
            shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_full(
    path: str | Path, name: str | Path | None = None, map_location: Any = "cpu", trusted: bool = False
) -> dict[str, Any]:
    """Return the content of a checkpoint in shards as a checkpoint file has it, read by this process alone.

    The parameters of optimizers are numbered, as ``Optimizer.state_dict`` does. Nothing is verified.

    Args:
        path: Path of the folder.
        name: How messages name it, by default as ``path``.
        map_location: Device that the tensors are moved to.
        trusted: Whether ``cfgtrain.pth`` may run code while it is loaded, if it contains more than plain data.

    Raises:
        CheckpointError: The folder cannot be read.
    """
    path, subject = Path(path), f"The checkpoint {name or path}"
    saved = _read_mark(path, subject, trusted)
    tensors = {key: torch.empty_like(meta, device="cpu") for key, meta in _tensors(saved)}
    _load_shards(path, tensors, subject, alone=True)
    if map_location is not None:
        tensors = {key: _moved(tensor, map_location) for key, tensor in tensors.items()}
    values = iter(tensors.values())
    filled = {key: map_tensors(each, lambda _: next(values)) for key, each in saved.items() if key in _PARTS}
    return _as_file({**saved, **filled})


def read_mark(path: Path, trusted: bool = False, subject: str = "it") -> dict[str, Any]:
    """Return the content of a checkpoint in shards like ``read_full``, with tensors on the meta device.

    Args:
        path: Path of the folder.
        trusted: As for ``read_full``.
        subject: The checkpoint in the message of an error.

    Raises:
        CheckpointError: The folder is not a complete checkpoint.
    """
    return _as_file(_read_mark(path, subject, trusted))


def verify_shards(path: Path, name: str | Path | None = None, trusted: bool = False) -> bool:
    """Check a checkpoint in shards for damage, and return True: it has digests.

    Args:
        path: Path of the folder.
        name: How messages name it, by default as ``path``.
        trusted: As for ``read_full``.

    Raises:
        CheckpointError: A file of it is missing, was changed, or does not belong to it.
    """
    name = name or path
    verify_files(path, name, verified_files(path, name, trusted))
    return True


def verified_files(path: Path, name: str | Path, trusted: bool) -> Mapping[str, Any]:
    """Return the sizes and digests of the files of a checkpoint in shards, after checking the mark for damage.

    Args:
        path: Path of the folder.
        name: How messages name it.
        trusted: As for ``read_full``.

    Raises:
        CheckpointError: The mark is missing, or was changed.
    """
    if is_sharded(path):
        verify_digest(path / MARK, f"{name}/{MARK}")
    files: Mapping[str, Any] = _read_mark(path, f"The checkpoint {name}", trusted)[_FILES]
    return files


def verify_files(path: Path, name: str | Path, files: Mapping[str, Any]) -> None:
    """Check the files of a checkpoint in shards for damage; another thread may read them at the same time.

    Args:
        path: Path of the folder.
        name: How messages name it.
        files: What ``verified_files`` has returned.

    Raises:
        CheckpointError: A file is missing, was changed, or does not belong to the checkpoint.
    """
    subject = f"The checkpoint {name}"
    for file, (size, digest) in sorted(files.items()):
        try:
            found = (path / file).stat().st_size
            same = found == size and _digest(path / file) == digest
        except FileNotFoundError:
            raise CheckpointError(f"{subject} is damaged: its file {file} is missing.") from None
        except OSError as error:
            raise CheckpointError(f"{subject} cannot be read: {file}: {error.strerror or error}") from error
        if not same:
            sizes = (
                f"it has {found:,} bytes instead of {size:,}" if found != size else "its content has changed"
            )
            raise CheckpointError(f"{subject} is damaged: {sizes} in the file {file}.")
    others = sorted(each.name for each in path.glob(f"*{_SUFFIX}") if each.name not in files)
    if others:
        raise CheckpointError(f"{subject} is damaged: it has files of another checkpoint: {listed(others)}.")


def _together(path: Path, action: Callable[[], Value]) -> list[Value]:
    """Call a function in every process and return the results of all, by rank.

    Raises:
        CheckpointError: The folder could not be written in one of the processes; it is raised in all of them.
        Exception: As ``on_every_process``, for other errors.
    """
    rank = get_dist_info()[0]

    def attempt() -> tuple[Value | None, str]:
        try:
            return action(), ""
        except CheckpointException as error:  # the same in all processes
            return None, _first_failure(error)
        except (OSError, CheckpointError) as error:
            return None, _reason(error, rank)

    gathered = gather_objects(on_every_process(attempt))
    problem = next((each for _, each in gathered if each), None)
    if problem is not None:
        raise CheckpointError(f"The checkpoint {path} cannot be written: {problem}.")
    return [value for value, _ in gathered]


def _write_shards(folder: Path, state: Mapping[str, Any], rank: int, world_size: int) -> dict[str, Any]:
    """Write the tensors, and return the size and digest of each file that this process has written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        writer = ShardWriter(folder, overwrite=False)
        save(dict(_tensors(state)), storage_writer=writer, no_dist=world_size == 1)
    written = sorted(folder.glob(f"__{rank}_*{_SUFFIX}"))
    if rank == 0:
        written.append(folder / INDEX)
    return {file.name: (file.stat().st_size, _digest(file)) for file in written}


def _finish(
    temporary: Path,
    path: Path,
    state: Mapping[str, Any],
    checkpoint: Mapping[str, Any] | None,
    files: dict[str, Any],
) -> None:
    """Write the mark into a folder that has all shards, and give the folder its name."""
    sizes = {name: size for name, (size, _) in files.items()}
    deadline = time.monotonic() + VISIBLE_SECONDS
    while (seen := _sizes(temporary)) != sizes and time.monotonic() < deadline:
        time.sleep(0.1)
    if seen != sizes:
        absent = sorted(set(files) - set(seen)) or sorted(files)
        raise CheckpointError(
            f"it does not see the files of other processes: {listed(absent)}. Checkpoints of sharded models must "
            "be written to a folder that all machines share"
        )
    meta = {key: map_tensors(each, _without_data) for key, each in state.items()}
    rest = dict(checkpoint or {})
    head = {"meta": rest.pop("meta")} if "meta" in rest else {}
    write_checkpoint({**head, **meta, **rest, _FILES: files}, temporary / MARK)
    replace_folder(temporary, path)


def _read_mark(path: Path, subject: str, trusted: bool) -> dict[str, Any]:
    """Return the content of ``cfgtrain.pth`` as it is."""
    if not is_sharded(path):
        raise CheckpointError(
            f"{subject} cannot be read: the folder has no {MARK}, which is written last, so that it is incomplete."
        )
    saved = read_torch_file(path / MARK, subject, None, trusted, mmap=False)
    if not isinstance(saved, dict) or not isinstance(saved.get(_FILES), dict):
        raise CheckpointError(f"{subject} cannot be read: its {MARK} does not list files of shards.")
    return saved


def _load_shards(path: Path, tensors: dict[str, Tensor], subject: str, alone: bool) -> None:
    """Read tensors in place."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            load(tensors, storage_reader=ShardReader(path), no_dist=alone)
    except CheckpointException as error:
        raise CheckpointError(f"{subject} cannot be read: {_first_failure(error)}.") from error


def _first_failure(failure: CheckpointException) -> str:
    """Return what went wrong first, and in which process."""
    rank = min(failure.failures)
    return _reason(failure.failures[rank][0], rank)


def _reason(error: BaseException, rank: int) -> str:
    """Return the reason of an error, without the path, which is temporary, and in which process it is."""
    cause = error.__cause__ if isinstance(error, CheckpointError) else error
    first = error if cause is None else first_error(cause)
    text = error_text(first).rstrip(".")
    if isinstance(first, OSError) and first.strerror:
        text = f"[Errno {first.errno}] {first.strerror}"
    return f"rank {rank}: {text}" if get_dist_info()[1] > 1 else text


def _sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of the files of a folder in bytes, by name, as this process sees them."""
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _tensors(value: Any, key: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in the parts that are divided, with their names in the shards."""
    if isinstance(value, Tensor):
        yield key, value
        return
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items() if key else [(part, value[part]) for part in _PARTS if part in value]
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for name, each in items:
        yield from _tensors(each, f"{key}.{name}" if key else str(name))


def _without_data(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def _as_file(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a checkpoint file: without the list of shards, and with numbered parameters."""
    found = {key: each for key, each in saved.items() if key != _FILES}
    if "optimizer" in found:
        found["optimizer"] = _with_numbers(found["optimizer"])
    return found


def _with_numbers(optimizer: Any) -> Any:
    """Return the state of an optimizer, or of several by name, with numbers instead of the names of parameters."""
    if not isinstance(optimizer, Mapping):
        return optimizer
    if "param_groups" not in optimizer:
        return {name: _with_numbers(each) for name, each in optimizer.items()}
    groups = optimizer["param_groups"]
    numbers = {name: number for number, name in enumerate(name for each in groups for name in each["params"])}
    state = {numbers[name]: each for name, each in optimizer["state"].items()}
    return {
        **optimizer,
        "state": dict(sorted(state.items())),
        "param_groups": [{**each, "params": [numbers[name] for name in each["params"]]} for each in groups],
    }


def _moved(tensor: Tensor, map_location: Any) -> Tensor:
    """Return a tensor of the CPU on the device that ``map_location`` of ``torch.load`` says."""
    if isinstance(map_location, Mapping):
        return tensor.to(map_location.get("cpu", "cpu"))
    if callable(map_location):
        storage = map_location(tensor.untyped_storage(), "cpu")
        return tensor if storage is None else tensor.to(storage.device)
    return tensor.to(map_location)
