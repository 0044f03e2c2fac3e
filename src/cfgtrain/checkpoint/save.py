"""Write checkpoints, completely or not at all.

They are written to a temporary file, synced and renamed (``atomic_write``), and end in a
digest (``cfgtrain.checkpoint.digest``).
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import torch
from torch import nn

from cfgtrain.arguments import check_type
from cfgtrain.checkpoint.digest import append_digest
from cfgtrain.checkpoint.plain_data import allow_numpy, objects_in
from cfgtrain.checkpoint.state_dict import get_state_dict, weights_to_cpu
from cfgtrain.errors import ArgumentError, ArgumentTypeError, CheckpointError
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name, uri_prefix
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.parallel.dist import is_main_process
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.utils.paths import mkdir_or_exist
from cfgtrain.utils.versions import version_meta

__all__ = ["save_checkpoint"]


def save_checkpoint(
    model: nn.Module,
    filename: str | Path,
    optimizer: Any = None,
    meta: dict[str, Any] | None = None,
    file_client_args: Mapping[str, Any] | None = None,
    *,
    resume: dict[str, Any] | None = None,
) -> None:
    """Save a model, and the state that is needed to continue its training, in MMCV's format.

    Of several processes only the main one writes the file.

    Args:
        model: The model; it is saved without its wrappers.
        filename: Path of the file; missing folders are created. A URI is written by ``FileClient``.
        optimizer: An optimizer, or a dict of them by name; None saves none.
        meta: Information about the run, of plain types and NumPy numbers. It is not changed.
        file_client_args: Arguments of ``FileClient`` for ``filename``; None infers them.
        resume: The exact state of the run; see ``RunState`` in the runner.

    Raises:
        ArgumentTypeError: ``meta`` is neither a dict nor None.
        ArgumentError: ``filename`` begins with ``pavi://``, or no file backend writes it.
        CheckpointError: The file cannot be written; a previous file remains unchanged.
    """
    check_type("meta", meta, dict | None, "a dict or None")
    backend = (file_client_args or {}).get("backend", "disk")
    if not is_main_process():
        return
    checkpoint = make_checkpoint(model, optimizer, meta, resume)
    if uri_prefix(filename) is None and backend == "disk":
        write_checkpoint(checkpoint, filename)
    else:
        _upload_checkpoint(checkpoint, filename, file_client_args)


def make_checkpoint(
    model: nn.Module, optimizer: Any, meta: dict[str, Any] | None, resume: dict[str, Any] | None
) -> dict[str, Any]:
    """Return what ``save_checkpoint`` writes; its tensors are those of the model and the optimizer, if on the CPU."""
    checkpoint: dict[str, Any] = {
        "meta": checkpoint_meta(model, meta),
        "state_dict": weights_to_cpu(get_state_dict(model)),
    }
    if isinstance(optimizer, dict):
        checkpoint["optimizer"] = {name: each.state_dict() for name, each in optimizer.items()}
    elif optimizer is not None:
        checkpoint["optimizer"] = optimizer.state_dict()
    if resume is not None:
        checkpoint["resume"] = resume
    return checkpoint


def checkpoint_meta(model: nn.Module, meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the meta of a checkpoint: what is given, the versions, the time, and the classes of the model."""
    full = {**(meta or {}), **version_meta(), "time": time.asctime()}
    inner = unwrap_model(model)
    if getattr(inner, "CLASSES", None) is not None:
        full["CLASSES"] = inner.CLASSES
    return full


def _upload_checkpoint(
    checkpoint: dict[str, Any], filename: str | Path, file_client_args: Mapping[str, Any] | None
) -> None:
    if uri_prefix(filename) == "pavi":
        raise ArgumentError(
            f"Checkpoints are not uploaded to Pavi: save a file and upload it with its SDK, not {filename}.",
            argument="filename",
        )
    client = FileClient.infer_client(dict(file_client_args) if file_client_args else None, filename)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint.pth"
        write_checkpoint(checkpoint, file)
        try:
            client.put(file.read_bytes(), filename)
        except Exception as error:  # each backend raises its own errors
            raise CheckpointError(
                f"The checkpoint {display_name(filename)} cannot be written: {error}"
            ) from error


def write_checkpoint(checkpoint: dict[str, Any], filename: str | Path) -> None:
    """Write a checkpoint durably to a file, with its digest.

    Raises:
        CheckpointError: The file cannot be written; a previous file remains unchanged.
        ArgumentTypeError: The checkpoint has a ``resume`` block, and contains objects that cannot be
            loaded safely.
    """
    try:
        mkdir_or_exist(Path(filename).parent)
        with atomic_write(filename) as file, _with_crc():
            torch.save(checkpoint, file)
            if "resume" in checkpoint:
                _check_readable(file, checkpoint)
            append_digest(file)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        if isinstance(error, ArgumentTypeError):
            raise
        raise _not_plain(checkpoint, str(error)) from error
    except (OSError, RuntimeError) as error:
        reason = first_error(error)
        if not isinstance(reason, Exception):
            raise reason from None
        raise CheckpointError(f"The checkpoint {filename} cannot be written: {reason}.") from error


def _check_readable(file: IO[bytes], checkpoint: dict[str, Any]) -> None:
    """Raise for content that ``weights_only`` would refuse later, when the run is resumed."""
    file.seek(0)
    with allow_numpy():
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    if unsafe:
        raise _not_plain(checkpoint, ", ".join(sorted(unsafe)))


def _not_plain(checkpoint: dict[str, Any], reason: str) -> ArgumentTypeError:
    places = ", ".join(f"{key} ({kind})" for key, kind in islice(objects_in(checkpoint), 5))
    return ArgumentTypeError(
        f"No run could resume from this checkpoint, because it contains more than tensors and plain data: "
        f"{places or reason}. Give the state of hooks, models and optimizers as numbers, str, lists, dicts and "
        "tensors, or register the type with torch.serialization.add_safe_globals."
    )


def first_error(error: BaseException) -> BaseException:
    """Return the error that came first: torch then still tries to finish the file, which fails with another one."""
    first = error
    while isinstance(first, RuntimeError) and first.__context__ is not None:
        first = first.__context__
    return error if isinstance(first, RuntimeError) else first


@contextmanager
def _with_crc() -> Iterator[None]:
    """Let torch write the CRC of each record: the digest relies on it, and the user may have disabled it."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)
