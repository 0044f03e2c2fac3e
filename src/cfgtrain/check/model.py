"""Check the model of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from cfgtrain.check.components import component, config_error, nested
from cfgtrain.config.config import Config
from cfgtrain.errors import CfgTrainError, ConfigValueError
from cfgtrain.models.classifier import ImageClassifier
from cfgtrain.models.losses import loss_config
from cfgtrain.models.supervised import SupervisedModel
from cfgtrain.origin import location
from cfgtrain.registries import BATCH_TRANSFORMS, MODELS
from cfgtrain.registry.projects import registry_for
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.runner.step import missing_train_step

__all__ = ["model_class", "model_problems"]


def model_problems(cfg: Config, for_training: bool = False) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the model of a config.

    Args:
        cfg: The config.
        for_training: Whether a runner trains the model, which then needs a ``train_step``.
    """
    if "model" not in cfg:
        return
    model = cfg["model"]
    try:
        registry = registry_for(model, MODELS)
    except CfgTrainError as error:
        yield error
        return
    yield from component(cfg._cfg_dict, "model", registry)
    yield from nested(model, registry)  # the model builds its parts from there
    target = model_class(model)
    if target is not None and issubclass(target, SupervisedModel | ImageClassifier):
        yield from _loss_name(model)
        yield from _loss_name(model.get("head"))
    augments = model.get("augments") if target is not None and issubclass(target, ImageClassifier) else None
    for i, each in enumerate(augments if isinstance(augments, list | tuple) else ()):
        if not callable(each):
            yield from component(augments, i, BATCH_TRANSFORMS)
    if target is not None and for_training and not _has_own_processing(cfg) and not _may_have_step(target):
        message, hint = missing_train_step(target.__name__, str(model["type"]))
        yield ConfigValueError(message, hint=hint, **location(cfg._cfg_dict, "model"))


def _loss_name(cfg: Any) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the loss of a config, if it is a name."""
    if isinstance(cfg, Mapping) and isinstance(cfg.get("loss"), str):
        try:
            loss_config(cfg["loss"])
        except CfgTrainError as error:
            yield config_error(error, cfg, "loss")


def model_class(model: Any) -> type[Any] | None:
    """Return the class of the model, or None if there is no such class, or only a function."""
    if isinstance(model, Mapping):
        with suppress(Exception):  # reported as a problem of the component
            target, _ = resolve_cfg(model, registry_for(model, MODELS))
            return target if isinstance(target, type) else None
    return None


def _has_own_processing(cfg: Config) -> bool:
    """Return whether the runner is given a function that runs the steps."""
    runner = cfg.get("runner")
    return isinstance(runner, Mapping) and bool(runner.get("batch_processor") or runner.get("constructor"))


def _may_have_step(target: type[Any]) -> bool:
    """Return whether a class has a ``train_step``, or computes its attributes, so that it may have one."""
    return hasattr(target, "train_step") or getattr(target, "__getattr__", None) is not nn.Module.__getattr__
