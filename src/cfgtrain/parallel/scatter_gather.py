"""Divide the inputs of a model between devices, with MMCV's functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.parallel.data_container import DataContainer

__all__ = ["Scatter", "get_input_device", "scatter", "scatter_kwargs"]


def scatter(inputs: Any, target_gpus: Sequence[int | torch.device], dim: int = 0) -> list[Any]:
    """Divide inputs between devices (MMCV name).

    Tensors are divided along ``dim``. Of a ``DataContainer`` each device gets a chunk, on the CPU if it is
    ``cpu_only``. Dicts, lists and tuples are divided item by item. All other values, and tensors without
    dimensions, are the same for each device.

    Args:
        inputs: The inputs.
        target_gpus: Indices of CUDA devices; -1 is the CPU.
        dim: Dimension along which tensors are divided.

    Returns:
        The inputs of each device. They can be fewer than the devices, if the batch is small.

    Raises:
        ArgumentError: The values are divided into different numbers of parts.
    """
    devices = list(map(_device, target_gpus))
    if not devices:
        raise ArgumentError("target_gpus must have at least one device.", argument="target_gpus")
    parts = _split(inputs, devices, dim)
    return [inputs] * len(devices) if parts is None else parts


def scatter_kwargs(
    inputs: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    target_gpus: Sequence[int | torch.device],
    dim: int = 0,
) -> tuple[tuple[tuple[Any, ...], ...], tuple[dict[str, Any], ...]]:
    """Divide positional and keyword arguments between devices; see ``scatter`` (MMCV name).

    Returns:
        The positional arguments of each device, and its keyword arguments; both have the same length.
    """
    parts = scatter((tuple(inputs), dict(kwargs)), target_gpus, dim)
    return tuple(part[0] for part in parts), tuple(part[1] for part in parts)


def _split(value: Any, devices: list[torch.device], dim: int) -> list[Any] | None:
    """Return the part of each device, or None if the value is the same for each."""
    if isinstance(value, Tensor):
        chunks = value.chunk(len(devices), dim) if value.dim() else [value] * len(devices)
        return [_to(chunk, device) for chunk, device in zip(chunks, devices, strict=False)]
    if isinstance(value, DataContainer):
        data = value.data if isinstance(value.data, list) else [value.data]
        if len(data) > len(devices):
            raise ArgumentError(
                f"A DataContainer has data for {len(data)} devices, and there are {len(devices)}. "
                "The samples_per_gpu of collate must be the batch size of a device."
            )
        return data if value.cpu_only else [_to(*each) for each in zip(data, devices, strict=False)]
    if isinstance(value, Mapping):
        return _join(list(value.values()), devices, dim, lambda items: dict(zip(value, items, strict=True)))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _join(value, devices, dim, lambda items: type(value)(*items))
    if isinstance(value, list | tuple):
        return _join(value, devices, dim, type(value))
    return None


def _join(values: Sequence[Any], devices: list[torch.device], dim: int, make: Any) -> list[Any] | None:
    """Divide values, and return what ``make`` returns for those of each device, or None as ``_split`` does."""
    divided = [_split(value, devices, dim) for value in values]
    counts = sorted({len(parts) for parts in divided if parts is not None})
    if not counts:
        return None
    if len(counts) > 1:
        raise ArgumentError(f"The values of a batch are divided into different numbers of parts: {counts}.")
    rows = (
        [value if parts is None else parts[i] for value, parts in zip(values, divided, strict=True)]
        for i in range(counts[0])
    )
    return [make(row) for row in rows]


class Scatter:
    """Copies a value to devices (MMCV name)."""

    @staticmethod
    def forward(target_gpus: Sequence[int | torch.device], input: Any) -> tuple[Any, ...]:  # noqa: A002  # MMCV's name
        """Return a tensor on the first device, or the items of a list, divided in turn between the devices.

        Args:
            target_gpus: Indices of CUDA devices; -1 is the CPU.
            input: A tensor, or a list of tensors and such lists.

        Raises:
            ArgumentTypeError: ``input`` is neither.
        """
        get_input_device(input)  # it raises if there is anything else in the input
        devices = list(map(_device, target_gpus))
        if isinstance(input, Tensor):
            return (_to(input, devices[0]),)
        size = -(-len(input) // len(devices)) or 1  # number of items per device, rounded up
        return tuple(_to(item, devices[i // size]) for i, item in enumerate(input))


def get_input_device(input: Any) -> int:  # noqa: A002  # MMCV's name
    """Return the index of the first CUDA device of a tensor or of the tensors in a list; -1 for the CPU (MMCV name).

    Raises:
        ArgumentTypeError: ``input`` is neither a tensor nor a list of tensors and such lists.
    """
    if isinstance(input, list):
        return next((index for index in [get_input_device(item) for item in input] if index != -1), -1)
    if not isinstance(input, Tensor):
        raise ArgumentTypeError(
            f"input must be a tensor or a list, not {type(input).__name__}.", argument="input"
        )
    return input.get_device() if input.is_cuda else -1


def _device(index: int | torch.device) -> torch.device:
    if isinstance(index, torch.device):
        return index
    return torch.device("cpu") if index == -1 else torch.device("cuda", index)


def _to(value: Any, device: torch.device) -> Any:
    """Move a tensor, or those in nested lists, to a device; other values are returned as they are."""
    if isinstance(value, list):
        return [_to(item, device) for item in value]
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
