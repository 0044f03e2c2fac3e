"""Move batches to a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cfgtrain.errors import ArgumentError
from cfgtrain.parallel.data_container import DataContainer

__all__ = ["to_device", "unpack_containers"]


def to_device(batch: Any, device: torch.device) -> Any:
    """Return ``batch`` with every tensor in nested dicts, lists and tuples moved to ``device``.

    The batch itself is not changed. Copies from pinned memory are asynchronous. A ``DataContainer`` is replaced by
    its data, of which those that are ``cpu_only`` are not moved. Other values are returned unchanged.

    Raises:
        ArgumentError: A ``DataContainer`` has data for more than one device.
    """

    def move(tensor: Tensor) -> Tensor:
        return tensor if tensor.device == device else tensor.to(device, non_blocking=True)

    return _mapped(batch, move)


def unpack_containers(batch: Any) -> Any:
    """Return ``batch`` with every ``DataContainer`` in nested dicts, lists and tuples replaced by its data.

    Raises:
        ArgumentError: A ``DataContainer`` has data for more than one device.
    """
    return _mapped(batch, lambda tensor: tensor)


def _mapped(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, (list, tuple)):
        items = [_mapped(item, function) for item in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    if isinstance(batch, (dict, Mapping)):  # a dict, as most are, is recognized at once
        return {key: _mapped(value, function) for key, value in batch.items()}
    if isinstance(batch, DataContainer):
        data = _chunk(batch)
        return data if batch.cpu_only else _mapped(data, function)
    return batch


def _chunk(container: DataContainer) -> Any:
    """Return the data of a container for one device: after ``collate``, its only chunk."""
    data = container.data
    if not isinstance(data, list):
        return data
    if len(data) != 1:
        raise ArgumentError(
            f"A DataContainer has data for {len(data)} devices, but the model is on one. "
            "The samples_per_gpu of collate must be the batch size."
        )
    return data[0]
