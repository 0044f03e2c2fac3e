"""Read checkpoints: verified, and without running what is inside them."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import nn

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.state_dict import load_state_dict
from cfgtrain.errors import CheckpointError
from cfgtrain.suggestions import suggest, with_article

__all__ = ["load_checkpoint", "read_checkpoint"]

REVISE_KEYS = ((r"^module\.", ""),)

_BEGINNINGS = (b"PK\x03\x04", b"\x80")  # of torch's zip format and of its old one, a pickle


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
        model: Wrappers are looked through.
        filename: The checkpoint; ``~`` is expanded.
        map_location: Where the tensors go first.
        strict: Whether names or shapes that differ are an error, not a warning.
        revise_keys: Pairs of a regular expression and its replacement, applied in order to
            every name.
        trusted: Whether a file that holds more than plain data may run code to load it.

    Returns:
        The checkpoint as it was read.

    Raises:
        CheckpointError: The file is not there, is damaged, is no checkpoint or needs ``trusted``.
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
    """Verify and read a checkpoint; see ``load_checkpoint``.

    With ``mmap``, the weights are not read into memory before they are used, if the format of the
    file allows it.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.pth")] if path.parent.is_dir() else []
        raise CheckpointError(f"There is no checkpoint {filename}.{suggest(path.name, near)}")
    with ThreadPoolExecutor(1) as verifier:
        verdict = verifier.submit(verify_digest, path)
        try:
            checkpoint = _load(path, map_location, trusted, mmap)
        except CheckpointError:
            verdict.result()  # that the file is damaged says more than what became of it
            raise
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{filename} is no checkpoint: it holds {with_article(type(checkpoint).__name__)}."
        )
    if not verdict.result() and "resume" in checkpoint:
        raise CheckpointError(f"The checkpoint {filename} is damaged: its digest is cut off.")
    return checkpoint


def _load(filename: Path, map_location: Any, trusted: bool, mmap: bool) -> Any:
    with filename.open("rb") as file:
        if not file.read(4).startswith(_BEGINNINGS):
            raise CheckpointError(f"The checkpoint {filename} cannot be read: it does not begin as one does.")
        is_zip = is_zipfile(file)
        file.seek(0)
        if file.read(2) == b"PK" and not is_zip:
            raise CheckpointError(f"The checkpoint {filename} cannot be read: its end is missing.")
    try:
        return torch.load(filename, map_location=map_location, weights_only=not trusted, mmap=mmap and is_zip)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"The checkpoint {filename} holds more than weights and plain data, which could run code when "
            f"loaded, and is refused. If you trust where it comes from, load it with trusted=True. ({_first(error)})"
        ) from error
    except Exception as error:  # a damaged file can fail in any way
        raise CheckpointError(f"The checkpoint {filename} cannot be read: {_first(error)}") from error


def _revised(name: str, revise_keys: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in revise_keys:
        name = re.sub(pattern, replacement, name)
    return name


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
