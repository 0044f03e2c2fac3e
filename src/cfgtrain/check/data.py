"""Check ``data``: the parts, their pipelines, and how they are loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.check.components import arguments, component, problem_at
from cfgtrain.config.config import Config
from cfgtrain.data.builder import LOADER_KEYS, SAMPLER_OFFERED, build_dataloader, parts_of
from cfgtrain.errors import CfgTrainError, ConfigKeyError, ConfigValueError
from cfgtrain.registries import DATASETS, PIPELINES, SAMPLERS
from cfgtrain.suggestions import suggest

__all__ = ["data_problems"]


def data_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``data``."""
    data, root = cfg["data"], cfg._cfg_dict
    if not isinstance(data, Mapping):
        message = f"data is a dict of parts and loader settings, not {data!r}."
        yield problem_at(ConfigValueError, message, root, "data")
        return
    parts = parts_of(cfg)
    known = (*parts, *(f"{part}_dataloader" for part in parts), *LOADER_KEYS)
    for key in data:
        if key not in known:
            hint = suggest(str(key), known)
            yield problem_at(ConfigKeyError, f"data has no setting {key!r}.{hint}", data, key)
    if data.get("train") is None:
        yield problem_at(ConfigKeyError, "data has no 'train', which a training needs.", root, "data")
    yield from _loader(data, {key: data[key] for key in LOADER_KEYS if key in data})
    for part in parts:
        if data.get(part) is not None:
            yield from _dataset(data, part)
        yield from _own_loader(data, part)


def _own_loader(data: Mapping[str, Any], part: str) -> Iterator[CfgTrainError]:
    key = f"{part}_dataloader"
    loader = data.get(key, {})
    if not isinstance(loader, Mapping):
        yield problem_at(ConfigValueError, f"{key} is a dict of loader settings, not {loader!r}.", data, key)
        return
    yield from _loader(loader, loader)
    if part != "train" and loader.get("shuffle"):
        yield problem_at(
            ConfigValueError, "Only the train part is shuffled: scores need the order.", loader, "shuffle"
        )


def _loader(node: Any, settings: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    yield from arguments(node, build_dataloader, dict(settings), ("dataset",))
    for name, least in (("samples_per_gpu", 1), ("workers_per_gpu", 0)):
        value = settings.get(name)
        if isinstance(value, int) and value < least:
            yield problem_at(ConfigValueError, f"{name} is at least {least}, not {value}.", node, name)
    if isinstance(settings.get("sampler"), Mapping):
        yield from component(node, "sampler", SAMPLERS, SAMPLER_OFFERED)


def _dataset(node: Any, key: Any) -> Iterator[CfgTrainError]:
    yield from component(node, key, DATASETS)
    cfg = node[key]
    if not isinstance(cfg, Mapping):
        return
    if isinstance(cfg.get("dataset"), Mapping):  # what wraps another data set
        yield from _dataset(cfg, "dataset")
    several = cfg.get("datasets")
    for i, each in enumerate(several if isinstance(several, (list, tuple)) else ()):
        if isinstance(each, Mapping):
            yield from _dataset(several, i)
    pipeline = cfg.get("pipeline")
    for i, step in enumerate(pipeline if isinstance(pipeline, (list, tuple)) else ()):
        if not callable(step):
            yield from component(pipeline, i, PIPELINES)
