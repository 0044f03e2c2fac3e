"""Optimizers by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.registries import OPTIMIZERS

__all__ = ["OPTIMIZERS", "TORCH_OPTIMIZERS", "build_optimizer"]


def _register_torch_optimizers() -> list[str]:
    names = []
    for name, found in vars(torch.optim).items():
        if inspect.isclass(found) and issubclass(found, torch.optim.Optimizer) and not name.startswith("_"):
            OPTIMIZERS.register_module(name=name, module=found)
            names.append(name)
    return names


TORCH_OPTIMIZERS = _register_torch_optimizers()


def build_optimizer(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    """Build an optimizer over all parameters of a model; ``cfg`` is not changed."""
    return OPTIMIZERS.build(cfg, default_args={"params": unwrap_model(model).parameters()})
