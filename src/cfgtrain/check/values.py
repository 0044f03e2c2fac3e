"""Check the settings that are plain values."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cfgtrain.check.components import problem_at
from cfgtrain.config.config import Config
from cfgtrain.config.key_paths import walk
from cfgtrain.data.builder import parts_of
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigError, ConfigValueError
from cfgtrain.parallel.device import pick_device
from cfgtrain.suggestions import suggest

__all__ = ["file_problems", "value_problems"]

MAX_SEED = 2**63 - 1  # what torch takes


def value_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the settings that are no dicts."""
    root = cfg._cfg_dict
    yield from _workflow(cfg)
    seed = cfg.get("seed")
    if seed is not None and (
        not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED
    ):
        message = f"seed is a non-negative int or None, not {seed!r}; it is below 2**63."
        yield problem_at(ConfigValueError, message, root, "seed")
    if not isinstance(cfg.get("deterministic", False), bool):
        message = f"deterministic is True or False, not {cfg['deterministic']!r}."
        yield problem_at(ConfigValueError, message, root, "deterministic")
    if not isinstance(cfg.get("work_dir"), str | None):
        message = f"work_dir is a path as a str, or None, not {cfg['work_dir']!r}."
        yield problem_at(ConfigValueError, message, root, "work_dir")
    level = cfg.get("log_level", "INFO")
    if not isinstance(level, str) or level not in logging.getLevelNamesMapping():
        message = f"log_level is one of DEBUG, INFO, WARNING, ERROR, not {level!r}."
        yield problem_at(ConfigValueError, message, root, "log_level")
    try:
        pick_device(cfg.get("device"))
    except ArgumentError as error:
        yield problem_at(ConfigValueError, str(error), root, "device")
    try:
        cfg.pretty_text  # noqa: B018  # what cannot be written could not be kept beside the run
    except ConfigError as error:
        yield error


def file_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield which checkpoints that a training reads are not there."""
    for key in ("load_from", "resume_from"):
        file = cfg.get(key)
        if file is None or (key == "resume_from" and file == "auto"):
            continue
        if not _is_there(file):
            auto = ", or 'auto'" if key == "resume_from" else ""
            message = f"{key} is the path of a checkpoint{auto}; {file!r} is not there."
            yield problem_at(ConfigValueError, message, cfg._cfg_dict, key)
    yield from _pretrained(cfg.get("model"))


def _pretrained(node: Any) -> Iterator[CfgTrainError]:
    """Find initial weights from a file that is not there, in an ``init_cfg`` anywhere in the model."""
    for _, each in walk(node):
        if not isinstance(each, Mapping) or each.get("type") != "Pretrained":
            continue
        file = each.get("checkpoint")
        if isinstance(file, str) and "://" not in file and not _is_there(file):
            message = f"checkpoint is the path or URL of a checkpoint; {file!r} is not there."
            yield problem_at(ConfigValueError, message, each, "checkpoint")


def _is_there(file: object) -> bool:
    return isinstance(file, str) and Path(file).expanduser().is_file()


def _workflow(cfg: Config) -> Iterator[CfgTrainError]:
    workflow, root = cfg.get("workflow", [("train", 1)]), cfg._cfg_dict
    if not isinstance(workflow, (list, tuple)) or not all(map(_is_flow, workflow)):
        message = f"workflow is a list such as [('train', 1)], not {workflow!r}."
        yield problem_at(ConfigValueError, message, root, "workflow")
        return
    for mode, times in workflow:
        if times < 1:
            message = (
                f"A flow runs once or more often, and {mode!r} {times} times in the workflow {workflow!r}."
            )
            yield problem_at(ConfigValueError, message, root, "workflow")
    data = cfg.get("data")
    parts = [part for part in parts_of(cfg) if isinstance(data, Mapping) and data.get(part) is not None]
    for mode, _ in workflow:
        if parts and mode not in ("train", *parts):
            message = f"The workflow runs {mode!r}, and data has no such part.{suggest(str(mode), parts)}"
            yield problem_at(ConfigValueError, message, root, "workflow")
    if "train" not in [mode for mode, _ in workflow]:
        message = "The workflow has no 'train' flow: it would never end."
        yield problem_at(ConfigValueError, message, root, "workflow")


def _is_flow(flow: object) -> bool:
    return isinstance(flow, (list, tuple)) and len(flow) == 2 and isinstance(flow[1], int)
