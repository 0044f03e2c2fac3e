"""Build datasets and loaders from the ``data`` section of a config."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import torch
from torch.utils.data import IterableDataset

from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.data.loader import TIMEOUT, EpochDataLoader, StreamLoader
from cfgtrain.data.paths import resolve_paths
from cfgtrain.data.samplers import is_infinite
from cfgtrain.data.skipped import SKIPPED_FILE, SkippedSamples
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.introspection.signatures import accepted_args, parameters_of
from cfgtrain.keys import setting
from cfgtrain.origin import Location
from cfgtrain.registries import COLLATE_FUNCTIONS, DATASETS, PIPELINES, SAMPLERS
from cfgtrain.registry.projects import registry_for
from cfgtrain.registry.registry import Registry, known_registries, resolve_cfg
from cfgtrain.suggestions import one_of

__all__ = ["build_dataloader", "build_dataset", "metainfo_of", "setting_problems"]

# The numbers among the settings of a loader, and the smallest values; PyTorch would raise an error for less, some only
# when it loads.
LEAST = {"samples_per_gpu": 1, "workers_per_gpu": 0, "prefetch_factor": 1, "max_skipped": 0}
_SWITCHES = ("shuffle", "drop_last", "pin_memory", "persistent_workers")
_ON_ERROR = ("raise", "skip")

# Other names of settings, as PyTorch has them.
SETTING_ALIASES = {"batch_size": "samples_per_gpu", "num_workers": "workers_per_gpu"}

# Keys of `data` that apply to all parts (train, val, test); `data.<part>_dataloader` overrides them.
LOADER_KEYS = (*LEAST, *SETTING_ALIASES, *_SWITCHES, "sampler", "collate_fn", "timeout", "on_error")

# Arguments that are passed to a sampler if it accepts them.
SAMPLER_OFFERED = ("size", "shuffle", "seed", "rank", "world_size", "round_up", "labels")


def parts_of(cfg: Config) -> list[str]:
    """Return the names of the parts that ``data`` may contain.

    They are train, val, test, and any other mode in the ``workflow``, which a custom runner may support.
    """
    workflow = setting(cfg, "workflow")
    flows = workflow if isinstance(workflow, (list, tuple)) else ()
    modes = [flow[0] for flow in flows if isinstance(flow, (list, tuple)) and flow]
    return list(dict.fromkeys(["train", "val", "test", *(mode for mode in modes if isinstance(mode, str))]))


def build_dataset(
    cfg: Mapping[str, Any],
    default_args: Mapping[str, Any] | None = None,
    metainfo: Mapping[str, Any] | None = None,
) -> Any:
    """Build a dataset from its config.

    Args:
        cfg: The config, with a ``type``. Paths that are relative to its file are replaced by absolute ones; see
            ``cfgtrain.data.paths``.
        default_args: Default values of arguments that are missing in the config.
        metainfo: What the dataset takes over from the training dataset; see ``metainfo_of``. It is passed to a
            dataset that has an argument ``metainfo``.
    """
    resolve_paths(cfg)
    args = dict(default_args or {})
    registry = registry_for(cfg, DATASETS)
    target, _ = resolve_cfg(cfg, registry)
    if metainfo:
        args |= accepted_args(target, {"metainfo": dict(metainfo)})
    if DATASETS.projects_first and not _builds_datasets(target):
        inner = {key: cfg[key] for key in ("dataset", "datasets") if _is_dataset(cfg.get(key))}
        args |= {key: _built(value, metainfo) for key, value in inner.items()}
        cfg = without(cfg, *inner) if inner else cfg
    return registry.build(cfg, default_args=args)


def _is_dataset(value: Any) -> bool:
    """Return whether a value is the config of a dataset, or a list of such configs."""
    several = value if isinstance(value, list | tuple) else [value]
    return bool(several) and all(isinstance(each, Mapping) and "type" in each for each in several)


def _built(value: Any, metainfo: Mapping[str, Any] | None) -> Any:
    if isinstance(value, Mapping):
        return build_dataset(value, metainfo=metainfo)
    return [build_dataset(each, metainfo=metainfo) for each in value]


def _builds_datasets(target: Any) -> bool:
    """Return whether a dataset that wraps others builds them from their configs.

    Those of cfgtrain do. Those of a project written for MMCV get datasets from the function of the project that builds
    datasets, unless their constructor builds them: then it uses something with ``build`` in its name.
    """
    if not isinstance(target, type) or target.__module__.startswith("cfgtrain."):
        return True
    constructors = [vars(each).get("__init__") for each in target.__mro__]
    codes = [each.__code__ for each in constructors if isinstance(each, FunctionType)]
    while codes:
        code = codes.pop()
        if any("build" in name for name in code.co_names):
            return True
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]  # of comprehensions
    return False


def pipeline_registry(cfg: Mapping[str, Any]) -> Registry | None:
    """Return the registry that a dataset builds its pipeline from.

    A dataset in the registry of a project written for MMCV builds it from another registry of the project.

    Args:
        cfg: The config of the dataset.

    Returns:
        The registry, or None if it is not known: the project has none or several of transforms.

    Raises:
        UnknownNameError: Several projects have the name of the dataset.
    """
    registry = registry_for(cfg, DATASETS)
    if registry is DATASETS and isinstance(cfg.get("type"), str):
        registry = (DATASETS.locate(cfg["type"]) or (DATASETS, ""))[0]
    if registry is DATASETS:
        return PIPELINES
    own = [
        each
        for each in known_registries()
        if each.scope == registry.scope and each.name in ("pipeline", "pipelines") and len(each) > 0
    ]
    return own[0] if len(own) == 1 else None


def metainfo_of(dataset: Any) -> dict[str, Any]:
    """Return what other datasets, and predictions, need to know of the training dataset.

    It is plain data that checkpoints contain: the attribute ``metainfo`` of the dataset, a dict such as
    ``{"classes": ["cat", "dog"]}``, or else the names in its attribute ``CLASSES``, as datasets written for MMCV have.
    """
    metainfo = getattr(dataset, "metainfo", None)
    if metainfo is not None:
        return dict(metainfo)
    classes = getattr(dataset, "CLASSES", None)
    return {} if classes is None else {"classes": [str(name) for name in classes]}


def loader_settings(data: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the loader settings of one part: those of ``data``, updated by ``<part>_dataloader``.

    Aliases are replaced by the names that ``build_dataloader`` has.

    Raises:
        ArgumentError: A setting is given by both of its names.
    """
    common = {key: data[key] for key in LOADER_KEYS if key in data}
    return {**_without_aliases(common), **_without_aliases(data.get(f"{part}_dataloader", {}))}


