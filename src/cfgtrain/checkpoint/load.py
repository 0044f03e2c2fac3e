"""Load checkpoints: verified, and without running code that they contain."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgtrain.checkpoint.digest import verify_digest
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


def read_checkpoint(filename: str | Path, map_location: Any = "cpu", trusted: bool = False) -> dict[str, Any]:
    """Verify a checkpoint and return its content; see ``load_checkpoint``."""
    with local_checkpoint(filename) as path, ThreadPoolExecutor(1) as verifier:
        verdict = verifier.submit(verify_digest, path, filename)
        try:
            checkpoint = _load(path, filename, map_location, trusted)
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


def read_lazily(path: Path) -> dict[str, Any]:
    """Return the content of a local checkpoint without reading its weights from disk.

    Raises:
        CheckpointError: The file cannot be read, or is not a checkpoint. The message does not
            contain the path.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # reading a damaged file can fail in any way
        raise CheckpointError(f"it cannot be read: {_first_line(error)[:120]}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError("it is not a checkpoint")
    return checkpoint


def _load(path: Path, name: str | Path, map_location: Any, trusted: bool) -> Any:
    with path.open("rb") as file:
        if not file.read(4).startswith(_MAGIC):
            raise CheckpointError(
                f"The checkpoint {name} cannot be read: it does not start like a file of torch.save."
            )
    try:
        return torch.load(path, map_location=map_location, weights_only=not trusted)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"The checkpoint {name} contains more than weights and plain data, which could run code when "
            f"loaded, and is refused. If you trust its origin, load it with trusted=True. ({_first_line(error)})"
        ) from error
    except Exception as error:  # reading a damaged file can fail in any way
        raise CheckpointError(f"The checkpoint {name} cannot be read: {_first_line(error)}") from error


def _revised(name: str, revise_keys: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in revise_keys:
        name = re.sub(pattern, replacement, name)
    return name


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
