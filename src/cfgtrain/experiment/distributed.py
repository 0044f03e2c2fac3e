"""What a training run with several processes needs besides its process group."""

from __future__ import annotations

import hashlib
import logging
import platform
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from cfgtrain.checkpoint.find import Resumed, find_resume
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.config.key_paths import items_of, walk
from cfgtrain.data.loader import num_batches
from cfgtrain.errors import ConfigValueError, ProcessError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.data_identity import fingerprints
from cfgtrain.experiment.parallel_settings import FSDP_NAMES, check_shardable, half_precision
from cfgtrain.experiment.resume import find_start
from cfgtrain.keys import setting
from cfgtrain.optim.optimizers import Optimizers
from cfgtrain.origin import dotted, location
from cfgtrain.parallel.dist import get_dist_info, is_main_process, set_tensor_parallel
from cfgtrain.parallel.fsdp import (
    has_batch_norm,
    shard_model,
    shard_optimizers,
)
from cfgtrain.parallel.launch import local_device
from cfgtrain.parallel.objects import from_main_process, gather_objects
from cfgtrain.parallel.wrappers import MMDistributedDataParallel, OnDevice, unwrap_model
from cfgtrain.utils.versions import version_meta

__all__ = [
    "check_model_parallel",
    "check_same_data",
    "check_same_run",
    "divides_model",
    "find_start_together",
    "group_processes",
    "log_in_main_process",
    "wrap_model",
]

MAX_DIFFERENCES = 10  # between processes that are listed
_OWN_KEYS = ("device", "work_dir")  # may be different in each process, such as on machines with other paths


logger = logging.getLogger(__name__)


def group_processes(cfg: Config) -> None:
    """Set which processes compute the layers of the model together, as ``parallel.tensor_parallel`` says.

    Raises:
        ConfigValueError: The number of processes is no multiple of it.
    """
    settings = setting(cfg, "parallel") or {}
    world_size = get_dist_info()[1]
    if world_size == 1 or settings.get("type") not in FSDP_NAMES:
        return
    size = settings.get("tensor_parallel", 1)
    if world_size % size:
        raise ConfigValueError(
            f"The run has {world_size} processes, which is no multiple of tensor_parallel, {size}.",
            hint=f"Start {-(-world_size // size) * size} processes, or change tensor_parallel.",
            **location(settings, "tensor_parallel"),
        )
    set_tensor_parallel(size)


def check_same_run(cfg: Config) -> None:
    """Compare the config and the versions of all processes.

    Raises:
        ProcessError: They are different.
    """
    versions = {
        **version_meta(),
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    names = {
        "cfgtrain_version": "version of cfgtrain",
        "torch": "version of torch",
        "python": "version of Python",
    }
    own = {names.get(name, name): value for name, value in versions.items()}
    own |= {
        f"setting {dotted(path)!r} of the config": _digest(value)
        for path, value in walk(cfg._cfg_dict)
        if path and path[0] not in _OWN_KEYS and not any(items_of(value))
    }
    _compare(own, "All processes of a run must be started with the same config and the same versions.")


def check_same_data(loaders: Mapping[str, Any], by_epoch: bool = False) -> None:
    """Compare the datasets of all processes: their lengths and fingerprints.

    Args:
        loaders: The loaders of the datasets, by their names in ``data``.
        by_epoch: Whether the run is counted in epochs, which must have equally many batches in all processes.

    Raises:
        ProcessError: They are different, or the processes would train different numbers of batches.
    """
    own: dict[str, str] = {}
    prints = fingerprints(loaders)
    for part, loader in loaders.items():
        dataset: Any = getattr(loader, "dataset", None)
        own[f"number of samples of data.{part}"] = str(len(dataset)) if hasattr(dataset, "__len__") else "-"
        own[f"fingerprint of data.{part}"] = prints.get(part, "-")[:12]
    _compare(own, "All processes of a run must read the same data.")
    if by_epoch:
        batches = num_batches(loaders["train"])
        _compare(
            {"number of batches of data.train": "-" if batches is None else str(batches)},
            "A stream must give equally many batches to all processes in an epoch, otherwise they would wait for each "
            "other: use drop_last=True in data.train_dataloader, a number of samples that the number of processes, "
            "times the number of workers, times samples_per_gpu divides, or IterBasedRunner.",
        )


def _compare(own: dict[str, str], hint: str) -> None:
    """Raise if a value is not the same in all processes; of several that are different, all are listed."""
    found = gather_objects((socket.gethostname(), own))
    host, main = found[0]
    different: dict[str, str] = {}
    for rank, (other_host, other) in enumerate(found[1:], 1):
        for what in (*main, *(name for name in other if name not in main)):
            ours, theirs = main.get(what, "missing"), other.get(what, "missing")
            if ours != theirs:
                values = (
                    f"{_shown(ours)} in rank 0 ({host}) and {_shown(theirs)} in rank {rank} ({other_host})"
                )
                different.setdefault(what, values)
    if not different:
        return
    if len(different) == 1:
        ((what, values),) = different.items()
        message = f"The {what} is different in the processes of the run: {values}. {hint}"
    else:
        lines = [f"  the {what}: {values}" for what, values in different.items()]
        more = [f"  ... and {len(lines) - MAX_DIFFERENCES} more"] if len(lines) > MAX_DIFFERENCES else []
        head = f"{len(different)} things are different in the processes of the run. {hint}"
        message = "\n".join([head, *lines[:MAX_DIFFERENCES], *more])
    error = ProcessError(message, is_reported=not is_main_process())
    error.exit_code = ExitCode.USAGE
    raise error


def _shown(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:60]}..."