def _without_aliases(settings: Mapping[str, Any]) -> dict[str, Any]:
    for alias, problem in double_settings(settings):
        raise ArgumentError(problem, argument=alias)
    return {SETTING_ALIASES.get(name, name): value for name, value in settings.items()}


def double_settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each alias of a setting that is given by its other name too, and what is wrong with that."""
    for alias, name in SETTING_ALIASES.items():
        if alias in settings and name in settings:
            yield alias, f"{alias} and {name} are the same setting: only one of them can be given."


def setting_problems(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each loader setting whose value is not valid, and what is wrong with it."""
    least = LEAST | {alias: LEAST[name] for alias, name in SETTING_ALIASES.items()}
    for name, minimum in least.items():
        value = settings.get(name, minimum)
        if isinstance(value, bool) or not isinstance(value, (int, Integral)):
            yield name, f"{name} must be an int, not {value!r}."
        elif value < minimum:
            yield name, f"{name} must be at least {minimum}, not {value!r}."
    for name in _SWITCHES:
        value = settings.get(name, False)
        if not isinstance(value, bool) and (name != "pin_memory" or value is not None):
            yield name, f"{name} must be True or False, not {value!r}."
    timeout = settings.get("timeout", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, Real) or not 0 <= float(timeout) < math.inf:
        yield "timeout", f"timeout must be a number of seconds, or 0 for no limit, not {timeout!r}."
    on_error = settings.get("on_error", "raise")
    if on_error not in _ON_ERROR:
        yield "on_error", f"on_error must be {one_of(_ON_ERROR)}, not {on_error!r}."


