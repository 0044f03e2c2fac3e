"""Model wrappers that move data to the device of the model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cfgtrain.parallel.data import to_device

__all__ = ["OnDevice", "is_module_wrapper", "unwrap_model"]


class OnDevice(nn.Module):
    """Wraps a model on one device, and moves its inputs to that device.

    Args:
        module: A model with ``train_step`` and ``val_step``; it is moved to the device.
        device: The device.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.module = module.to(device)
        self.device = device

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model with its inputs moved to the device."""
        return self.module(*to_device(args, self.device), **to_device(kwargs, self.device))

    def train_step(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the model's ``train_step`` with the batch moved to the device."""
        return self.module.train_step(to_device(data, self.device), *args, **kwargs)  # type: ignore[operator]

    def val_step(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the model's ``val_step`` with the batch moved to the device."""
        return self.module.val_step(to_device(data, self.device), *args, **kwargs)  # type: ignore[operator]

    def forward_with_loss(self, *items: Any, **batch: Any) -> Any:
        """Call the model's ``forward_with_loss`` with the batch moved to the device; see ``has_forward_with_loss``."""
        given, named = to_device(items, self.device), to_device(batch, self.device)
        return self.module.forward_with_loss(*given, **named)  # type: ignore[operator]


_WRAPPERS = (OnDevice, nn.DataParallel, nn.parallel.DistributedDataParallel)


def is_module_wrapper(module: nn.Module) -> bool:
    """Return whether ``module`` is a wrapper around another module, such as ``DistributedDataParallel``."""
    return isinstance(module, _WRAPPERS)


def unwrap_model(module: nn.Module) -> nn.Module:
    """Return the model inside any number of nested wrappers."""
    while is_module_wrapper(module):
        module = module.module  # type: ignore[assignment]  # every wrapper's is a module
    return module


def has_forward_with_loss(model: nn.Module) -> bool:
    """Return whether a model and its wrappers have ``forward_with_loss(**batch) -> (predictions, losses)``."""
    return all(callable(getattr(each, "forward_with_loss", None)) for each in (model, unwrap_model(model)))


def set_gradient_sync(model: nn.Module, enabled: bool) -> None:
    """Set whether the next backward pass synchronizes gradients between processes.

    Call this before the forward pass. A model that is not distributed is left unchanged.
    """
    if hasattr(model, "require_backward_grad_sync"):  # DistributedDataParallel
        model.require_backward_grad_sync = enabled  # type: ignore[assignment]  # a plain attribute
    elif hasattr(model, "set_requires_gradient_sync"):  # fully_shard
        model.set_requires_gradient_sync(enabled)  # type: ignore[operator]  # a method of its mixin
