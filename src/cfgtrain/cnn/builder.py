"""Building models from configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.cnn.module import Sequential
from cfgtrain.registry.registry import Registry, build_from_cfg

__all__ = ["build_model_from_cfg"]


def build_model_from_cfg(cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a module from a config, or a ``Sequential`` of modules from a list of configs.

    Args:
        cfg: A config with a ``type``, or a list of them.
        registry: Registry in which the types are looked up.
        default_args: Default values of arguments that are missing in a config.
    """
    if isinstance(cfg, list):
        return Sequential(*(build_from_cfg(item, registry, default_args) for item in cfg))
    return build_from_cfg(cfg, registry, default_args)
