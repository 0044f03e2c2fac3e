"""Build optimizers from configs, by the names of ``torch.optim``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from cfgtrain.config.dict import without
from cfgtrain.errors import ArgumentError
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.registries import OPTIMIZER_BUILDERS, OPTIMIZERS

__all__ = ["TORCH_OPTIMIZERS", "build_optimizer", "build_optimizer_constructor", "is_optimizer_dict"]


DEFAULT_CONSTRUCTOR = "DefaultOptimizerConstructor"


def _register_torch_optimizers() -> list[str]:
    names = []
    for name, found in vars(torch.optim).items():
        if inspect.isclass(found) and issubclass(found, torch.optim.Optimizer) and not name.startswith("_"):
            OPTIMIZERS.register_module(name=name, module=found)
            names.append(name)
    return names


TORCH_OPTIMIZERS = _register_torch_optimizers()


def build_optimizer(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    """Build the optimizer of a model, or several.

    Args:
        model: May be wrapped.
        cfg: ``type`` and arguments of the optimizer. ``constructor`` and ``paramwise_cfg``
            determine the settings of each parameter, see ``DefaultOptimizerConstructor``. Or a
            dict of such configs by the name of the submodule that each is for, as in
            ``dict(generator=dict(type='Adam'), discriminator=dict(type='SGD'))``. Not changed.

    Returns:
        The optimizer, or a dict of them by name.
    """
    if not is_optimizer_dict(cfg):
        return _build_one(model, cfg)
    return {name: _build_one(_submodule(model, name), each) for name, each in cfg.items()}


def build_optimizer_constructor(cfg: Mapping[str, Any]) -> Any:
    """Build an optimizer constructor from its config."""
    return OPTIMIZER_BUILDERS.build(cfg)


def is_optimizer_dict(cfg: Any) -> bool:
    """Return whether a config is a dict of several optimizers by name, rather than one."""
    return (
        isinstance(cfg, Mapping)
        and len(cfg) > 0
        and "type" not in cfg
        and "constructor" not in cfg
        and all(isinstance(each, Mapping) for each in cfg.values())
    )


def _build_one(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    constructor = build_optimizer_constructor(
        {
            "type": cfg.get("constructor", DEFAULT_CONSTRUCTOR),
            "paramwise_cfg": cfg.get("paramwise_cfg"),
            "optimizer_cfg": without(cfg, "constructor", "paramwise_cfg"),
        }
    )
    return constructor(model)


def _submodule(model: nn.Module, name: str) -> nn.Module:
    inner = unwrap_model(model)
    try:
        return inner.get_submodule(name)
    except AttributeError:
        parts = [part for part, _ in inner.named_children()]
        raise ArgumentError(
            f"There is an optimizer for {name!r}, and {type(inner).__name__} has no such submodule; it has "
            f"{', '.join(parts) or 'none'}.",
            near=(name, parts),
        ) from None
