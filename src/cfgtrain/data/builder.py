"""Build datasets and loaders from the ``data`` section of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

from torch.utils.data import IterableDataset

from cfgtrain.config.config import Config
from cfgtrain.data.loader import EpochDataLoader, StreamLoader
from cfgtrain.data.paths import resolve_paths
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.introspection.signatures import accepted_args
from cfgtrain.keys import setting
from cfgtrain.registries import DATASETS, SAMPLERS
from cfgtrain.registry.registry import resolve_cfg

__all__ = ["build_dataloader", "build_dataset", "metainfo_of", "setting_problems"]

# The numbers among the settings of a loader, and the smallest values; PyTorch would raise an error for less, some only
# when it loads.
LEAST = {"samples_per_gpu": 1, "workers_per_gpu": 0, "prefetch_factor": 1}
_SWITCHES = ("shuffle", "drop_last", "pin_memory", "persistent_workers")

# Keys of `data` that apply to all parts (train, val, test); `data.<part>_dataloader` overrides them.
LOADER_KEYS = (*LEAST, *_SWITCHES, "sampler")

# Arguments that are passed to a sampler if it accepts them.
SAMPLER_OFFERED = ("size", "shuffle", "seed", "rank", "world_size", "round_up")


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
    if metainfo:
        target, _ = resolve_cfg(cfg, DATASETS)
        args |= accepted_args(target, {"metainfo": dict(metainfo)})
    return DATASETS.build(cfg, default_args=args)


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
    """Return the loader settings of one part: those of ``data``, updated by ``<part>_dataloader``."""
    common = {key: data[key] for key in LOADER_KEYS if key in data}
    return {**common, **data.get(f"{part}_dataloader", {})}


def setting_problems(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each loader setting whose value is not valid, and what is wrong with it."""
    for name, least in LEAST.items():
        value = settings.get(name, least)
        if isinstance(value, bool) or not isinstance(value, (int, Integral)):
            yield name, f"{name} must be an int, not {value!r}."
        elif value < least:
            yield name, f"{name} must be at least {least}, not {value!r}."
    for name in _SWITCHES:
        if not isinstance(settings.get(name, False), bool):
            yield name, f"{name} must be True or False, not {settings[name]!r}."


def build_dataloader(
    dataset: Any,
    samples_per_gpu: int = 1,
    workers_per_gpu: int = 0,
    *,
    seed: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    pin_memory: bool = False,
    persistent_workers: bool = True,
    prefetch_factor: int = 2,
    sampler: Mapping[str, Any] | None = None,
    rank: int = 0,
    world_size: int = 1,
    round_up: bool = True,
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
        pin_memory: Whether to copy batches to pinned (page-locked) memory.
        persistent_workers: Whether to keep the workers running between epochs.
        prefetch_factor: Number of batches that each worker loads in advance.
            It has no effect without workers, and neither has ``persistent_workers``.
        sampler: Config of a custom sampler. The arguments ``size``, ``shuffle``, ``seed``, ``rank``,
            ``world_size`` and ``round_up`` are passed to it if it accepts them.
        rank: Rank of this process.
        world_size: Number of processes that share an epoch.
        round_up: Whether to repeat some samples so that all processes get the same number of samples.

    Raises:
        ArgumentError: A setting has a value that is not valid, the sampler does not have the methods of
            one, or the dataset is a stream, and ``sampler`` is given, or there are several workers and
            it does not say how they share it.
        ArgumentTypeError: The dataset has no length and is not a stream.
    """
    shared: dict[str, Any] = {
        "drop_last": drop_last,
        "pin_memory": pin_memory,
        "prefetch_factor": prefetch_factor,
    }
    settings = {
        "samples_per_gpu": samples_per_gpu,
        "workers_per_gpu": workers_per_gpu,
        "shuffle": shuffle,
        "persistent_workers": persistent_workers,
        **shared,
    }
    for _, problem in setting_problems(settings):
        raise ArgumentError(problem)
    if isinstance(dataset, IterableDataset):
        if sampler is not None:
            raise ArgumentError(f"{type(dataset).__name__} is a stream: it cannot have a sampler.")
        return StreamLoader(dataset, samples_per_gpu, seed, rank, world_size, workers_per_gpu, **shared)
    if not hasattr(dataset, "__len__"):
        raise ArgumentTypeError(
            f"{type(dataset).__name__} has no length: a dataset has __len__, or is a torch IterableDataset."
        )
    values = (len(dataset), shuffle, seed, rank, world_size, round_up)
    offered = dict(zip(SAMPLER_OFFERED, values, strict=True))
    sampler = sampler or {"type": "EpochSampler"}
    target, _ = resolve_cfg(sampler, SAMPLERS)
    order = SAMPLERS.build(sampler, default_args=accepted_args(target, offered))
    missing = [name for name in ("draws", "__len__") if not callable(getattr(order, name, None))]
    if missing:
        raise ArgumentError(
            f"{type(order).__name__} cannot be used as a sampler: it has no {' and no '.join(missing)}; "
            "see EpochSampler."
        )
    return EpochDataLoader(
        dataset,
        order,
        samples_per_gpu,
        seed,
        num_workers=workers_per_gpu,
        persistent_workers=persistent_workers,
        **shared,
    )
