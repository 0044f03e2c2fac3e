"""The order in which the elements of images and of the weights of convolutions are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["use_channels_last"]


def use_channels_last(model: nn.Module) -> None:
    """Store the 4D parameters, buffers and inputs of a model with the channels last, in place.

    Shapes, names and values do not change. Convolutions on GPUs with tensor cores are faster this way, above all
    in half precision.

    Args:
        model: The model, without wrappers. Its inputs are converted when it is called; (B, C, H, W) stays their shape.
    """
    for each in (*model.parameters(), *model.buffers()):
        if not is_lazy(each) and each.ndim == 4:
            each.data = each.data.contiguous(memory_format=torch.channels_last)
    model.register_forward_pre_hook(_convert_inputs, with_kwargs=True)


def _convert_inputs(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(_converted(each) for each in args), {key: _converted(each) for key, each in kwargs.items()}


def _converted(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
    if type(value) in (list, tuple):
        return type(value)(_converted(each) for each in value)
    if isinstance(value, Mapping) and type(value) is dict:
        return {key: _converted(each) for key, each in value.items()}
    return value
