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

from cfgtrain.amp import as_half_dtype
from cfgtrain.arguments import check_integer, check_positive
from cfgtrain.checkpoint.find import Resumed, find_resume
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.config.key_paths import items_of, walk
from cfgtrain.data.loader import num_batches
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigKeyError, ConfigValueError, ProcessError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.data_identity import fingerprints
from cfgtrain.experiment.resume import find_start
from cfgtrain.keys import setting
from cfgtrain.optim.optimizers import Optimizers
from cfgtrain.origin import dotted, location
from cfgtrain.parallel.dist import get_dist_info, is_main_process, set_tensor_parallel
from cfgtrain.parallel.fsdp import (
    DTYPES,
    UNSUPPORTED_OPTIMIZERS,
    check_parameters,
    has_batch_norm,
    shard_model,
    shard_optimizers,
    units_of,
)
from cfgtrain.parallel.launch import check_dist_params, local_device
from cfgtrain.parallel.objects import from_main_process, gather_objects
from cfgtrain.parallel.tensor_parallel import STYLES, plan_of
from cfgtrain.parallel.wrappers import MMDistributedDataParallel, OnDevice, unwrap_model
from cfgtrain.runner.hook_configs import mixed_precision
from cfgtrain.utils.versions import version_meta

__all__ = [
    "check_model_parallel",
    "check_same_data",
    "check_same_run",
    "check_shardable",
    "find_start_together",
    "group_processes",
    "group_settings",
    "log_in_main_process",
    "parallel_problems",
    "wrap_model",
]

_OWN_KEYS = ("device", "work_dir")  # may be different in each process, such as on machines with other paths


logger = logging.getLogger(__name__)

FSDP_NAMES = ("FSDP", "FullyShardedDataParallel")
FSDP_OPTIONS = (
    "type",
    "wrap",
    "reshard_after_forward",
    "mixed_precision",
    "cpu_offload",
    "tensor_parallel",
    "plan",
)
DDP_NAMES = ("DDP", "DistributedDataParallel", "MMDistributedDataParallel")
_DDP_OPTIONS = ("find_unused_parameters", "static_graph", "gradient_as_bucket_view", "broadcast_buffers")


def group_settings(cfg: Config) -> dict[str, Any]:
    """Return the settings of the process group in ``dist_params``.

    Raises:
        ConfigValueError: They are not valid.
    """
    settings = setting(cfg, "dist_params")
    try:
        return check_dist_params(settings)
    except ArgumentError as error:
        node = (settings, error.argument[0]) if isinstance(settings, Mapping) else (cfg, "dist_params")
        raise ConfigValueError(error.message, hint=error.hint, **location(*node)) from error


def parallel_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``parallel``, ``find_unused_parameters`` and ``dist_params``."""
    try:
        group_settings(cfg)
    except CfgTrainError as error:
        yield error
    if not isinstance(setting(cfg, "find_unused_parameters"), bool):
        yield _no_bool(cfg, "find_unused_parameters")
    settings = setting(cfg, "parallel")
    if settings is None:
        return
    if not isinstance(settings, Mapping):
        message = f"parallel is a dict such as dict(type='DDP'), not {settings!r}."
        yield ConfigValueError(message, **location(cfg, "parallel"))
        return
    if settings.get("type") in FSDP_NAMES:
        yield from _fsdp_problems(cfg, settings)
        return
    if settings.get("type", "DDP") not in DDP_NAMES:
        message = f"parallel.type is 'DDP' or 'FSDP', not {settings['type']!r}."
        near = (str(settings["type"]), (*DDP_NAMES, *FSDP_NAMES))
        yield ConfigValueError(message, near=near, **location(settings, "type"))
    for key, value in settings.items():
        if key in _DDP_OPTIONS:
            if not isinstance(value, bool):
                yield _no_bool(settings, key)
        elif key == "bucket_cap_mb":
            try:
                check_positive(key, value)
            except ArgumentError as error:
                yield ConfigValueError(error.message, **location(settings, key))
        elif key != "type":
            names = ("type", *_DDP_OPTIONS, "bucket_cap_mb")
            message = f"parallel has no setting {key!r}."
            if key in FSDP_OPTIONS:
                hint = "It is one of parallel=dict(type='FSDP', ...)."
                yield ConfigKeyError(message, hint=hint, **location(settings, key))
            else:
                yield ConfigKeyError(message, near=(str(key), names), **location(settings, key))


def _fsdp_problems(cfg: Config, settings: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``parallel=dict(type='FSDP', ...)``, and which other settings it does not work with."""
    for key, value in settings.items():
        where = location(settings, key)
        if key in ("reshard_after_forward", "cpu_offload"):
            if not isinstance(value, bool):
                yield _no_bool(settings, key)
        elif key == "wrap":
            is_list = (
                isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value)
            )
            if value is not None and not is_list:
                message = f"parallel.wrap is a list of names of modules or classes, not {value!r}."
                yield ConfigValueError(message, **where)
        elif key == "tensor_parallel":
            try:
                check_integer(key, value, 1)
            except CfgTrainError as error:
                yield ConfigValueError(error.message, **where)
        elif key == "plan":
            yield from _plan_problems(settings, value)
        elif key == "mixed_precision":
            yield from _dtype_problems(settings, value)
        elif key != "type":
            message = f"parallel of type 'FSDP' has no setting {key!r}."
            yield ConfigKeyError(message, near=(str(key), FSDP_OPTIONS), **where)
    yield from _unsupported_with_fsdp(cfg, settings)


