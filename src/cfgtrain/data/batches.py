"""Look into batches of any structure, and call a model with them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["batch_text", "tensors_in"]

MAX_ITEMS = 8  # that are described
MAX_COMPARED = 10**7  # elements of a tensor whose range is given


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


def call_arguments(batch: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return the positional and the named arguments with which a model is called for a batch: a tuple, list or dict."""
    return ((), batch) if isinstance(batch, Mapping) else (batch, {})


def call_problem(method: Callable[..., Any], batch: Any, /, **named: Any) -> str | None:
    """Return why a method of a model cannot be called with a batch and other arguments, or None if it can."""
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # not a function of Python
        return None
    args, kwargs = call_arguments(batch)
    try:
        signature.bind(*args, **kwargs, **named)
    except TypeError as error:
        names = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
        plain = signature.replace(parameters=names, return_annotation=signature.empty)
        return f"{error}; its arguments are {plain}"
    return None


def batch_text(batch: Any) -> str:
    """Return the names, shapes and dtypes of the tensors of a batch, such as ``"img (64, 1, 32, 32) float32"``.

    Of integers other than images, it has the range, and of a list of texts the length.
    """
    found = [
        f"{name} {tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}{_range(tensor)}".lstrip()
        for name, tensor in tensors_in(batch)
    ]
    if isinstance(batch, Mapping):
        found += [
            f"{key} a list of {len(value)} str"
            for key, value in batch.items()
            if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value)
        ]
    more = f" and {len(found) - MAX_ITEMS} more" if len(found) > MAX_ITEMS else ""
    return (", ".join(found[:MAX_ITEMS]) or f"no tensors: it is a {type(batch).__name__}") + more


def _range(tensor: Tensor) -> str:
    is_integer = tensor.dtype in (torch.int64, torch.int32, torch.int16)
    if not is_integer or tensor.device.type == "meta" or not 0 < tensor.numel() <= MAX_COMPARED:
        return ""
    low, high = (int(each) for each in tensor.aminmax())
    return f" of {low}" if low == high else f" of {low} to {high}"