def _digest(value: Any) -> str:
    """Return the text of a value if it is short, otherwise a digest of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"digest {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def find_start_together(
    cfg: Config, work_dir: Path, folders: list[Path], logger: logging.Logger, trusted: bool
) -> Resumed | None:
    """Do what ``find_start`` does in the main process, and read the checkpoint that it has found in all processes."""
    found: list[Resumed | None] = []

    def find() -> str | None:
        found.append(find_start(cfg, work_dir, folders, logger, trusted))
        return None if found[0] is None else str(found[0].path)

    path = from_main_process(find)
    if found or path is None:
        return found[0] if found else None
    return find_resume(path, folders, logger, trusted)


@contextmanager
def log_in_main_process(logger: logging.Logger) -> Iterator[tuple[logging.Logger, str]]:
    """Return the context of a run in a process that is not the main one: it has no log files, and no warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield logger, ""


def check_model_parallel(cfg: Config, model: nn.Module) -> None:
    """Raise if a model cannot be trained with several processes.

    Raises:
        ConfigValueError: It has synchronized batch normalization and is on the CPU, or lazy parameters.
    """
    check_shardable(cfg, model)
    if get_dist_info()[1] == 1:
        return
    inner = unwrap_model(model)
    synchronized = next((n for n, m in inner.named_modules() if isinstance(m, nn.SyncBatchNorm)), None)
    if synchronized is not None and local_device(cfg.device).type == "cpu":
        raise ConfigValueError(
            f"The layer {synchronized!r} of the model is a SyncBatchNorm, which needs CUDA with several processes; the "
            "device is cpu.",
            hint="Use norm_cfg=dict(type='BN') on the CPU.",
            **location(cfg, "model"),
        )
    lazy = next((n for n, p in inner.named_parameters() if isinstance(p, UninitializedParameter)), None)
    if lazy is not None:
        raise ConfigValueError(
            f"The parameter {lazy!r} of the model has no size before the first batch, so several processes cannot share "
            "it.",
            hint="Give the layer its number of inputs.",
            **location(cfg, "model"),
        )


def divides_model(cfg: Config) -> bool:
    """Return whether the weights of the model are divided among the processes of this run."""
    return get_dist_info()[1] > 1 and (setting(cfg, "parallel") or {}).get("type") in FSDP_NAMES


def wrap_model(cfg: Config, model: nn.Module, optimizer: Optimizers = None) -> nn.Module:
    """Return the model in the wrapper of ``parallel`` that trains it with several processes; alone it is unchanged.

    With FSDP, the weights of the model and the state of the optimizer are divided in place.

    Raises:
        ConfigValueError: The model cannot be divided as ``parallel`` says.
    """
    if get_dist_info()[1] == 1:
        return model
    settings = setting(cfg, "parallel") or {}
    if divides_model(cfg):
        _shard(cfg, model, optimizer, settings)
        return model
    options = {"find_unused_parameters": setting(cfg, "find_unused_parameters"), **without(settings, "type")}
    if isinstance(model, OnDevice):
        model = model.module
    device = local_device(cfg.device)
    if not any(each.requires_grad for each in model.parameters()):
        return model  # nothing to share; DDP would raise
    return MMDistributedDataParallel(model, [device.index or 0] if device.type == "cuda" else None, **options)


def _shard(cfg: Config, model: nn.Module, optimizer: Optimizers, settings: Mapping[str, Any]) -> None:
    """Divide a model, which is equal in all processes, and the state of its optimizer."""
    inner = unwrap_model(model)
    kept = list(inner.parameters())  # their ids are used
    options = dict(without(settings, "type"))
    half = half_precision(cfg)
    if half is not None and options.get("mixed_precision") is None:
        if has_batch_norm(inner.modules()):
            logger.info("FSDP gathers weights in float32, because the model has batch normalization.")
        else:
            options["mixed_precision"] = {"param_dtype": half, "reduce_dtype": "float32"}
    replaced = shard_model(inner, local_device(cfg.device), **options)
    shard_optimizers(optimizer, replaced)
    del kept
