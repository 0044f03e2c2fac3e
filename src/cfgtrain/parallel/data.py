"""Move batches to a device, and change the tensors in other nested data."""

from __future__ import annotations

from collections import OrderedDict
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

    return map_tensors(batch, move)


def unpack_containers(batch: Any) -> Any:
    """Return ``batch`` with every ``DataContainer`` in nested dicts, lists and tuples replaced by its data.

    Raises:
        ArgumentError: A ``DataContainer`` has data for more than one device.
    """
    return map_tensors(batch, lambda tensor: tensor)


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return a copy of nested dicts, lists and tuples in which a function was applied to every tensor.

    The state dict of a module keeps the versions of its modules. A ``DataContainer`` is replaced by its data, to which
    the function is applied unless they are ``cpu_only``. Other values are returned unchanged.

    Raises:
        ArgumentError: A ``DataContainer`` has data for more than one device.
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, (list, tuple)):
        items = [map_tensors(item, function) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, OrderedDict):
        copied = OrderedDict((key, map_tensors(item, function)) for key, item in value.items())
        if hasattr(value, "_metadata"):  # of a state dict
            copied._metadata = value._metadata  # type: ignore[attr-defined]  # as torch sets it
        return copied
    if isinstance(value, (dict, Mapping)):  # a dict, as most are, is recognized at once
        return {key: map_tensors(item, function) for key, item in value.items()}
    if isinstance(value, DataContainer):
        data = _chunk(value)
        return data if value.cpu_only else map_tensors(data, function)
    return value


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