def collate_function(collate_fn: Any, samples_per_gpu: int = 1) -> Callable[[list[Any]], Any]:
    """Return the function that a setting ``collate_fn`` describes.

    Args:
        collate_fn: A name in the registry COLLATE_FUNCTIONS, an import path, a dict with such a ``type`` and
            further arguments of the function, or the function itself.
        samples_per_gpu: Batch size, which is passed to a function that has an argument ``samples_per_gpu``.

    Raises:
        CfgTrainError: There is no such function.
    """
    cfg = collate_fn if isinstance(collate_fn, Mapping) else {"type": collate_fn}
    target, args = resolve_cfg(cfg, COLLATE_FUNCTIONS)
    if isinstance(target, type):  # its objects are the functions
        built: Callable[[list[Any]], Any] = COLLATE_FUNCTIONS.build(cfg)
        return built
    parameters = parameters_of(target)
    if parameters is not None and "samples_per_gpu" in parameters.names:
        args = {"samples_per_gpu": samples_per_gpu, **args}
    return partial(target, **args) if args else target


def build_dataloader(
    dataset: Any,
    samples_per_gpu: int = 1,
    workers_per_gpu: int = 0,
    *,
    seed: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    pin_memory: bool | None = None,
    persistent_workers: bool = True,
    prefetch_factor: int = 2,
    sampler: Mapping[str, Any] | None = None,
    collate_fn: Any = None,
    timeout: float = TIMEOUT,
    on_error: str = "raise",
    max_skipped: int = 100,
    rank: int = 0,
    world_size: int = 1,
    round_up: bool = True,
    device: torch.device | str | None = None,
    work_dir: str | Path | None = None,
    place: Location | None = None,
) -> EpochDataLoader | StreamLoader:
    """Build a loader whose sample order and augmentation depend only on the seed and the epoch.

    Args:
        dataset: A dataset with ``__len__`` and ``__getitem__(index)``, or a stream: an ``IterableDataset`` of
            torch. A stream determines its own order, and ``shuffle`` and ``round_up`` have no effect. Several
            workers share it if it has a method ``shard(index, count)`` or ``divides_itself = True``.
        samples_per_gpu: Batch size per process (MMCV name).
        workers_per_gpu: Number of worker processes per process (MMCV name). 0 loads in the process itself.
        seed: Seed of the run, which must be the same in all processes.
        shuffle: Whether to shuffle the samples in each epoch.
        drop_last: Whether to drop the last batch if it is incomplete.
        pin_memory: Whether to copy batches to pinned (page-locked) memory. None: if ``device`` is CUDA.
        persistent_workers: Whether to keep the workers running between epochs.
        prefetch_factor: Number of batches that each worker loads in advance.
            It has no effect without workers, and neither has ``persistent_workers``.
        sampler: Config of a custom sampler. The arguments ``size``, ``shuffle``, ``seed``, ``rank``,
            ``world_size`` and ``round_up`` are passed to it if it accepts them, and so is ``labels``, if the
            dataset has such an attribute.
        collate_fn: What merges the samples of a batch, if not torch's ``default_collate``; see ``collate_function``.
        timeout: After how many seconds without a loaded sample hanging workers are an error. 0: never. It has
            no effect without workers.
        on_error: What to do if a sample cannot be loaded: ``"raise"`` an error, or ``"skip"``, which replaces it by
            another one that depends only on the seed, the epoch and the position.
        max_skipped: How many different samples may be skipped, by all processes, before this is an error.
        rank: Rank of this process.
        world_size: Number of processes that share an epoch.
        round_up: Whether to repeat some samples so that all processes get the same number of samples.
        device: Device of the run.
        work_dir: The folder with the list of skipped samples. None writes no list.
        place: Place of the dataset in a config, for errors; see ``cfgtrain.origin.location``.

    Raises:
        ArgumentError: A setting has a value that is not valid, the sampler does not have the methods of
            one, or the dataset is a stream, and ``sampler`` or ``on_error="skip"`` is given, or there are several
            workers and it does not say how they share it.
        ArgumentTypeError: The dataset has no length or no ``__getitem__``, and is not a stream.
    """
    settings = {
        "samples_per_gpu": samples_per_gpu,
        "workers_per_gpu": workers_per_gpu,
        "shuffle": shuffle,
        "persistent_workers": persistent_workers,
        "drop_last": drop_last,
        "pin_memory": pin_memory,
        "prefetch_factor": prefetch_factor,
        "timeout": timeout,
        "on_error": on_error,
        "max_skipped": max_skipped,
    }
    for _, problem in setting_problems(settings):
        raise ArgumentError(problem)
    if pin_memory is None:
        pin_memory = device is not None and torch.device(device).type == "cuda"
    shared: dict[str, Any] = {
        "drop_last": drop_last,
        "pin_memory": pin_memory,
        "prefetch_factor": prefetch_factor,
        "collate_fn": None if collate_fn is None else collate_function(collate_fn, samples_per_gpu),
        "timeout": timeout,
        "place": place,
    }
    if isinstance(dataset, IterableDataset):
        if sampler is not None:
            raise ArgumentError(f"{type(dataset).__name__} is a stream: it cannot have a sampler.")
        if on_error == "skip":
            raise ArgumentError(
                f"{type(dataset).__name__} is a stream, which cannot continue after an error: on_error must be 'raise'.",
                argument="on_error",
            )
        return StreamLoader(dataset, samples_per_gpu, seed, rank, world_size, workers_per_gpu, **shared)
    order = _build_sampler(
        sampler,
        dataset,
        shuffle=shuffle,
        seed=seed,
        rank=rank,
        world_size=world_size,
        round_up=round_up,
    )
    skipped = None
    if on_error == "skip":
        skipped = SkippedSamples(
            max_skipped, None if work_dir is None else Path(work_dir) / SKIPPED_FILE, place, rank, world_size
        )
    return EpochDataLoader(
        dataset,
        order,
        samples_per_gpu,
        seed,
        num_workers=workers_per_gpu,
        persistent_workers=persistent_workers,
        skipped=skipped,
        **shared,
    )


