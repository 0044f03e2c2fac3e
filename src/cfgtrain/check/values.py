"""Check the settings that are plain values, and the files that they name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.check.components import config_error
from cfgtrain.checkpoint.schemes import checkpoint_exists
from cfgtrain.config.config import Config
from cfgtrain.config.key_paths import walk
from cfgtrain.data.builder import parts_of
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigError, ConfigValueError
from cfgtrain.keys import setting
from cfgtrain.origin import location
from cfgtrain.parallel.device import pick_device

__all__ = ["file_problems", "value_problems"]

MAX_SEED = 2**63 - 1  # what torch takes


def value_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the settings that are plain values."""
    yield from _workflow_problems(cfg)
    seed, deterministic, level = (
        setting(cfg, "seed"),
        setting(cfg, "deterministic"),
        setting(cfg, "log_level"),
    )
    if seed is not None and (
        not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED
    ):
        message = f"seed is a non-negative int or None, not {seed!r}; it is below 2**63."
        yield ConfigValueError(message, **location(cfg, "seed"))
    if not isinstance(deterministic, bool):
        message = f"deterministic is True or False, not {deterministic!r}."
        yield ConfigValueError(message, **location(cfg, "deterministic"))
    if not isinstance(cfg.get("work_dir"), str | None):
        message = f"work_dir is a path as a str, or None, not {cfg['work_dir']!r}."
        yield ConfigValueError(message, **location(cfg, "work_dir"))
    if not isinstance(level, str) or level not in logging.getLevelNamesMapping():
        message = f"log_level is one of DEBUG, INFO, WARNING, ERROR, not {level!r}."
        yield ConfigValueError(message, **location(cfg, "log_level"))
    try:
        pick_device(cfg.get("device"))
    except ArgumentError as error:
        yield config_error(error, cfg, "device")
    try:
        cfg.pretty_text  # noqa: B018  # a config that cannot be written cannot be saved in the work directory
    except ConfigError as error:
        yield error


def file_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield an error for each checkpoint that the run would read and that does not exist."""
    for key in ("load_from", "resume_from"):
        file = cfg.get(key)
        if file is None or (key == "resume_from" and file == "auto"):
            continue
        problem = _file_problem(file)
        if problem is not None:
            auto = ", or 'auto'" if key == "resume_from" else ""
            message = f"{key} is the path or URL of a checkpoint{auto}; {problem}"
            yield ConfigValueError(message, **location(cfg, key))
    yield from _pretrained_problems(cfg.get("model"))


def _pretrained_problems(node: Any) -> Iterator[CfgTrainError]:
    """Find checkpoints that do not exist in the ``init_cfg`` of any part of the model."""
    for _, each in walk(node):
        if not isinstance(each, Mapping) or each.get("type") != "Pretrained":
            continue
        file = each.get("checkpoint")
        problem = _file_problem(file) if isinstance(file, str) else None
        if problem is not None:
            message = f"checkpoint is the path or URL of a checkpoint; {problem}"
            yield ConfigValueError(message, **location(each, "checkpoint"))


def _file_problem(file: object) -> str | None:
    try:
        exists = isinstance(file, str) and checkpoint_exists(file)
    except CfgTrainError as error:
        return str(error)
    return None if exists else f"{file!r} is not there."


def _workflow_problems(cfg: Config) -> Iterator[CfgTrainError]:
    workflow = setting(cfg, "workflow")
    where = location(cfg, "workflow")
    if not isinstance(workflow, (list, tuple)) or not all(map(_is_flow, workflow)):
        yield ConfigValueError(f"workflow is a list such as [('train', 1)], not {workflow!r}.", **where)
        return
    for mode, times in workflow:
        if times < 1:
            message = (
                f"A flow runs at least once, not {times} times, as {mode!r} in the workflow {workflow!r}."
            )
            yield ConfigValueError(message, **where)
    data = cfg.get("data")
    parts = [part for part in parts_of(cfg) if isinstance(data, Mapping) and data.get(part) is not None]
    for mode, _ in workflow:
        if parts and mode not in ("train", *parts):
            message = f"The workflow runs {mode!r}, but data has no dataset of that name."
            yield ConfigValueError(message, near=(str(mode), parts), **where)
    if "train" not in [mode for mode, _ in workflow]:
        yield ConfigValueError("The workflow has no 'train' flow: it would never end.", **where)


def _is_flow(flow: object) -> bool:
    return isinstance(flow, (list, tuple)) and len(flow) == 2 and isinstance(flow[1], int)
