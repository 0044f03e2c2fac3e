"""Building models from configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from torch import nn

from cfgtrain.cnn.module import Sequential
from cfgtrain.introspection.signatures import parameters_of
from cfgtrain.registries import MODELS
from cfgtrain.registry.registry import Registry, build_from_cfg, construct, known_registries, resolve_cfg

__all__ = ["build_model_from_cfg", "build_network"]


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


def build_network(cfg: Any) -> Any:
    """Build a network from a config, and first the configs inside it that its class does not build itself.

    Classes of cfgtrain and registered ones build the configs that they are given. Any other class, such as
    ``torch.nn.Sequential``, gets modules in place of the configs with a ``type`` in its arguments, at any depth.
    Arguments that are annotated as dicts, or whose name is ``cfg`` or ends with ``_cfg``, are given as they are.

    Args:
        cfg: A config with a ``type``, a list of them for a ``Sequential``, or a module, which is returned.
    """
    if isinstance(cfg, nn.Module):
        return cfg
    if isinstance(cfg, list | tuple):
        return Sequential(*map(build_network, cfg))
    target, args = resolve_cfg(cfg, MODELS)
    if not _builds_configs(target):
        parameters = parameters_of(target)
        annotations = parameters.annotations if parameters is not None else {}
        args = {
            name: value if _wants_config(name, annotations.get(name)) else _with_built(value)
            for name, value in args.items()
        }
    return construct(target, args, cfg)


def _builds_configs(target: Any) -> bool:
    """Return whether a class or function is one of cfgtrain, or registered."""
    if str(target.__module__).startswith("cfgtrain."):
        return True
    return not str(target.__module__).startswith("torch.") and any(
        target is each for registry in known_registries() for each in registry.module_dict.values()
    )


def _wants_config(name: str, annotation: Any) -> bool:
    kinds = {annotation, *get_args(annotation)}
    is_dict = any((get_origin(kind) or kind) in (dict, Mapping) for kind in kinds)
    return is_dict or name == "cfg" or name.endswith("_cfg")


def _with_built(value: Any) -> Any:
    """Return a value with modules in place of the configs in it."""
    if isinstance(value, Mapping):
        if "type" in value:
            return build_network(value)
        return {key: _with_built(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_with_built, value))
    return value
