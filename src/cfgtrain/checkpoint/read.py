"""Read checkpoint files: verified, and without running code that they contain."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from cfgtrain.checkpoint.digest import verify_digest
from cfgtrain.checkpoint.safetensors_file import is_safetensors, read_safetensors
from cfgtrain.checkpoint.sharded import (
    has_shards,
    read_full,
    read_mark,
    verified_files,
    verify_files,
    verify_shards,
)
from cfgtrain.checkpoint.torch_file import read_torch_file
from cfgtrain.errors import CheckpointError
from cfgtrain.suggestions import with_article

__all__ = ["as_checkpoint", "read_file", "read_lazily", "verify_checkpoint"]


def read_file(
    path: Path,
    name: str | Path | None = None,
    map_location: Any = "cpu",
    trusted: bool = False,
    mmap: bool = False,
) -> Any:
    """Verify a local checkpoint and return its content.

    Args:
        path: Path of the file, in a format of ``torch.save`` or that of safetensors, or of a folder of shards.
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
    # Reading the mark filters warnings, which two threads must not do at the same time.
    files = verified_files(path, name, trusted) if has_shards(path) else None
    with ThreadPoolExecutor(1) as verifier:
        if files is None:
            verdict: Future[Any] = verifier.submit(verify_digest, path, name)
        else:
            verdict = verifier.submit(verify_files, path, name, files)
        try:
            if files is not None:
                content = read_full(path, name, map_location, trusted)
            else:
                content = read_torch_file(path, f"The checkpoint {name}", map_location, trusted, mmap)
        except CheckpointError:
            verdict.result()  # "is damaged" is more helpful than the error that damage leads to
            raise
        verdict.result()
    return content


def verify_checkpoint(path: Path, name: str | Path | None = None, trusted: bool = False) -> bool:
    """Check a checkpoint, a file or a folder of shards, for damage, and return whether it has a digest.

    Args:
        path: Path of the file or folder.
        name: How messages name it, by default as ``path``.
        trusted: Whether a folder may run code while its list of shards is loaded.

    Raises:
        CheckpointError: The content is not what was written, or a part is missing.
    """
    return verify_shards(path, name, trusted) if has_shards(path) else verify_digest(path, name)


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
        path: Path of the file; or of a folder of shards, whose tensors are then on the meta device.
        trusted: As for ``load_checkpoint``.

    Raises:
        CheckpointError: The file cannot be read, or is not a checkpoint. The message does not
            contain the path.
    """
    if has_shards(path):
        return read_mark(path, trusted)
    checkpoint = read_torch_file(path, "it", "cpu", trusted, mmap=True)
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"it is not a checkpoint: it contains {with_article(type(checkpoint).__name__)}"
        )
    return checkpoint
