"""Check ``optimizer``: one or several, their constructors and the ``paramwise_cfg``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import nn

from cfgtrain.check.components import component, config_error, import_error, value_error, wrong_value
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.errors import ArgumentError, CfgTrainError
from cfgtrain.optim.builder import DEFAULT_CONSTRUCTOR, is_optimizer_dict
from cfgtrain.optim.paramwise import DefaultOptimizerConstructor, paramwise_problems
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
    """Build an optimizer of PyTorch for a single weight: its constructor validates the values.

    Only some devices have fused optimizers, so the weight of such a one is on the device of the run.
    """
    target, args = resolve_cfg(cfg, OPTIMIZERS)
    if str(target.__module__).startswith("torch.optim."):
        place = torch.device("cpu")
        if args.get("fused"):
            with suppress(ArgumentError):  # reported as a problem of the device
                place = pick_device(device)
        weight = nn.Parameter(torch.zeros(1, 1, device=place))
        try:
            target([weight], **args)
        except Exception as error:  # of any type, for a value of the wrong type
            yield value_error(error, cfg, partial(target, [weight]), args)


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
