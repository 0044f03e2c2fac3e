"""Build the datasets and loaders that the ``data`` of a config describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import IterableDataset

from cfgtrain.config.config import Config
from cfgtrain.data.loader import EpochDataLoader, StreamLoader
from cfgtrain.errors import ArgumentError
from cfgtrain.introspection.signatures import accepted_args
from cfgtrain.keys import setting
from cfgtrain.registries import DATASETS, SAMPLERS
from cfgtrain.registry.registry import resolve_cfg

__all__ = ["build_dataloader", "build_dataset"]

# Keys of `data` that apply to all datasets; `data.<part>_dataloader` overrides them.
LOADER_KEYS = (
    "samples_per_gpu",
    "workers_per_gpu",
    "drop_last",
    "shuffle",
    "pin_memory",
    "persistent_workers",
    "prefetch_factor",
    "sampler",
)

# Arguments that are passed to a sampler if it accepts them.
SAMPLER_OFFERED = ("size", "shuffle", "seed", "rank", "world_size", "round_up")


def parts_of(cfg: Config) -> list[str]:
    """Return the datasets that ``data`` may have: train, val, test, and one for each other flow.

    Flows with other names are those of a custom runner.
    """
    workflow = setting(cfg, "workflow")
    flows = workflow if isinstance(workflow, (list, tuple)) else ()
    modes = [flow[0] for flow in flows if isinstance(flow, (list, tuple)) and flow]
    return list(dict.fromkeys(["train", "val", "test", *(mode for mode in modes if isinstance(mode, str))]))


def build_dataset(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a dataset from its config."""
    return DATASETS.build(cfg, default_args=default_args)


def loader_settings(data: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the loader settings of one dataset: those of ``data``, overridden by its own."""
    common = {key: data[key] for key in LOADER_KEYS if key in data}
    return {**common, **data.get(f"{part}_dataloader", {})}


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
    """Build a loader whose order and augmentation are functions of the seed and the epoch.

    Args:
        dataset: Has ``__len__`` and ``__getitem__(index)``. Or a stream, torch's ``IterableDataset``:
            it determines the order, splits itself over the workers, and ``shuffle`` has no effect.
        samples_per_gpu: Batch size of this process (MMCV name).
        workers_per_gpu: Number of worker processes of this process (MMCV name).
        seed: Seed of the run; the same in all processes.
        shuffle: Whether each epoch has its own random order.
        drop_last: Whether a smaller last batch is left out.
        pin_memory: Whether batches are copied to page-locked memory.
        persistent_workers: Whether workers are kept between epochs.
        prefetch_factor: Number of batches that each worker loads in advance.
        sampler: Config of a custom sampler; ``size``, ``shuffle``, ``seed``, ``rank``,
            ``world_size`` and ``round_up`` are passed to it if it accepts them.
        rank: Rank of this process.
        world_size: Number of processes that share an epoch.
        round_up: Whether samples are repeated so that all processes have equally many.

    Raises:
        ArgumentError: A sampler or several processes are given for a stream.
    """
    if isinstance(dataset, IterableDataset):
        if sampler is not None or world_size > 1:
            raise ArgumentError(
                f"{type(dataset).__name__} is a stream: it cannot have a sampler or be split over processes."
            )
        return StreamLoader(
            dataset,
            samples_per_gpu,
            seed,
            drop_last=drop_last,
            num_workers=workers_per_gpu,
            pin_memory=pin_memory,
            prefetch_factor=prefetch_factor if workers_per_gpu > 0 else None,
        )
    values = (len(dataset), shuffle, seed, rank, world_size, round_up)
    offered = dict(zip(SAMPLER_OFFERED, values, strict=True))
    sampler = sampler or {"type": "EpochSampler"}
    target, _ = resolve_cfg(sampler, SAMPLERS)
    order = SAMPLERS.build(sampler, default_args=accepted_args(target, offered))
    return EpochDataLoader(
        dataset,
        order,
        samples_per_gpu,
        seed=seed,
        drop_last=drop_last,
        num_workers=workers_per_gpu,
        pin_memory=pin_memory,
        persistent_workers=persistent_workers,
        prefetch_factor=prefetch_factor,
    )
