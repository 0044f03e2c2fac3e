"""Read files that ``torch.save`` wrote, without running code that they contain."""

from __future__ import annotations

import pickle
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch

from cfgtrain.checkpoint.plain_data import allow_numpy
from cfgtrain.errors import CheckpointError

__all__ = ["read_torch_file"]

_MAGIC = (b"PK\x03\x04", b"\x80")  # of torch's zip format and of its old format, a pickle


def read_torch_file(path: Path, subject: str, map_location: Any, trusted: bool, mmap: bool) -> Any:
    """Return the content of a file.

    Args:
        path: Path of the file.
        subject: The file in the message of an error.
        map_location: Device that the tensors are loaded to.
        trusted: Whether a file that contains more than plain data may run code while it is loaded.
        mmap: Whether the weights are not read into memory before they are used, if the format allows it.

    Raises:
        CheckpointError: The file cannot be read, is not of ``torch.save`` or needs ``trusted``.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(4)
            is_zip = is_zipfile(file)
    except OSError as error:
        raise CheckpointError(f"{subject} cannot be read: {error.strerror or error}") from error
    if not begin.startswith(_MAGIC):
        what = "it does not start like a file of torch.save" if begin else "it is empty"
        raise CheckpointError(f"{subject} cannot be read: {what}.")
    if begin.startswith(b"PK") and not is_zip:
        raise CheckpointError(f"{subject} cannot be read: its end is missing.")
    return _torch_load(path, subject, map_location, trusted, mmap and is_zip)


def _torch_load(path: Path, subject: str, map_location: Any, trusted: bool, mmap: bool) -> Any:
    """Call ``torch.load``. ``subject`` is the file in the message of an error."""
    try:
        with allow_numpy(), warnings.catch_warnings():
            # A warning about the version of the pickle: the error that may follow says more.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location=map_location, weights_only=not trusted, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{subject} {_untrusted(path, error)}") from error
    except EOFError as error:
        raise CheckpointError(f"{subject} cannot be read: its end is missing.") from error
    except Exception as error:  # reading a damaged file can fail in any way
        raise CheckpointError(f"{subject} cannot be read: {_first_line(error)}") from error


def _untrusted(path: Path, error: pickle.UnpicklingError) -> str:
    """Return why a checkpoint is refused that was not trusted, and how to trust it."""
    found: list[str] = []
    with suppress(Exception), allow_numpy():  # only files of the zip format can be searched
        found = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    inner = error.__context__ if isinstance(error.__context__, pickle.UnpicklingError) else error
    reason = re.search(r"WeightsUnpickler error:\s*(\S.*?)\.?( Please use .*)?$", str(error), re.MULTILINE)
    what = ", ".join(found[:5]) if found else reason[1] if reason else _first_line(inner).rstrip(".")
    is_model = any(each.startswith("torch.nn.modules.") for each in found)
    advice = (
        " It seems to be a whole model: save its weights, model.state_dict(), instead." if is_model else ""
    )
    return (
        f"contains more than weights and plain data, which could run code when loaded, and is refused: {what}."
        f"{advice} If "
        "you trust its origin, use the option --trust-checkpoint, which in cfgtrain train applies to load_from and "
        "resume, or in code load_checkpoint(..., trusted=True)."
    )


def _first_line(error: BaseException) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch prints some words in bold
    return (text.splitlines() or [type(error).__name__])[0][:200]
