"""Show the hooks, learning rates and momenta of a training run without training."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import nn

from cfgtrain.check import check
from cfgtrain.config.config import Config
from cfgtrain.config.dict import disable_keys
from cfgtrain.data.loader import num_batches
from cfgtrain.errors import ArgumentError
from cfgtrain.experiment.assembly import build_loader, register_evaluation, register_hooks
from cfgtrain.keys import setting
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.registries import MODELS
from cfgtrain.registry.projects import registry_for
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.builder import build_runner
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.hook import STAGES
from cfgtrain.runner.hooks.loggers.progress import ProgressHook
from cfgtrain.runner.hooks.schedules.base import flat, param_groups
from cfgtrain.visualization.curves import Line

__all__ = ["SchedulePreview", "preview_hooks", "preview_schedule"]

logger = logging.getLogger(__name__)

_NO_LOADER = SimpleNamespace(dataset=None)  # for an evaluation that does not run
MAX_POINTS = 5_000  # of a longer run, about so many iterations are computed


class SchedulePreview(NamedTuple):
    """The schedules of a run.

    Attributes:
        lr: Learning rates over the iterations, one line for all parameters that share them.
        momentum: The same for the momenta, or the first betas.
        iters: Length of the run.
        iters_per_epoch: Length of an epoch, or None if the runner counts iterations.
        follows_scores: Whether the learning rate also depends on scores, which are unknown here.
    """

    lr: list[Line]
    momentum: list[Line]
    iters: int
    iters_per_epoch: int | None
    follows_scores: bool


def preview_schedule(cfg: Config, iters_per_epoch: int | None = None) -> SchedulePreview:
    """Check a config, and compute its schedules for the whole run.

    The model is built for the names of its parameters: on PyTorch's meta device, so that they
    need no memory, and without loading weights: ``init_cfg`` and ``load_from`` are ignored, and
    ``pretrained`` is disabled. A model that cannot be built in this way is built on the CPU. If
    the runner counts epochs and ``iters_per_epoch`` is not given, the training dataset is built
    for its length. No sample is read, and nothing is written.

    Args:
        cfg: Config of a training run.
        iters_per_epoch: Number of iterations in an epoch, if the dataset is not available.

    Raises:
        CfgTrainError: The config is wrong, or the length of the training dataset is unknown.
    """
    check(cfg, files=False)
    model, optimizer = _build(cfg)
    given = {"model": model, "optimizer": optimizer, "logger": logger, "meta": {}}
    runner: BaseRunner = build_runner(cfg.runner, default_args=given)
    if runner.by_epoch and iters_per_epoch is None:
        cfg.seed = cfg.get("seed") or 0
        iters_per_epoch = num_batches(build_loader(cfg, "train"))
        if iters_per_epoch is None:
            raise ArgumentError(
                "The training data is a stream without a length: give the number of iterations in an epoch (--iters-per-epoch)."
            )
    for key in ("lr_config", "momentum_config"):
        runner.register_config_hooks(key, cfg.get(key))
    evaluation = EvalHook(_NO_LOADER)  # its scores are unknown, but schedules may look for it
    evaluation.idle_stages = STAGES
    runner.register_hook(evaluation)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    labels = [[names.get(id(each), "?") for each in group["params"]] for group in param_groups(optimizer)]

    points = list(_follow(runner, iters_per_epoch))
    return SchedulePreview(
        lr=_lines(labels, [(at, lr) for at, lr, _ in points]),
        momentum=_lines(labels, [(at, momentum) for at, _, momentum in points]),
        iters=runner.max_iters or 0,
        iters_per_epoch=iters_per_epoch if runner.by_epoch else None,
        follows_scores=any(hasattr(hook, "score_monitor") for hook in runner.hooks),
    )


def preview_hooks(cfg: Config) -> str:
    """Check a config, and return the table of its hooks by stage and priority.

    Neither the model nor the data is built. A warning is logged for each hook that would never
    do anything.
    """
    check(cfg, files=False)
    runner: BaseRunner = build_runner(
        cfg.runner, default_args={"model": _NoModel(), "logger": logger, "meta": {}}
    )
    register_hooks(runner, cfg)
    register_evaluation(runner, cfg, {"val": _NO_LOADER})
    runner.register_hook(ProgressHook())
    runner.warn_about_inactive_hooks({mode for mode, _ in setting(cfg, "workflow")})
    return runner.get_hook_info()


def _build(cfg: Config) -> tuple[nn.Module, Any]:
    """Build the model and its optimizer, of which only the parameter groups are used."""
    bare = disable_keys(cfg.model, "pretrained")
    settings = disable_keys(cfg.optimizer, "fused", "capturable")  # not available on the meta device
    try:
        with torch.device("meta"):
            model = registry_for(bare, MODELS).build(bare)
        return model, build_optimizer(model, settings)
    except Exception as error:  # raised by a model that reads its weights in the constructor
        logger.info(
            "The model cannot be built on the meta device, so it is built on the CPU: %s: %s",
            type(error).__name__,
            error,
        )
    model = registry_for(bare, MODELS).build(bare)
    return model, build_optimizer(model, settings)


class _NoModel(nn.Module):
    """Replaces the model, which no hook uses before the run."""

    def train_step(self, batch: Any, optimizer: Any) -> dict[str, Any]:
        """Do nothing."""
        return {}


def _follow(
    runner: BaseRunner, iters_per_epoch: int | None
) -> Iterator[tuple[int, list[float], list[float]]]:
    """Call the hooks as the runner would, and yield the iteration, learning rates and momenta."""
    runner.mode = "train"
    epoch_length = iters_per_epoch or runner.max_iters or 1
    runner.data_loader = range(epoch_length)  # only its length is used
    if runner.by_epoch:
        runner._max_iters = (runner.max_epochs or 0) * epoch_length
    total = runner.max_iters or 0
    every = max(1, total // MAX_POINTS)
    runner.call_hook("before_run")
    epochs = range(runner.max_epochs or 1) if runner.by_epoch else range(1)
    for epoch in epochs:
        first = epoch * epoch_length
        runner._epoch, runner._iter, runner._inner_iter = epoch, first, 0
        if runner.by_epoch:
            runner.call_hook("before_train_epoch")
        for inner in sorted({0, epoch_length - 1, *range(-first % every, epoch_length, every)}):
            runner._iter, runner._inner_iter = first + inner, inner
            runner.call_hook("before_train_iter")
            yield first + inner, flat(runner.current_lr()), flat(runner.current_momentum())


def _lines(labels: Sequence[list[str]], points: Sequence[tuple[int, list[float]]]) -> list[Line]:
    """Return a line for each sequence of values, labelled with the parameters that share it."""
    at = [iteration for iteration, _ in points]
    shared: dict[tuple[float, ...], list[str]] = {}
    for i, parameters in enumerate(labels):
        sequence = tuple(float(values[i]) for _, values in points)
        shared.setdefault(sequence, []).extend(parameters)
    if len(shared) == 1:
        return [Line(f"all {sum(map(len, labels)):,} parameters", at, list(values)) for values in shared]
    return [Line(_summary(members), at, list(values)) for values, members in shared.items()]


def _summary(parameters: list[str]) -> str:
    """Return a label for some parameters, with the name of the first."""
    first, more = parameters[0] if parameters else "no parameter", len(parameters) - 1
    return f"{first} and {more} more" if more > 0 else first
