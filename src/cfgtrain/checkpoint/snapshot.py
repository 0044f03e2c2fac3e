"""Copy a checkpoint in memory, so that it can be written while the training continues."""

from __future__ import annotations

import copy
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Snapshots"]


class Snapshots:
    """Takes copies of checkpoints on the CPU.

    Their memory is used again for the next copy: memory that is new to the process costs several times as
    much time as the copying, because the system has to clear it first. So one copy exists at a time.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[int, bool], deque[Tensor]] = {}
        self._used: dict[tuple[int, bool], deque[Tensor]] = {}

    def take(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return a deep copy of a checkpoint with its tensors on the CPU; the copy before is overwritten.

        Saved to a file, it is the same as the checkpoint: tensors that share memory share it in the copy.
        """
        self._free, self._used = self._used, defaultdict(deque)
        storages: dict[int, Tensor] = {}
        copies: dict[int, Any] = {}  # as copy.deepcopy uses it: the copy of each object by its id
        devices = set()
        for tensor in _plain_tensors(checkpoint):
            if id(tensor) not in copies:
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in storages:
                    storages[key] = self._copy(storage)
                    devices.add(tensor.device)
                copied = torch.empty(0, dtype=tensor.dtype)
                copied.set_(
                    storages[key].untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride()
                )
                copies[id(tensor)] = copied.requires_grad_(tensor.requires_grad)
        for device in devices:
            if device.type == "cuda":  # copies to pinned memory do not wait for their end
                torch.cuda.synchronize(device)
        self._free = {}
        return copy.deepcopy(checkpoint, copies)

    def _copy(self, storage: torch.UntypedStorage) -> Tensor:
        """Return the bytes of a storage on the CPU, in pinned memory if they are on a CUDA device."""
        pinned = storage.device.type == "cuda"
        key = storage.nbytes(), pinned
        free = self._free.get(key)
        buffer = free.popleft() if free else torch.empty(key[0], dtype=torch.uint8, pin_memory=pinned)
        source = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        buffer.copy_(source, non_blocking=pinned)
        self._used[key].append(buffer)
        return buffer


def _plain_tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in dicts, lists and tuples, without those that only ``copy.deepcopy`` can copy."""
    if isinstance(value, Tensor):
        special = value.is_quantized or value.is_conj() or value.is_neg() or value.__dict__
        if type(value) is Tensor and value.layout is torch.strided and not special:
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _plain_tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _plain_tensors(each)
