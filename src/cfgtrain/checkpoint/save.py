"""Write checkpoints that are whole or not there.

The bytes go to a temporary file, are synced and renamed into place (``atomic_write``), and
the file ends in a digest (``cfgtrain.checkpoint.digest``).
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from cfgtrain.checkpoint.digest import append_digest
from cfgtrain.checkpoint.state_dict import get_state_dict, weights_to_cpu
from cfgtrain.errors import ArgumentTypeError, CheckpointError
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.utils.paths import mkdir_or_exist

__all__ = ["save_checkpoint"]


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
        ArgumentTypeError: It is to be gone on from, and holds what cannot be read back safely.
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
        reason = _begun_with(error)
        if not isinstance(reason, Exception):
            raise reason from None
        raise CheckpointError(f"The checkpoint {filename} cannot be written: {reason}.") from error


def _check_readable(file: IO[bytes], checkpoint: dict[str, Any]) -> None:
    """Refuse what ``weights_only`` would refuse when it is too late: a run could not go on from it."""
    file.seek(0)
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    if unsafe:
        raise _not_plain(checkpoint, ", ".join(sorted(unsafe)))


def _not_plain(checkpoint: dict[str, Any], told: str) -> ArgumentTypeError:
    places = ", ".join(f"{place} ({kind})" for place, kind in islice(_objects(checkpoint, ""), 5))
    return ArgumentTypeError(
        f"No run could go on from this checkpoint, as it holds more than tensors and plain data: {places or told}. "
        "Give the state of hooks, models and optimizers as numbers, str, lists, dicts and tensors, or let "
        "torch.serialization.add_safe_globals vouch for the type."
    )


def _objects(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield where something lies that is neither plain data nor a tensor, and its type."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _objects(each, f"{place}.{key}" if place else str(key))
    elif type(value) in (list, tuple, set):
        for number, each in enumerate(value):
            yield from _objects(each, f"{place}[{number}]")
    elif not isinstance(value, torch.Tensor) and type(value) not in _PLAIN:
        yield place, f"{type(value).__module__}.{type(value).__qualname__}"


_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device)


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
