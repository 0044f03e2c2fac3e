"""Write checkpoints that are whole or not there.

The bytes go to a temporary file, are synced and renamed into place (``atomic_write``), and
the file ends in a digest (``cfgtrain.checkpoint.digest``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgtrain.checkpoint.digest import append_digest
from cfgtrain.checkpoint.state_dict import get_state_dict, weights_to_cpu
from cfgtrain.errors import ArgumentTypeError, CheckpointError
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.utils.paths import atomic_write, mkdir_or_exist

__all__ = ["save_checkpoint", "write_checkpoint"]


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
        with atomic_write(filename) as file, _with_crc():
            torch.save(checkpoint, file)
            append_digest(file)
    except (OSError, RuntimeError) as error:
        reason = _begun_with(error)
        if not isinstance(reason, Exception):
            raise reason from None
        raise CheckpointError(f"The checkpoint {filename} cannot be written: {reason}.") from error


def _begun_with(error: BaseException) -> BaseException:
    """Return what went wrong first: torch ends the file all the same, which then fails with an error of its own."""
    before = error
    while isinstance(before, RuntimeError) and before.__context__ is not None:
        before = before.__context__
    return error if isinstance(before, RuntimeError) else before


@contextmanager
def _with_crc() -> Iterator[None]:
    """Have torch write the CRC of each record, which the digest builds on and a user may have turned off."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)
