"""Load checkpoints: verified, and without running code that they contain."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import nn

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.plain_data import allow_numpy
from cfgtrain.checkpoint.schemes import local_checkpoint
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.errors import CheckpointError
from cfgtrain.suggestions import with_article

__all__ = ["load_checkpoint", "read_checkpoint"]

REVISE_KEYS = ((r"^module\.", ""),)

_MAGIC = (b"PK\x03\x04", b"\x80")  # of torch's zip format and of its old format, a pickle


def load_checkpoint(
    model: nn.Module,
    filename: str | Path,
    map_location: Any = "cpu",
    strict: bool = False,
    revise_keys: Sequence[tuple[str, str]] = REVISE_KEYS,
    trusted: bool = False,
) -> Any:
    """Load weights from a checkpoint into a model.

    Args:
        model: The model; it may be wrapped.
        filename: Path or URI of the checkpoint, see ``cfgtrain.checkpoint.schemes``; ``~`` is expanded.
        map_location: Device that the tensors are loaded to.
        strict: Whether differing names or shapes are an error instead of a warning.
        revise_keys: Pairs of a regular expression and its replacement, applied in order to
            every name.
        trusted: Whether a file that contains more than plain data may run code while it is loaded.

    Returns:
        The content of the checkpoint.

    Raises:
        CheckpointError: The file does not exist, is damaged, is not a checkpoint or needs ``trusted``.
    """
    checkpoint = read_checkpoint(filename, map_location, trusted)
    weights = checkpoint.get("state_dict", checkpoint)
    revised = OrderedDict((_revised(name, revise_keys), value) for name, value in weights.items())
    revised._metadata = getattr(weights, "_metadata", OrderedDict())  # type: ignore[attr-defined]  # as torch does
    load_state_dict(model, revised, strict)
    return checkpoint


def read_checkpoint(
    filename: str | Path, map_location: Any = "cpu", trusted: bool = False, *, mmap: bool = False
) -> dict[str, Any]:
    """Verify a checkpoint and return its content; see ``load_checkpoint``.

    With ``mmap``, the weights are not read into memory before they are used, if the format of the
    file allows it.
    """
    with local_checkpoint(filename) as path, ThreadPoolExecutor(1) as verifier:
        verdict = verifier.submit(verify_digest, path, filename)
        try:
            checkpoint = _load(path, filename, map_location, trusted, mmap)
        except CheckpointError:
            verdict.result()  # "is damaged" is more helpful than the error that damage leads to
            raise
        has_digest = verdict.result()
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{filename} is not a checkpoint: it contains {with_article(type(checkpoint).__name__)}."
        )
    if not has_digest and "resume" in checkpoint:
        raise CheckpointError(f"The checkpoint {filename} is damaged: its digest is missing.")
    return checkpoint


def read_lazily(path: Path, trusted: bool = False) -> dict[str, Any]:
    """Return the content of a local checkpoint without reading its weights from disk.

    Args:
        path: Path of the file.
        trusted: As for ``load_checkpoint``.

    Raises:
        CheckpointError: The file cannot be read, or is not a checkpoint. The message does not
            contain the path.
    """
    checkpoint = _torch_load(path, "it", "cpu", trusted, mmap=True)
    if not isinstance(checkpoint, dict):
        raise CheckpointError("it is not a checkpoint")
    return checkpoint


def _load(path: Path, name: str | Path, map_location: Any, trusted: bool, mmap: bool) -> Any:
    with path.open("rb") as file:
        if not file.read(4).startswith(_MAGIC):
            raise CheckpointError(
                f"The checkpoint {name} cannot be read: it does not start like a file of torch.save."
            )
        is_zip = is_zipfile(file)
        file.seek(0)
        if file.read(2) == b"PK" and not is_zip:
            raise CheckpointError(f"The checkpoint {name} cannot be read: its end is missing.")
    return _torch_load(path, f"The checkpoint {name}", map_location, trusted, mmap and is_zip)


def _torch_load(path: Path, subject: str, map_location: Any, trusted: bool, mmap: bool) -> Any:
    """Call ``torch.load``. ``subject`` is the file in the message of an error."""
    try:
        with allow_numpy():
            return torch.load(path, map_location=map_location, weights_only=not trusted, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{subject} {_untrusted(path, error)}") from error
    except Exception as error:  # reading a damaged file can fail in any way
        raise CheckpointError(f"{subject} cannot be read: {_first_line(error)}") from error


def _untrusted(path: Path, error: pickle.UnpicklingError) -> str:
    """Return why a checkpoint is refused that was not trusted, and how to trust it."""
    found: list[str] = []
    with suppress(Exception), allow_numpy():  # only files of the zip format can be searched
        found = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    reason = re.search(r"WeightsUnpickler error: (.*?)\.?( Please use .*)?$", str(error), re.MULTILINE)
    what = ", ".join(found[:5]) if found else reason[1] if reason else _first_line(error)
    return (
        f"contains more than weights and plain data, which could run code when loaded, and is refused: {what}. If "
        "you trust its origin, use the option --trust-checkpoint of cfgtrain train, which applies to load_from and "
        "resume, or in code load_checkpoint(..., trusted=True)."
    )


def _revised(name: str, revise_keys: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in revise_keys:
        name = re.sub(pattern, replacement, name)
    return name


def _first_line(error: BaseException) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch prints some words in bold
    return (text.splitlines() or [type(error).__name__])[0][:200]
