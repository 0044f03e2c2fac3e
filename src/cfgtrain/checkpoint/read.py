"""Read checkpoint files: verified, and without running code that they contain."""

from __future__ import annotations

import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.plain_data import allow_numpy
from cfgtrain.checkpoint.safetensors_file import is_safetensors, read_safetensors
from cfgtrain.errors import CheckpointError
from cfgtrain.suggestions import with_article

__all__ = ["as_checkpoint", "read_file", "read_lazily"]

_MAGIC = (b"PK\x03\x04", b"\x80")  # of torch's zip format and of its old format, a pickle


def read_file(
    path: Path,
    name: str | Path | None = None,
    map_location: Any = "cpu",
    trusted: bool = False,
    mmap: bool = False,
) -> Any:
    """Verify a local checkpoint and return its content.

    Args:
        path: Path of the file, in a format of ``torch.save`` or that of safetensors.
        name: How messages name the file, by default as ``path``.
        map_location: Device that the tensors are loaded to.
        trusted: Whether a file that contains more than plain data may run code while it is loaded.
        mmap: Whether the weights are not read into memory before they are used, if the format allows it.

    Raises:
        CheckpointError: The file is damaged, is not a checkpoint or needs ``trusted``.
    """
    name = name or path
    if is_safetensors(path):
        return read_safetensors(path, name, map_location)
    with ThreadPoolExecutor(1) as verifier:
        verdict = verifier.submit(verify_digest, path, name)
        try:
            content = _load(path, f"The checkpoint {name}", map_location, trusted, mmap)
        except CheckpointError:
            verdict.result()  # "is damaged" is more helpful than the error that damage leads to
            raise
        verdict.result()
    return content


def as_checkpoint(content: Any, name: str | Path) -> dict[str, Any]:
    """Return the content of a checkpoint file, after checking that it is a dict.

    Raises:
        CheckpointError: It is not a dict.
    """
    if isinstance(content, torch.nn.Module):
        raise CheckpointError(
            f"{name} is not a checkpoint: it contains a whole model, {with_article(type(content).__name__)}.",
            hint="Save its weights instead: torch.save(model.state_dict(), file).",
        )
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{name} is not a checkpoint: it contains {with_article(type(content).__name__)}."
        )
    return content


def read_lazily(path: Path, trusted: bool = False) -> dict[str, Any]:
    """Return the content of a local checkpoint without reading its weights from disk.

    Args:
        path: Path of the file.
        trusted: As for ``load_checkpoint``.

    Raises:
        CheckpointError: The file cannot be read, or is not a checkpoint. The message does not
            contain the path.
    """
    checkpoint = _load(path, "it", "cpu", trusted, mmap=True)
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"it is not a checkpoint: it contains {with_article(type(checkpoint).__name__)}"
        )
    return checkpoint


def _load(path: Path, subject: str, map_location: Any, trusted: bool, mmap: bool) -> Any:
    """Return the content of a file. ``subject`` is the file in the message of an error."""
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
