"""Look into batches of any structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

__all__ = ["batch_text", "tensors_in"]

MAX_ITEMS = 8  # that are described


def tensors_in(batch: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a batch with their paths in it, such as ``"img"`` or ``"[0]"``."""
    if isinstance(batch, Tensor):
        yield name, batch
    elif isinstance(batch, Mapping):
        for key, value in batch.items():
            yield from tensors_in(value, f"{name}.{key}" if name else str(key))
    elif isinstance(batch, list | tuple):
        for i, value in enumerate(batch):
            yield from tensors_in(value, f"{name}[{i}]")


def batch_text(batch: Any) -> str:
    """Return the names, shapes and dtypes of the tensors of a batch, such as ``"img (64, 1, 32, 32) float32"``."""
    found = [
        f"{name} {tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}".lstrip()
        for name, tensor in tensors_in(batch)
    ]
    more = f" and {len(found) - MAX_ITEMS} more" if len(found) > MAX_ITEMS else ""
    return (", ".join(found[:MAX_ITEMS]) or f"no tensors: it is a {type(batch).__name__}") + more
