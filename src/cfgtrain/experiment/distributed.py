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

from cfgtrain.arguments import check_positive
from cfgtrain.checkpoint.find import Resumed, find_resume
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigKeyError, ConfigValueError, ProcessError
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.data_identity import fingerprints
from cfgtrain.experiment.resume import find_start
from cfgtrain.keys import setting
from cfgtrain.origin import location
from cfgtrain.parallel.dist import get_dist_info, is_main_process
from cfgtrain.parallel.launch import check_dist_params, local_device
from cfgtrain.parallel.objects import from_main_process, gather_objects
from cfgtrain.parallel.wrappers import MMDistributedDataParallel, OnDevice, unwrap_model
from cfgtrain.utils.versions import version_meta

__all__ = [
    "check_model_parallel",
    "check_same_data",
    "check_same_run",
    "find_start_together",
    "group_settings",
    "log_in_main_process",
    "parallel_problems",
    "wrap_model",
]

_OWN_KEYS = ("device", "work_dir")  # may be different in each process, such as on machines with other paths


DDP_NAMES = ("DDP", "DistributedDataParallel", "MMDistributedDataParallel")
_DDP_OPTIONS = ("find_unused_parameters", "static_graph", "gradient_as_bucket_view", "broadcast_buffers")


def group_settings(cfg: Config) -> dict[str, Any]:
    """Return the settings of the process group in ``dist_params``.

    Raises:
        ConfigValueError: They are not valid.
    """
    try:
        return check_dist_params(setting(cfg, "dist_params"))
    except ArgumentError as error:
        node = (cfg["dist_params"], error.argument[0]) if error.argument else (cfg, "dist_params")
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
    if settings.get("type", "DDP") not in DDP_NAMES:
        message = f"parallel.type is 'DDP', not {settings['type']!r}."
        yield ConfigValueError(message, **location(settings, "type"))
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
            yield ConfigKeyError(message, near=(str(key), names), **location(settings, key))


def _no_bool(node: Any, key: str) -> ConfigValueError:
    return ConfigValueError(f"{key} is True or False, not {node[key]!r}.", **location(node, key))


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
    own |= {f"setting {key!r} of the config": _digest(cfg, key) for key in cfg if key not in _OWN_KEYS}
    _compare(own, "All processes of a run must be started with the same config and the same versions.")


def check_same_data(loaders: Mapping[str, Any]) -> None:
    """Compare the datasets of all processes: their lengths and fingerprints.

    Raises:
        ProcessError: They are different.
    """
    own: dict[str, str] = {}
    prints = fingerprints(loaders)
    for part, loader in loaders.items():
        dataset: Any = getattr(loader, "dataset", None)
        own[f"number of samples of data.{part}"] = str(len(dataset)) if hasattr(dataset, "__len__") else "-"
        own[f"fingerprint of data.{part}"] = prints.get(part, "-")[:12]
    _compare(own, "All processes of a run must read the same data.")


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


def _digest(cfg: Config, key: str) -> str:
    """Return the value of a setting if its text is short, otherwise a digest of it."""
    text = repr(cfg[key])
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


def wrap_model(cfg: Config, model: nn.Module) -> nn.Module:
    """Return the model in the wrapper of ``parallel`` that trains it with several processes; alone it is unchanged."""
    if get_dist_info()[1] == 1:
        return model
    settings = setting(cfg, "parallel") or {}
    options = {"find_unused_parameters": setting(cfg, "find_unused_parameters"), **without(settings, "type")}
    if isinstance(model, OnDevice):
        model = model.module
    device = local_device(cfg.device)
    if not any(each.requires_grad for each in model.parameters()):
        return model  # nothing to share; DDP would raise
    return MMDistributedDataParallel(model, [device.index or 0] if device.type == "cuda" else None, **options)
