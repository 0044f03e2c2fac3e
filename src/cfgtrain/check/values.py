"""Check the settings that are plain values, and the files that they name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cfgtrain.arguments import check_integer
from cfgtrain.check.acceleration import acceleration_problems
from cfgtrain.check.components import config_error, wrong_value
from cfgtrain.checkpoint.load import read_checkpoint
from cfgtrain.checkpoint.schemes import checkpoint_exists
from cfgtrain.config.config import Config
from cfgtrain.config.key_paths import walk
from cfgtrain.data.builder import parts_of
from cfgtrain.errors import ArgumentError, CfgTrainError, CheckpointError, ConfigError, ConfigValueError
from cfgtrain.experiment.older_keys import older_key_problems
from cfgtrain.experiment.parallel_settings import parallel_problems
from cfgtrain.experiment.resume import may_resume
from cfgtrain.fileio.uri import uri_prefix
from cfgtrain.keys import setting
from cfgtrain.origin import location
from cfgtrain.parallel.device import pick_device

__all__ = ["file_problems", "freeze_problems", "value_problems"]

MAX_SEED = 2**63 - 1  # what torch takes


def value_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the settings that are plain values."""
    yield from _workflow_problems(cfg)
    try:
        if setting(cfg, "seed") is not None:
            check_integer("seed", cfg["seed"], 0, MAX_SEED)
    except ArgumentError as error:
        yield config_error(error, cfg, "seed")
    for name in ("deterministic", "dry_run"):
        if not isinstance(setting(cfg, name), bool):
            yield wrong_value(cfg, name, "True or False")
    if not isinstance(cfg.get("work_dir"), str | None):
        yield wrong_value(cfg, "work_dir", "a path as a str, or None")
    yield from _empty_paths(cfg)
    yield from freeze_problems(cfg)
    yield from parallel_problems(cfg)
    yield from older_key_problems(cfg)
    yield from acceleration_problems(cfg)
    if setting(cfg, "log_level") not in [*logging.getLevelNamesMapping()]:
        yield wrong_value(cfg, "log_level", "DEBUG, INFO, WARNING or ERROR")
    try:
        pick_device(cfg.get("device"))
    except ArgumentError as error:
        yield config_error(error, cfg, "device")
    try:
        cfg.pretty_text  # noqa: B018  # a config that cannot be written cannot be saved in the work directory
    except ConfigError as error:
        yield error


def freeze_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the value of ``freeze``, without the model whose parts it names."""
    names = setting(cfg, "freeze")
    if names is not None and not (
        isinstance(names, list | tuple) and all(isinstance(each, str) for each in names)
    ):
        message = (
            f"freeze is a list of names, such as ['backbone.conv1', 'backbone.layer1.*'], not {names!r}."
        )
        yield ConfigValueError(message, **location(cfg, "freeze"))


def _empty_paths(cfg: Config) -> Iterator[CfgTrainError]:
    """Find folders that are given as an empty str, which would be the current folder."""
    if cfg.get("work_dir") == "":
        message = "work_dir is empty. Leave it out for work_dirs/<config name>, or write '.' for the current folder."
        yield ConfigValueError(message, **location(cfg, "work_dir"))
    log = cfg.get("log_config")
    loggers = log.get("hooks", ()) if isinstance(log, Mapping) else ()
    hooks = [cfg.get("checkpoint_config"), cfg.get("evaluation")]
    for node in (*hooks, *(loggers if isinstance(loggers, (list, tuple)) else ())):
        if isinstance(node, Mapping) and node.get("out_dir") == "":
            message = (
                "out_dir is empty. Leave it out for the work directory, or write '.' for the current folder."
            )
            yield ConfigValueError(message, **location(node, "out_dir"))


def file_problems(cfg: Config, trusted: bool = False) -> Iterator[CfgTrainError]:
    """Yield an error for each checkpoint that the run would read and that cannot be loaded.

    Args:
        cfg: Config of a training run.
        trusted: Whether ``load_from`` and ``resume_from`` may run code while they are loaded. They are
            not read here then, because the code would run twice.
    """
    resume_from, load_from = cfg.get("resume_from"), cfg.get("load_from")
    resumes = resume_from is not None and (resume_from != "auto" or may_resume(cfg))
    if resume_from is not None and resume_from != "auto":
        yield from _checkpoint_problems(
            cfg, "resume_from", "the path or URL of a checkpoint, or 'auto'", not trusted
        )
    if load_from is not None and not resumes:  # a run that resumes does not read it
        yield from _checkpoint_problems(cfg, "load_from", "the path or URL of a checkpoint", not trusted)
    yield from _pretrained_problems(cfg.get("model"))


def _pretrained_problems(node: Any) -> Iterator[CfgTrainError]:
    """Find checkpoints that cannot be loaded in the ``init_cfg`` of any part of the model."""
    for _, each in walk(node):
        if (
            isinstance(each, Mapping)
            and each.get("type") == "Pretrained"
            and isinstance(each.get("checkpoint"), str)
        ):
            yield from _checkpoint_problems(each, "checkpoint", "the path or URL of a checkpoint")


def _checkpoint_problems(node: Any, key: str, right: str, read: bool = True) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the file ``node[key]``, which should be a checkpoint that can be loaded.

    A file that would have to be downloaded is not read.

    Args:
        node: Dict that contains the path.
        key: Its key there.
        right: What the value should be, for the message.
        read: Whether to read the file.
    """
    file = node[key]
    problem = _file_problem(file)
    if problem is not None:
        yield ConfigValueError(f"{key} is {right}; {problem}", **location(node, key))
    elif read and uri_prefix(file) in (None, "file"):
        try:
            read_checkpoint(file, mmap=True)
        except CheckpointError as error:
            yield CheckpointError(error.message, hint=error.hint, **location(node, key))


def _file_problem(file: object) -> str | None:
    try:
        exists = isinstance(file, str) and file != "" and checkpoint_exists(file)
    except CfgTrainError as error:
        return str(error)
    if exists:
        return None
    is_folder = isinstance(file, str) and file != "" and Path(file).expanduser().is_dir()
    return f"{file!r} is {'a folder' if is_folder else 'not there'}."


def _workflow_problems(cfg: Config) -> Iterator[CfgTrainError]:
    workflow = setting(cfg, "workflow")
    if not isinstance(workflow, (list, tuple)) or not all(map(_is_flow, workflow)):
        yield wrong_value(cfg, "workflow", "a list such as [('train', 1)]")
        return
    where = location(cfg, "workflow")
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
