"""Check ``optimizer``: one or several, their constructors and the ``paramwise_cfg``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from cfgtrain.check.components import component, config_error, import_error, value_error, wrong_value
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigValueError
from cfgtrain.optim.builder import DEFAULT_CONSTRUCTOR, is_optimizer_dict
from cfgtrain.optim.paramwise import DefaultOptimizerConstructor, paramwise_problems
from cfgtrain.origin import location
from cfgtrain.parallel.device import pick_device
from cfgtrain.registries import OPTIMIZER_BUILDERS, OPTIMIZERS
from cfgtrain.registry.registry import resolve_cfg

__all__ = ["optimizer_problems"]

OPTIMIZER_KEYS = ("constructor", "paramwise_cfg")  # that are not arguments of the optimizer


def optimizer_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``optimizer``."""
    optimizer = cfg["optimizer"]
    if is_optimizer_dict(optimizer):
        for name in optimizer:
            yield from _one(optimizer, name, cfg.get("device"))
    else:
        yield from _one(cfg._cfg_dict, "optimizer", cfg.get("device"))


def _one(node: Any, key: str, device: str | None) -> Iterator[CfgTrainError]:
    cfg = node[key]
    if not isinstance(cfg, Mapping):
        yield from component(node, key, OPTIMIZERS)
        return
    constructor: Any = None
    try:
        constructor, _ = resolve_cfg(
            {"type": cfg.get("constructor", DEFAULT_CONSTRUCTOR)}, OPTIMIZER_BUILDERS
        )
    except CfgTrainError as error:
        yield config_error(error, cfg, "constructor")
    except Exception as error:  # an import path may name a module that fails in any way
        yield import_error(error, cfg, "constructor")
    bare = without(cfg, *OPTIMIZER_KEYS)
    paramwise = cfg.get("paramwise_cfg")
    is_default = isinstance(constructor, type) and issubclass(constructor, DefaultOptimizerConstructor)
    if is_default or constructor is None:  # a custom one may interpret its config in any way
        problems = list(
            component([bare], 0, OPTIMIZERS, given=("params",), config_keys=OPTIMIZER_KEYS)
        ) or list(_trial(bare, device))
        yield from problems
        known = vars(constructor).get("paramwise_keys") if constructor is not None else None
        if not problems:
            yield from _paramwise(cfg, paramwise, bare, known)


def _trial(cfg: Any, device: str | None) -> Iterator[CfgTrainError]:
    """Build an optimizer of PyTorch for a single weight: its constructor validates the values."""
    target, args = resolve_cfg(cfg, OPTIMIZERS)
    if not str(target.__module__).startswith("torch.optim."):
        return
    weight = nn.Parameter(torch.zeros(1, 1))
    try:
        target([weight], **args)
    except Exception as error:  # of any type, for a value of the wrong type
        yield value_error(error, cfg, partial(target, [weight]), args)
        return
    if args.get("fused"):
        yield from _fused(cfg, target, args, device)


def _fused(cfg: Any, target: Any, args: dict[str, Any], device: str | None) -> Iterator[CfgTrainError]:
    """Step with a fused optimizer on the device of the run: only some devices have it, which its first step checks."""
    try:
        place = pick_device(device)
    except ArgumentError:  # reported as a problem of the device
        return
    weight = nn.Parameter(torch.zeros(1, 1, device=place))
    weight.grad = torch.zeros_like(weight)
    try:
        target([weight], **args).step()
    except Exception as error:  # whatever PyTorch raises
        message = (
            f"{target.__name__} has no fused implementation for the device {place}: {str(error).rstrip('.')}."
        )
        yield ConfigValueError(message, **location(cfg, "fused"))


def _paramwise(
    cfg: Any, paramwise: Any, optimizer_cfg: Any, known: tuple[str, ...] | None
) -> Iterator[CfgTrainError]:
    if paramwise is None:
        return
    if not isinstance(paramwise, Mapping):
        yield wrong_value(cfg, "paramwise_cfg", "a dict or None")
        return
    for problem in paramwise_problems(paramwise, optimizer_cfg, known):
        node: Any = paramwise
        for each in problem.keys[:-1]:
            node = node[each]
        yield config_error(problem.error, node, problem.keys[-1])
