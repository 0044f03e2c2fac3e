"""Build what a config describes: the model, loaders, optimizer, runner and hooks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from cfgtrain.cnn.tools.freezing import FrozenParts, freeze
from cfgtrain.config.config import Config
from cfgtrain.data.builder import build_dataloader, build_dataset, loader_settings, metainfo_of, parts_of
from cfgtrain.data.loader import empty_loader_error, num_batches
from cfgtrain.data.streams import sharing_problem
from cfgtrain.errors import ArgumentError, ArgumentTypeError, ConfigValueError
from cfgtrain.experiment.work_dir import config_stem
from cfgtrain.keys import HOOK_KEYS, setting
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.origin import location
from cfgtrain.parallel.device import pick_device
from cfgtrain.parallel.wrappers import OnDevice
from cfgtrain.registries import MODELS
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.builder import build_runner
from cfgtrain.runner.hook_configs import optimizer_settings
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.utils.logging import LINES_ONLY
from cfgtrain.utils.versions import version_meta

logger = logging.getLogger(__name__)

__all__ = [
    "assemble_runner",
    "build_loader",
    "build_loader_of",
    "build_loaders",
    "build_model",
    "evaluated_parts",
    "freeze_parts",
    "register_evaluation",
    "register_hooks",
    "used_parts",
]


def build_model(cfg: Config) -> nn.Module:
    """Build the model, initialize its weights, freeze parts of it and move it to its device.

    On the CPU it gets no wrapper.

    Raises:
        ConfigValueError: A pattern of ``freeze`` matches nothing, or nothing is left to train.
    """
    model: nn.Module = MODELS.build(cfg.model)
    if hasattr(model, "init_weights"):
        model.init_weights()  # type: ignore[operator]  # it is a method
    frozen = freeze_parts(cfg, model)
    if frozen is not None:
        logger.info("Frozen: %s", frozen, extra=LINES_ONLY)
    device = pick_device(cfg.device)
    return model if device.type == "cpu" else OnDevice(model, device)


def freeze_parts(cfg: Config, model: nn.Module) -> FrozenParts | None:
    """Freeze the parts of a model that ``freeze`` names, and return how much that is.

    Raises:
        ConfigValueError: A pattern matches nothing, or nothing is left to train.
    """
    patterns = setting(cfg, "freeze")
    if not patterns:
        return None
    try:
        return freeze(model, patterns)
    except ArgumentError as error:
        raise ConfigValueError(error.message, hint=error.hint, **location(cfg, "freeze")) from error


def build_loaders(cfg: Config) -> dict[str, Any]:
    """Build the loaders of all datasets in ``data``, by name: ``train``, ``val``, ``test``, ...

    Raises:
        ConfigValueError: A dataset that the run uses is empty, or cannot be evaluated.
    """
    loaders: dict[str, Any] = {}
    for part in parts_of(cfg):  # train is the first
        if cfg.data.get(part):
            metainfo = metainfo_of(loaders["train"].dataset) if "train" in loaders else None
            loaders[part] = build_loader(cfg, part, metainfo)
    evaluated = evaluated_parts(cfg)
    for part in loaders.keys() & used_parts(cfg):
        if num_batches(loaders[part]) == 0:
            error = empty_loader_error(loaders[part])
            raise ConfigValueError(f"data.{part} is empty. {error.message}", **location(cfg.data, part))
        dataset = loaders[part].dataset
        if part in evaluated and not callable(getattr(dataset, "evaluate", None)):
            message = f"data.{part} has no evaluate(results, logger=...) that returns its scores"
            raise ConfigValueError(message, **location(cfg.data, part))
    return loaders


def evaluated_parts(cfg: Config) -> set[str]:
    """Return the names of the datasets that are evaluated: test, and val if there is an evaluation."""
    return {"test"} if setting(cfg, "evaluation") is None else {"test", "val"}


def used_parts(cfg: Config) -> set[str]:
    """Return the names of the datasets that a run uses."""
    return {*evaluated_parts(cfg), *(mode for mode, _ in setting(cfg, "workflow"))}


def build_loader(cfg: Config, part: str, metainfo: Mapping[str, Any] | None = None) -> Any:
    """Build the dataset ``data.<part>`` and its loader; only ``train`` is shuffled.

    Args:
        cfg: Config of the run.
        part: Name of the dataset.
        metainfo: That of the training dataset; see ``metainfo_of``.

    Raises:
        ConfigValueError: The dataset, or its sampler, cannot be used, or the dataset is a stream that does
            not say how several workers share it.
    """
    return build_loader_of(cfg, part, build_dataset(cfg.data[part], metainfo=metainfo))


def build_loader_of(cfg: Config, part: str, dataset: Any, **changed: Any) -> Any:
    """Build a loader of a dataset with the settings of one part.

    Args:
        cfg: Config of the run.
        part: Name of the part, such as ``"train"``.
        dataset: The dataset.
        changed: Settings that replace those of the config.

    Raises:
        ConfigValueError: As for ``build_loader``.
    """
    settings = {**loader_settings(cfg.data, part), **changed}
    if part != "train":
        settings = {**settings, "shuffle": False, "drop_last": False, "round_up": False}
    problem = sharing_problem(dataset, settings.get("workers_per_gpu", 0))
    if problem is not None:
        own = cfg.data.get(f"{part}_dataloader", {})
        node = own if "workers_per_gpu" in own else cfg.data
        raise ConfigValueError(problem, **location(node, "workers_per_gpu"))
    try:
        return build_dataloader(dataset, **settings, seed=cfg.seed)
    except (ArgumentError, ArgumentTypeError) as error:
        nodes = (cfg.data.get(f"{part}_dataloader", {}), cfg.data)
        with_sampler = next((node for node in nodes if node.get("sampler")), None)
        where = location(cfg.data, part) if with_sampler is None else location(with_sampler, "sampler")
        raise ConfigValueError(error.message, hint=error.hint, **where) from error


def assemble_runner(
    cfg: Config,
    model: nn.Module,
    work_dir: Path,
    logger: logging.Logger,
    stamp: str,
    run_id: str,
    metainfo: Mapping[str, Any] | None = None,
) -> BaseRunner:
    """Build the runner with its optimizer and the hooks of the config.

    Args:
        cfg: Config of the run, with its seed.
        model: The model to train.
        work_dir: The folder of the run.
        logger: Logger of the run.
        stamp: Time of the run in the names of its log files.
        run_id: Saved in the checkpoints of the run.
        metainfo: That of the training dataset, saved in the checkpoints of the run; see ``metainfo_of``.
    """
    metainfo = dict(metainfo or {})
    meta = {
        "exp_name": config_stem(cfg),
        "run_id": run_id,
        "seed": cfg.seed,
        **version_meta(),
        "config": cfg.pretty_text,
        "metainfo": metainfo,
        **({"CLASSES": metainfo["classes"]} if metainfo.get("classes") else {}),  # as MMCV's projects read it
        "hook_msgs": {},
    }
    optimizer = build_optimizer(model, cfg.optimizer)
    runner: BaseRunner = build_runner(
        cfg.runner,
        default_args={
            "model": model,
            "optimizer": optimizer,
            "work_dir": str(work_dir),
            "logger": logger,
            "meta": meta,
        },
    )
    runner.timestamp = stamp
    register_hooks(runner, cfg)
    return runner


def register_hooks(runner: BaseRunner, cfg: Config) -> None:
    """Register the hooks of a config, except the evaluation, which needs data."""
    runner.register_training_hooks(
        setting(cfg, "lr_config"),
        optimizer_settings(cfg._cfg_dict),
        setting(cfg, "checkpoint_config", runner.by_epoch),
        setting(cfg, "log_config"),
        setting(cfg, "momentum_config"),
        setting(cfg, "timer_config"),
        setting(cfg, "custom_hooks"),
    )
    runner.register_profiler_hook(setting(cfg, "profiler_config"))


def register_evaluation(runner: BaseRunner, cfg: Config, loaders: dict[str, Any]) -> EvalHook | None:
    """Register the evaluation on the validation dataset, if the config has one."""
    settings = setting(cfg, "evaluation")
    if settings is None:
        return None
    hook = EvalHook(loaders["val"], **{"by_epoch": runner.by_epoch, **settings})
    runner.register_hook(hook, HOOK_KEYS["evaluation"].priority)  # after the timer, before the loggers
    return hook
