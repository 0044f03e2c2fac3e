"""Check ``data``: the datasets, their pipelines and the loader settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.check.components import arguments, component, config_error, wrong_value
from cfgtrain.config.config import Config
from cfgtrain.data.builder import (
    LOADER_KEYS,
    SAMPLER_OFFERED,
    SETTING_ALIASES,
    build_dataloader,
    double_settings,
    parts_of,
    pipeline_registry,
    setting_problems,
)
from cfgtrain.data.paths import path_problems
from cfgtrain.data.transforms.compose import results_argument
from cfgtrain.errors import CfgTrainError, ConfigKeyError, ConfigValueError
from cfgtrain.introspection.signatures import type_problem
from cfgtrain.origin import location
from cfgtrain.registries import COLLATE_FUNCTIONS, DATASETS, SAMPLERS
from cfgtrain.registry.projects import registry_for
from cfgtrain.registry.registry import Registry, resolve_cfg

__all__ = ["data_path_problems", "data_problems"]

# Arguments of build_dataloader that a config cannot set.
_GIVEN = {"dataset", "seed", "rank", "world_size", "round_up", "device", "work_dir", "place"}


def data_problems(cfg: Config, part: str | None = None) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``data``.

    Args:
        cfg: The config.
        part: Name of the only dataset that is used; None for all of a training run.
    """
    data = cfg["data"]
    if not isinstance(data, Mapping):
        yield wrong_value(cfg, "data", "a dict of datasets and loader settings")
        return
    parts = parts_of(cfg)
    known = (*parts, *(f"{part}_dataloader" for part in parts), *LOADER_KEYS)
    for key in data:
        if key not in known:
            yield ConfigKeyError(
                f"data has no setting {key!r}.", near=(str(key), known), **location(data, key)
            )
    if part is None and data.get("train") is None:
        yield ConfigKeyError("data has no 'train', which is required for training.", **location(cfg, "data"))
    yield from _loader(data, {key: data[key] for key in LOADER_KEYS if key in data})
    for each in parts if part is None else [part]:
        if data.get(each) is not None:
            yield from _dataset(data, each)
        yield from _part_loader(data, each)


def data_path_problems(cfg: Config, part: str | None = None) -> Iterator[CfgTrainError]:
    """Yield an error for each path of a dataset that does not exist.

    Args:
        cfg: The config.
        part: Name of the only dataset that is used; None for all of a training run.
    """
    data = cfg.get("data")
    for each in parts_of(cfg) if isinstance(data, Mapping) else ():
        if part in (None, each):
            yield from path_problems(data.get(each))


def _part_loader(data: Mapping[str, Any], part: str) -> Iterator[CfgTrainError]:
    key = f"{part}_dataloader"
    loader = data.get(key, {})
    if not isinstance(loader, Mapping):
        yield wrong_value(data, key, "a dict of loader settings")
        return
    yield from _loader(loader, loader)
    if part != "train" and loader.get("shuffle"):
        message = "Only the train dataset can be shuffled: scores are computed in its order."
        yield ConfigValueError(message, **location(loader, "shuffle"))
    if part != "train" and loader.get("on_error") == "skip":
        message = "Only samples of the train dataset can be skipped: scores are of all samples."
        yield ConfigValueError(message, **location(loader, "on_error"))


def _loader(node: Any, settings: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    stated = {name: value for name, value in settings.items() if name not in SETTING_ALIASES}
    yield from arguments(node, build_dataloader, stated, ("dataset",), config_keys=tuple(SETTING_ALIASES))
    for name, problem in double_settings(settings):
        yield ConfigKeyError(problem, **location(node, name))
    for name in set(settings) & _GIVEN:
        message = f"{name!r} is not a setting of a loader: it is determined by the run."
        yield ConfigKeyError(message, **location(node, name))
    for name, problem in setting_problems(settings):
        if name in SETTING_ALIASES or type_problem(build_dataloader, name, settings[name]) is None:
            # the others are reported above
            yield ConfigValueError(problem, **location(node, name))
    if isinstance(settings.get("sampler"), Mapping):
        yield from component(node, "sampler", SAMPLERS, SAMPLER_OFFERED)
    if settings.get("collate_fn") is not None:
        yield from _collate_fn(node)


def _collate_fn(node: Any) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the function that merges the samples of a batch."""
    value = node["collate_fn"]
    if isinstance(value, Mapping):
        yield from component(node, "collate_fn", COLLATE_FUNCTIONS, ("batch",), partial_args=True)
    elif isinstance(value, str):
        for error in component([{"type": value}], 0, COLLATE_FUNCTIONS, partial_args=True):
            yield config_error(error, node, "collate_fn")
    elif not callable(value):
        yield wrong_value(node, "collate_fn", "the name of a function, an import path, or a dict with a type")


def _dataset(node: Any, key: Any) -> Iterator[CfgTrainError]:
    cfg = node[key]
    try:
        registry = registry_for(cfg, DATASETS)
    except CfgTrainError as error:
        yield error
        return
    yield from component(node, key, registry)
    if not isinstance(cfg, Mapping):
        return
    if isinstance(cfg.get("dataset"), Mapping):  # a wrapper around another dataset
        yield from _dataset(cfg, "dataset")
    several = cfg.get("datasets")
    for i, each in enumerate(several if isinstance(several, (list, tuple)) else ()):
        if isinstance(each, Mapping):
            yield from _dataset(several, i)
    pipeline = cfg.get("pipeline")
    if isinstance(pipeline, str | Mapping | int):
        hint = ""
        if isinstance(pipeline, Mapping):
            hint = "Put the transform in a list: [dict(type=...)]."
        elif isinstance(pipeline, str):
            hint = f"Did you mean [dict(type={pipeline!r})]?"
        message = f"pipeline must be a list of transforms, not {pipeline!r}."
        yield ConfigValueError(message, hint=hint, **location(cfg, "pipeline"))
    transforms = pipeline_registry(cfg)
    for i, step in enumerate(pipeline if isinstance(pipeline, (list, tuple)) else ()):
        if transforms is not None and not callable(step):
            yield from component(pipeline, i, transforms, _results_argument(step, transforms))


def _results_argument(step: Any, registry: Registry) -> tuple[str, ...]:
    """Return the argument that a function gets the results through, if the step is a function and not built by it."""
    try:
        target, args = resolve_cfg(step, registry)
    except Exception:  # reported by component
        return ()
    return tuple(filter(None, [results_argument(target, args)]))
