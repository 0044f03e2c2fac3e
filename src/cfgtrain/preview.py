"""What a training would do, without training: its hooks, its learning rates and momenta."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import nn

from cfgtrain.check import check
from cfgtrain.cnn.builder import MODELS
from cfgtrain.config.config import Config
from cfgtrain.data.loader import num_batches
from cfgtrain.errors import ArgumentError
from cfgtrain.experiment.assembly import build_loader, register_evaluation, register_hooks
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.builder import build_runner
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.hook import STAGES
from cfgtrain.runner.hooks.loggers.progress import ProgressHook
from cfgtrain.runner.hooks.schedules.base import param_groups
from cfgtrain.visualization.curves import Line

__all__ = ["SchedulePreview", "preview_hooks", "preview_schedule"]

logger = logging.getLogger(__name__)

DENSE = 5_000  # iterations of a run that are all looked at; of a longer one about as many


class SchedulePreview(NamedTuple):
    """The schedules of a run.

    Attributes:
        lr: Learning rates over the iterations, one line for each group of parameters that
            differs from the others.
        momentum: Momenta (or first betas) likewise.
        iters: Length of the run.
        iters_per_epoch: Or None where the run does not count epochs.
        follows_scores: Whether the learning rate also depends on scores, which are not known here.
    """

    lr: list[Line]
    momentum: list[Line]
    iters: int
    iters_per_epoch: int | None
    follows_scores: bool


def preview_schedule(cfg: Config, iters_per_epoch: int | None = None) -> SchedulePreview:
    """Check a config, and follow its schedules through the whole run.

    The model is built for the names of its parameters, without memory for them (on PyTorch's
    meta device) and without weights from a file: ``init_cfg`` and ``load_from`` are left
    alone, ``pretrained`` is switched off. A model that cannot be built like that gets memory.
    The data set of the training is built for its length, but for a run of iterations or with
    ``iters_per_epoch``; no sample is read. Nothing is written.

    Args:
        cfg: Of a training.
        iters_per_epoch: Iterations of an epoch, for where the data is not at hand.
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
                "The training data is a stream without a length: say how many iterations an epoch has (--iters-per-epoch)."
            )
    for key in ("lr_config", "momentum_config"):
        runner.register_config_hooks(key, cfg.get(key))
    runner.register_hook(_NoEvaluation())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    labels = [_label(group, names) for group in param_groups(optimizer)]

    points = list(_follow(runner, iters_per_epoch))
    return SchedulePreview(
        lr=_lines(labels, [(at, lr) for at, lr, _ in points]),
        momentum=_lines(labels, [(at, momentum) for at, _, momentum in points]),
        iters=runner.max_iters or 0,
        iters_per_epoch=iters_per_epoch if runner.by_epoch else None,
        follows_scores=any(hasattr(hook, "watch") for hook in runner.hooks),
    )


def preview_hooks(cfg: Config) -> str:
    """Check a config, and return the table of the hooks of its training, by stage and priority.

    Neither the model nor the data is built. Hooks that would never do anything are told of in
    the log.
    """
    check(cfg, files=False)
    runner: BaseRunner = build_runner(
        cfg.runner, default_args={"model": _NoModel(), "logger": logger, "meta": {}}
    )
    register_hooks(runner, cfg)
    register_evaluation(runner, cfg, {"val": _NoData()})
    runner.register_hook(ProgressHook())
    runner.warn_about_inactive_hooks({mode for mode, _ in cfg.get("workflow", [("train", 1)])})
    return runner.get_hook_info()


def _build(cfg: Config) -> tuple[nn.Module, Any]:
    """Build the model and its optimizer, of which only the parameter groups matter."""
    bare = _without(cfg.model, {"pretrained"})
    settings = _without(cfg.optimizer, {"fused", "capturable"})  # refused on no device, and no matter here
    try:
        with torch.device("meta"):
            model = MODELS.build(bare)
        return model, build_optimizer(model, settings)
    except Exception as error:  # of code that looks at the weights while they are made
        logger.info(
            "The model is built with memory for its weights, as it cannot be without: %s: %s",
            type(error).__name__,
            error,
        )
    model = MODELS.build(bare)
    return model, build_optimizer(model, settings)


def _without(node: Any, switches: set[str]) -> Any:
    """Return a copy of a config in which these are off, wherever they stand."""
    node = deepcopy(node)
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            for key in switches & each.keys():
                each[key] = False if isinstance(each[key], bool) else None  # type: ignore[index]  # a dict
            waiting += each.values()
        elif isinstance(each, (list, tuple)):
            waiting += each
    return node


class _NoData:
    """Stands in for the data of an evaluation."""

    dataset = None


class _NoModel(nn.Module):
    """Stands in for a model that no hook asks for before the run."""

    def train_step(self, batch: Any, optimizer: Any) -> dict[str, Any]:
        """Do nothing."""
        return {}


class _NoEvaluation(EvalHook):
    """Stands in for the evaluation, which has no scores without a training."""

    def __init__(self) -> None:
        super().__init__(_NoData())
        self.idle_stages = STAGES


def _follow(
    runner: BaseRunner, iters_per_epoch: int | None
) -> Iterator[tuple[int, list[float], list[float]]]:
    """Go through a run as the runner would, and yield the iteration and what each group has there."""
    runner.mode = "train"
    epoch_length = iters_per_epoch or runner.max_iters or 1
    runner.data_loader = _Sized(epoch_length)
    if runner.by_epoch:
        runner._max_iters = (runner.max_epochs or 0) * epoch_length
    total = runner.max_iters or 0
    every = max(1, total // DENSE)
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
            yield first + inner, _values(runner.current_lr()), _values(runner.current_momentum())


class _Sized:
    """A loader of which only the length is known."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


def _values(by_group: Any) -> list[float]:
    if isinstance(by_group, dict):
        return [float(value) for values in by_group.values() for value in values]
    return [float(value) for value in by_group]


def _label(group: dict[str, Any], names: dict[int, str]) -> list[str]:
    return [names.get(id(parameter), "?") for parameter in group["params"]]


def _lines(labels: Sequence[list[str]], points: Sequence[tuple[int, list[float]]]) -> list[Line]:
    """Return a line for each course that a value takes, labelled with the parameters that share it."""
    at = [iteration for iteration, _ in points]
    shared: dict[tuple[float, ...], list[str]] = {}
    for i, parameters in enumerate(labels):
        course = tuple(values[i] for _, values in points)
        shared.setdefault(course, []).extend(parameters)
    if len(shared) == 1:
        return [Line(f"all {sum(map(len, labels)):,} parameters", at, list(course)) for course in shared]
    return [Line(_named(members), at, list(course)) for course, members in shared.items()]


def _named(parameters: list[str]) -> str:
    """Return a name for those that share a course, by the first of them."""
    first, more = parameters[0] if parameters else "no parameter", len(parameters) - 1
    return f"{first} and {more} more" if more > 0 else first