def _plan_problems(settings: Mapping[str, Any], plan: Any) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``plan``, as far as it can be said without the model."""
    if plan is None:
        return
    if not isinstance(plan, Mapping) or not plan:
        message = (
            "parallel.plan is a dict of styles by names of modules, such as dict(fc1='colwise', fc2='rowwise'), not "
            f"{plan!r}."
        )
        yield ConfigValueError(message, **location(settings, "plan"))
        return
    for name, style in plan.items():
        if style not in STYLES:
            message = f"The style of {name!r} in parallel.plan is 'colwise' or 'rowwise', not {style!r}."
            yield ConfigValueError(message, near=(str(style), STYLES), **location(plan, name))
    if settings.get("tensor_parallel", 1) == 1:
        yield ConfigValueError(
            "parallel.plan has no effect without tensor_parallel.",
            hint="Add tensor_parallel=2, the number of processes that compute a layer together.",
            **location(settings, "plan"),
        )


def _dtype_problems(settings: Mapping[str, Any], value: Any) -> Iterator[CfgTrainError]:
    where = location(settings, "mixed_precision")
    names = ("param_dtype", "reduce_dtype")
    if value is not None and not isinstance(value, Mapping):
        message = f"parallel.mixed_precision is a dict such as dict(param_dtype='bfloat16'), not {value!r}."
        yield ConfigValueError(message, **where)
        return
    for key, dtype in (value or {}).items():
        if key not in names:
            yield ConfigKeyError(
                f"parallel.mixed_precision has no setting {key!r}.",
                near=(str(key), names),
                **location(value, key),
            )
        elif dtype is not None and (not isinstance(dtype, str) or dtype not in DTYPES):
            yield ConfigValueError(
                f"{key} is 'float32', 'bfloat16' or 'float16', not {dtype!r}.",
                near=(str(dtype), tuple(DTYPES)),
                **location(value, key),
            )


def _unsupported_with_fsdp(cfg: Config, settings: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    """Yield the other settings of a config that cannot be combined with FSDP, each with what would work."""
    half = _half_precision(cfg)
    if half == "float16" or _has_loss_scale(cfg):
        key = next((each for each in ("precision", "fp16") if cfg.get(each)), "optimizer_config")
        yield ConfigValueError(
            "parallel of type 'FSDP' cannot train in float16 with a loss scale.",
            hint="Use precision='bf16', which needs no loss scale, or parallel=dict(type='DDP').",
            **location(cfg, key),
        )
    elif half is not None and settings.get("cpu_offload") is True:
        yield ConfigValueError(
            "precision cannot be combined with cpu_offload of parallel.",
            hint="Use parallel=dict(type='FSDP', mixed_precision=dict(param_dtype='bfloat16'), cpu_offload=True).",
            **location(settings, "cpu_offload"),
        )
    saving = setting(cfg, "checkpoint_config")
    if isinstance(saving, Mapping) and saving.get("async_save") is True:
        yield ConfigValueError(
            "Checkpoints of parallel of type 'FSDP' cannot be written in the background.",
            hint="Remove async_save. All processes write their shards at once.",
            **location(saving, "async_save"),
        )
    optimizer = cfg.get("optimizer")
    each_optimizer = [optimizer, *optimizer.values()] if isinstance(optimizer, Mapping) else []
    for each in each_optimizer:
        if isinstance(each, Mapping) and each.get("type") in UNSUPPORTED_OPTIMIZERS:
            yield ConfigValueError(
                f"The optimizer {each['type']} cannot train weights that are divided among processes.",
                hint="Use another one, such as AdamW, or parallel=dict(type='DDP').",
                **location(each, "type"),
            )
    hooks = setting(cfg, "custom_hooks")
    for each in hooks if isinstance(hooks, list | tuple) else [hooks]:
        if isinstance(each, Mapping) and each.get("type") == "EMAHook" and each.get("resume_from"):
            yield ConfigValueError(
                "resume_from of EMAHook cannot be used with parallel of type 'FSDP'.",
                hint="Use --resume.",
                **location(each, "resume_from"),
            )


def _half_precision(cfg: Config) -> str | None:
    """Return the name of the 16-bit dtype that a run trains in, or None."""
    try:
        half = mixed_precision(cfg._cfg_dict)
        return None if half is None else str(as_half_dtype(half)).removeprefix("torch.")
    except (CfgTrainError, AttributeError, TypeError, ValueError):
        return None  # reported with the key itself


def _has_loss_scale(cfg: Config) -> bool:
    settings = cfg.get("optimizer_config")
    return isinstance(settings, Mapping) and settings.get("loss_scale") is not None


def _no_bool(node: Any, key: str) -> ConfigValueError:
    return ConfigValueError(f"{key} is True or False, not {node[key]!r}.", **location(node, key))


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
    found = gather_objects((socket.gethostname(), own))
    host, main = found[0]
    for rank, (other_host, other) in enumerate(found[1:], 1):
        for what in (*main, *(name for name in other if name not in main)):
            ours, theirs = main.get(what, "missing"), other.get(what, "missing")
            if ours != theirs:
                error = ProcessError(
                    f"The {what} is different in the processes of the run: {_shown(ours)} in rank 0 ({host}) and "
                    f"{_shown(theirs)} in rank {rank} ({other_host}).",
                    is_reported=not is_main_process(),
                    hint=hint,
                )
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


def wrap_model(cfg: Config, model: nn.Module, optimizer: Optimizers = None) -> nn.Module:
    """Return the model in the wrapper of ``parallel`` that trains it with several processes; alone it is unchanged.

    With FSDP, the weights of the model and the state of the optimizer are divided in place.

    Raises:
        ConfigValueError: The model cannot be divided as ``parallel`` says.
    """
    if get_dist_info()[1] == 1:
        return model
    settings = setting(cfg, "parallel") or {}
    if settings.get("type") in FSDP_NAMES:
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
    half = _half_precision(cfg)
    if half is not None and options.get("mixed_precision") is None:
        if has_batch_norm(inner.modules()):
            logger.info("FSDP gathers weights in float32, because the model has batch normalization.")
        else:
            options["mixed_precision"] = {"param_dtype": half, "reduce_dtype": "float32"}
    replaced = shard_model(inner, local_device(cfg.device), **options)
    shard_optimizers(optimizer, replaced)
    del kept


def check_shardable(cfg: Config, model: nn.Module) -> None:
    """Raise if FSDP cannot divide the model; nothing is checked without FSDP.

    Raises:
        ConfigValueError: A name in ``parallel.wrap`` is of no module, a parameter cannot be divided, or the plan for
            ``tensor_parallel`` does not fit the model.
    """
    settings = setting(cfg, "parallel") or {}
    if settings.get("type") not in FSDP_NAMES:
        return
    inner = unwrap_model(model)
    try:
        units_of(inner, settings.get("wrap"))
        check_parameters(inner)
        if settings.get("tensor_parallel", 1) > 1:
            plan_of(inner, settings["tensor_parallel"], settings.get("plan"))
    except ArgumentError as error:
        place = location(cfg, "model")
        if error.argument == ("wrap",):
            place = location(settings, "wrap")
        elif error.argument[:1] == ("plan",) and settings.get("plan"):
            place = location(settings["plan"], error.argument[1])
        elif error.argument[:1] == ("plan",):
            place = location(settings, "tensor_parallel")
        raise ConfigValueError(error.message, hint=error.hint, **place) from error