def _build_sampler(sampler: Mapping[str, Any] | None, dataset: Any, **offered: Any) -> Any:
    """Return the sampler of a dataset.

    Args:
        sampler: Its config; None for an ``EpochSampler``.
        dataset: The dataset.
        **offered: Arguments that are passed to it if it accepts them, as are the size of the dataset and its labels.

    Raises:
        ArgumentError: It does not have the methods of a sampler.
        ArgumentTypeError: The dataset has no length or no ``__getitem__``.
    """
    for method, what in (
        ("__len__", "length: a dataset has __len__"),
        ("__getitem__", "samples: a dataset has __getitem__(index)"),
    ):
        if not hasattr(dataset, method):
            raise ArgumentTypeError(f"{type(dataset).__name__} has no {what}, or is a torch IterableDataset.")
    sampler = sampler or {"type": "EpochSampler"}
    target, _ = resolve_cfg(sampler, SAMPLERS)
    args = accepted_args(target, dict.fromkeys(SAMPLER_OFFERED))
    offered["size"] = len(dataset)
    labels = getattr(dataset, "labels", None) if "labels" in args else None  # it may take time to compute
    if labels is not None:
        offered["labels"] = labels
    order = SAMPLERS.build(sampler, default_args={name: offered[name] for name in args if name in offered})
    methods = ("draws",) if is_infinite(order) else ("draws", "__len__")
    missing = [name for name in methods if not callable(getattr(order, name, None))]
    if missing:
        raise ArgumentError(
            f"{type(order).__name__} cannot be used as a sampler: it has no {' and no '.join(missing)}; "
            "see EpochSampler."
        )
    return order
