"""Put a model and the random generators back into the state that they had before they were tried."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy as is_uninitialized

from cfgtrain.random_state import RandomState

__all__ = ["is_lazy", "restored"]

# What nn.Module keeps itself: its hooks too, which the dry run does not register.
_OF_TORCH = frozenset(vars(nn.Module())) - {"training"}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)


def is_lazy(model: nn.Module) -> bool:
    """Return whether parameters or buffers of a model are initialized by its first batch."""
    return any(is_uninitialized(each) for each in (*model.parameters(), *model.buffers()))


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Restore, when the block ends, the random states and what a step may change in a model.

    These are its parameters, gradients and buffers, and attributes of its modules that are numbers, texts, arrays, random
    generators, lists and dicts of these, or tensors: such as counters, and whether a module is in training mode.
    """
    modules = list(model.modules())
    own_tensors = [
        {name: each for name, each in vars(module).items() if _is_constant(each)} for module in modules
    ]
    tensors = [
        each
        for each in (*model.parameters(), *model.buffers(), *(t for own in own_tensors for t in own.values()))
        if not is_uninitialized(each) and not _is_expanded(each)
    ]
    values = [each.detach().to("cpu", copy=True) for each in tensors]  # a GPU may have no room for them
    # In one call, so that two names of one list remain names of one list.
    attributes = copy.deepcopy([_state(module) for module in modules])
    before = [set(vars(module)) for module in modules]
    random_state = RandomState.capture()
    try:
        yield
    finally:
        RandomState.restore(random_state)
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for parameter in model.parameters():
            parameter.grad = None
        for module, saved, own, names in zip(modules, attributes, own_tensors, before, strict=True):
            for name in set(vars(module)) - names:
                del vars(module)[name]
            vars(module).update(saved | own)


def _state(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that can be copied."""
    return {
        name: value
        for name, value in vars(module).items()
        if name not in _OF_TORCH and (isinstance(value, _GENERATORS) or _is_data(value))
    }


def _is_expanded(tensor: Tensor) -> bool:
    """Return whether elements share memory, so that a tensor cannot be written to."""
    is_strided = tensor.layout is torch.strided
    return is_strided and any(
        stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
    )


def _is_constant(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.requires_grad


def _is_data(value: Any) -> bool:
    """Return whether a value has no references to anything else; a list of parameters, as of an LSTM, has."""
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject
    if isinstance(value, Mapping):
        return isinstance(value, dict) and all(map(_is_data, value.values()))
    return isinstance(value, list | tuple | set | deque) and all(map(_is_data, value))
