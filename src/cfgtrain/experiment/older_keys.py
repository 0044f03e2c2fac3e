"""Top-level keys that configs written for MMCV have, and what they set here."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cv2
import torch

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.config.config import Config
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigValueError
from cfgtrain.keys import setting
from cfgtrain.origin import location

__all__ = ["apply_process_settings", "older_key_problems", "replace_older_keys"]

START_METHODS = ("fork", "spawn", "forkserver")

# The older keys for the length of a run, with the type of the runner and its argument.
LENGTHS = {
    "total_epochs": ("EpochBasedRunner", "max_epochs"),
    "total_iters": ("IterBasedRunner", "max_iters"),
}

CHECKS: dict[str, Callable[[str, Any], object]] = {
    "opencv_num_threads": partial(check_integer, minimum=0),
    "mp_start_method": partial(check_choice, choices=(None, *START_METHODS)),
}

# Why a key has no effect.
UNUSED = {
    "gpu_ids": "device says which GPU is used, and the launcher or --nproc how many",
    "device_ids": "device says which GPU is used, and the launcher or --nproc how many",
}


def replace_older_keys(cfg: Config) -> None:
    """Set what older keys mean: ``runner`` by ``total_epochs`` or ``total_iters``, ``resume_from`` by ``auto_resume``.

    The older keys stay in the config.
    """
    for key, (kind, length) in LENGTHS.items():
        if cfg.get("runner") is None and cfg.get(key) is not None:
            origin = cfg.origin(key)
            cfg.merge_from_dict({"runner": {"type": kind, length: cfg[key]}}, origin=origin)
    if cfg.get("auto_resume") is True and cfg.get("resume_from") is None:
        origin = cfg.origin("auto_resume")
        cfg.merge_from_dict({"resume_from": "auto"}, origin=origin)


def older_key_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the values of older keys."""
    for key in ("cudnn_benchmark", "auto_resume"):
        if not isinstance(setting(cfg, key), bool | None):
            yield ConfigValueError(f"{key} must be True or False, not {cfg[key]!r}.", **location(cfg, key))
    for key, check in CHECKS.items():
        try:
            if setting(cfg, key) is not None:
                check(key, cfg[key])
        except ArgumentError as error:
            yield ConfigValueError(error.message, hint=error.hint, **location(cfg, key))
    runner = cfg.get("runner")
    for key, (_, length) in LENGTHS.items() if runner is not None else ():
        stated = runner.get(length) if isinstance(runner, dict) else None
        if cfg.get(key) is not None and stated != cfg[key]:
            yield ConfigValueError(
                f"{key}={cfg[key]!r} and runner, with {length}={stated!r}, set the length of the run differently.",
                hint=f"Leave {key} out: it is the older spelling.",
                **location(cfg, key),
            )


def apply_process_settings(cfg: Config, logger: logging.Logger) -> None:
    """Set what older keys say about this process and its workers, and log which keys have no effect.

    Args:
        cfg: Config of the run.
        logger: Logger of the run.
    """
    if setting(cfg, "cudnn_benchmark") and not setting(cfg, "deterministic"):
        torch.backends.cudnn.benchmark = True
    threads = setting(cfg, "opencv_num_threads")
    if threads is not None:
        cv2.setNumThreads(threads)  # in this process; the workers of loaders set it to 0 for themselves
    method = setting(cfg, "mp_start_method")
    if method is not None and multiprocessing.get_start_method(allow_none=True) != method:
        multiprocessing.set_start_method(method, force=True)
    for key, reason in UNUSED.items():
        if cfg.get(key) is not None:
            logger.info("%s has no effect: %s.", key, reason)
