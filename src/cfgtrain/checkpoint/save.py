"""Write checkpoints that are whole or not there.

The bytes go to a temporary file, are synced and renamed into place (``atomic_write``). The
last line of the file is the SHA-256 of everything before it, so that the digest can
neither be lost nor belong to another file; readers of torch's zip format, torch itself
among them, pass over it.
"""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import nn

from cfgtrain.checkpoint.state_dict import get_state_dict, weights_to_cpu
from cfgtrain.errors import ArgumentTypeError, CheckpointError
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.utils.paths import atomic_write, mkdir_or_exist

__all__ = ["TRAILER", "save_checkpoint", "write_checkpoint"]

TRAILER = b"\ncfgtrain-sha256:"
TRAILER_LENGTH = len(TRAILER) + 64 + 1


def save_checkpoint(
    model: nn.Module,
    filename: str | Path,
    optimizer: Any = None,
    meta: dict[str, Any] | None = None,
    resume: dict[str, Any] | None = None,
) -> None:
    """Save a model, and what is needed to go on training it, in MMCV's format.

    Args:
        model: Wrappers are looked through.
        filename: Where to; its folder is made.
        optimizer: An optimizer, or a dict of them by name; None leaves it out.
        meta: Facts about the run, of plain types. Not changed.
        resume: The exact state of the run; see ``RunState`` in the runner.

    Raises:
        ArgumentTypeError: ``meta`` is neither a dict nor None.
        CheckpointError: The file cannot be written; what was there before is untouched.
    """
    if not isinstance(meta, dict | None):
        raise ArgumentTypeError(f"meta is a dict or None, not {meta!r}.")
    meta = {**(meta or {}), "time": time.asctime()}
    inner = unwrap_model(model)
    if getattr(inner, "CLASSES", None) is not None:
        meta["CLASSES"] = inner.CLASSES
    checkpoint: dict[str, Any] = {"meta": meta, "state_dict": weights_to_cpu(get_state_dict(model))}
    if isinstance(optimizer, dict):
        checkpoint["optimizer"] = {name: each.state_dict() for name, each in optimizer.items()}
    elif optimizer is not None:
        checkpoint["optimizer"] = optimizer.state_dict()
    if resume is not None:
        checkpoint["resume"] = resume
    write_checkpoint(checkpoint, filename)


def write_checkpoint(checkpoint: dict[str, Any], filename: str | Path) -> None:
    """Write ``checkpoint`` durably under ``filename``, with its digest.

    Raises:
        CheckpointError: The file cannot be written; what was there before is untouched.
    """
    try:
        mkdir_or_exist(Path(filename).parent)
        with ThreadPoolExecutor(1) as hasher, atomic_write(filename) as file:
            writer = _HashingWriter(file, hasher)
            torch.save(checkpoint, cast("IO[bytes]", writer))
            file.write(TRAILER + writer.hexdigest() + b"\n")
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"The checkpoint {filename} cannot be written: {error}.") from error


class _HashingWriter:
    """Passes bytes on to a file and keeps their digest, worked out while they are being written."""

    def __init__(self, file: IO[bytes], hasher: Executor) -> None:
        self._file = file
        self._hasher = hasher
        self._sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        hashed = self._hasher.submit(self._sha256.update, data)
        written = self._file.write(data)
        hashed.result()  # torch uses the memory again once this returns
        return written

    def flush(self) -> None:
        """Do nothing: the whole file is synced once, at the end."""

    def hexdigest(self) -> bytes:
        return self._sha256.hexdigest().encode()
