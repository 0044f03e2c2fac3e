"""Assemble what a config describes: the model, loaders, optimizer, runner and hooks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import nn

from cfgtrain.config.config import Config
from cfgtrain.data.builder import build_dataloader, build_dataset, loader_settings
from cfgtrain.experiment.work_dir import (
    config_stem,
)
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.parallel.device import pick_device
from cfgtrain.parallel.wrappers import OnDevice
from cfgtrain.registries import MODELS
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.builder import build_runner
from cfgtrain.runner.hook_configs import optimizer_settings
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook

__all__ = ["assemble_runner", "build_loader", "build_model", "register_evaluation", "register_hooks"]


def build_model(cfg: Config) -> nn.Module:
    """Build the model, have it initialize its weights, and put it on its device; on the CPU it stays as it is."""
    model: nn.Module = MODELS.build(cfg.model)
    if hasattr(model, "init_weights"):
        model.init_weights()  # type: ignore[operator]  # it is a method
    device = pick_device(cfg.device)
    return model if device.type == "cpu" else OnDevice(model, device)


def build_loader(cfg: Config, part: Any) -> Any:
    """Build the data set of a part and its loader; only training shuffles."""
    settings = loader_settings(cfg.data, part)
    if part != "train":
        settings = {**settings, "shuffle": False, "drop_last": False, "round_up": False}
    return build_dataloader(build_dataset(cfg.data[part]), **settings, seed=cfg.seed)


def assemble_runner(
    cfg: Config, model: nn.Module, work_dir: Path, logger: logging.Logger, stamp: str, run_id: str
) -> BaseRunner:
    """Build the runner with its optimizer and the hooks that the config asks for."""
    meta = {
        "exp_name": config_stem(cfg),
        "run_id": run_id,
        "seed": cfg.seed,
        "config": cfg.pretty_text,
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
    """Give a runner the hooks that the config asks for, but the evaluation, which needs data."""
    runner.register_training_hooks(
        cfg.get("lr_config"),
        optimizer_settings(cfg._cfg_dict),
        cfg.get("checkpoint_config", {"interval": 1 if runner.by_epoch else 1000}),
        cfg.get("log_config", {}),
        cfg.get("momentum_config"),
        cfg.get("timer_config", {"type": "IterTimerHook"}),
        cfg.get("custom_hooks"),
    )
    runner.register_profiler_hook(cfg.get("profiler_config"))


def register_evaluation(runner: BaseRunner, cfg: Config, loaders: dict[str, Any]) -> EvalHook | None:
    """Register the evaluation on the validation part, after the timer and before the loggers."""
    if cfg.get("evaluation") is None:
        return None
    hook = EvalHook(loaders["val"], **{"by_epoch": runner.by_epoch, **cfg.evaluation})
    runner.register_hook(hook, "LOW")
    return hook
