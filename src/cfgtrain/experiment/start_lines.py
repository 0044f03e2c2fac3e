"""What a run logs when it begins: its settings and sizes in ten lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import UninitializedParameter
from torch.optim import Optimizer

from cfgtrain.config.config import Config
from cfgtrain.data.builder import metainfo_of
from cfgtrain.data.loader import num_batches
from cfgtrain.experiment.acceleration import acceleration_texts
from cfgtrain.experiment.data_identity import fingerprints
from cfgtrain.experiment.work_dir import config_stem
from cfgtrain.keys import setting
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.parallel.dist import data_rank_and_size
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.optimizer import OptimizerHook
from cfgtrain.suggestions import printable

__all__ = ["log_start"]

INDENT = 12  # of the texts, after their names
SHOWN_CLASSES = 5
SHOWN_DIGITS = 8  # of the fingerprints of datasets
MAX_RATES = 4  # different learning rates that are listed
_OPTIMIZER_SETTINGS = ("momentum", "betas", "weight_decay")


def log_start(
    runner: BaseRunner, cfg: Config, loaders: dict[str, Any], workflow: list[tuple[str, int]], begins: str
) -> None:
    """Log the settings and sizes of a run before it begins, one per line.

    Args:
        runner: The runner, after it has resumed or loaded weights.
        cfg: Config of the run.
        loaders: The loaders of all datasets by name.
        workflow: The flows of the run.
        begins: What the run begins with, such as ``"new weights"``.
    """
    train = loaders[next((mode for mode, _ in workflow if mode == "train"), next(iter(loaders)))]
    lines = {
        "Experiment": f"{config_stem(cfg)}, in {_relative(runner.work_dir or 'no folder')}",
        "Device": ", ".join(
            [_device(cfg.device), _precision(runner), *acceleration_texts(cfg, torch.device(cfg.device))]
        ),
        "Model": _model(runner),
        "Data": _data(loaders),
        "Batch": _batch(runner, train),
        "Length": _length(runner, train, workflow),
        "Optimizer": _optimizer(runner),
        "Schedule": _schedule(runner),
        "Seed": f"{cfg.seed}{', deterministic algorithms' if setting(cfg, 'deterministic') else ''}",
        "Begins": begins,
    }
    for name, text in lines.items():
        runner.logger.info("%-*s%s", INDENT, name, printable(text), extra={"indent": INDENT})


def _relative(folder: str) -> str:
    path, here = Path(folder), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else folder


def _device(name: str) -> str:
    device = torch.device(name)
    if device.type == "cuda":
        return f"{name} ({torch.cuda.get_device_name(device)})"
    return f"{name} ({_count(torch.get_num_threads(), 'thread')})" if device.type == "cpu" else name


def _precision(runner: BaseRunner) -> str:
    dtype = next((p.dtype for p in runner.model.parameters()), torch.get_default_dtype())
    precision = str(dtype).removeprefix("torch.")
    for hook in _steps(runner):
        if hook.dtype is not None:
            precision = f"mixed precision {str(hook.dtype).removeprefix('torch.')}"
        if hook.loss_scale is not None:
            scale = hook.loss_scale if isinstance(hook.loss_scale, str | int | float) else "dynamic"
            precision += f" with loss scale {scale}"
    return precision


def _steps(runner: BaseRunner) -> list[OptimizerHook]:
    return [hook for hook in runner.hooks if isinstance(hook, OptimizerHook)]


def _model(runner: BaseRunner) -> str:
    model = unwrap_model(runner.model)
    known = [p for p in model.parameters() if not isinstance(p, UninitializedParameter)]
    total, trainable = _numel(known), _numel(p for p in known if p.requires_grad)
    lazy = "" if len(known) == len(list(model.parameters())) else ", others not initialized yet"
    parts = (
        "all trainable" if total == trainable else f"{trainable:,} trainable, {total - trainable:,} frozen"
    )
    return f"{runner.model_name}, {total:,} parameters ({parts}){lazy}"


def _numel(parameters: Iterable[torch.Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _data(loaders: dict[str, Any]) -> str:
    def size(loader: Any) -> str:
        dataset: Any = getattr(loader, "dataset", None)
        return f"{len(dataset):,}" if hasattr(dataset, "__len__") else "a stream of"

    sizes = ", ".join(f"{name} {size(loader)}" for name, loader in loaders.items())
    prints = [each[:SHOWN_DIGITS] for each in fingerprints(loaders).values()]
    identity = (
        f", {'fingerprint' if len(prints) == 1 else 'fingerprints'} {' '.join(prints)}" if prints else ""
    )
    return f"{sizes} samples{identity}{_classes(loaders)}"


def _classes(loaders: dict[str, Any]) -> str:
    """Return the number of classes and the names of the first ones, or ``""``."""
    datasets = [getattr(loader, "dataset", None) for loader in loaders.values()]
    names = metainfo_of(datasets[0]).get("classes") if datasets else None
    if not names:
        return ""
    more = ", ..." if len(names) > SHOWN_CLASSES else ""
    return f"; {_count(len(names), 'class', 'classes')}: {', '.join(names[:SHOWN_CLASSES])}{more}"


def _batch(runner: BaseRunner, train: Any) -> str:
    size = getattr(train, "batch_size", None) or getattr(
        getattr(train, "batch_sampler", None), "batch_size", None
    )
    accumulated = max((hook.cumulative_iters for hook in _steps(runner)), default=1)
    shares = data_rank_and_size()[1]
    together = runner.world_size // shares
    factors = [
        "batches of the sampler" if size is None else str(size),
        *([f"{accumulated} accumulated"] if accumulated > 1 else []),
        _count(shares, "process", "processes")
        if together == 1
        else f"{_count(shares, 'group')} of {together} processes",
    ]
    total = "" if size is None else f" = {size * accumulated * shares} samples per step"
    return " x ".join(factors) + total


def _length(runner: BaseRunner, train: Any, workflow: list[tuple[str, int]]) -> str:
    batches = num_batches(train)
    if not runner.by_epoch:
        epochs = "" if not batches else f" = {(runner.max_iters or 0) / batches:.1f} epochs of {batches}"
        length = f"{_count(runner.max_iters or 0, 'iteration')}{epochs}"
    elif batches is None:
        length = f"{_count(runner.max_epochs or 0, 'epoch')} of unknown length"
    else:
        total = (runner.max_epochs or 0) * batches
        length = f"{_count(runner.max_epochs or 0, 'epoch')} of {batches:,} = {_count(total, 'iteration')}"
    flows = ", ".join(f"{mode} {times}" for mode, times in workflow)
    return length if [mode for mode, _ in workflow] == ["train"] else f"{length}, in turn {flows}"


def _optimizer(runner: BaseRunner) -> str:
    optimizers = optimizers_of(runner.optimizer)
    described = (f"{name} {_describe(each)}".lstrip() for name, each in optimizers.items())
    return "; ".join(described) or "none"


def _describe(optimizer: Optimizer) -> str:
    groups = optimizer.param_groups
    rates = Counter({_rate(group): 0 for group in groups})
    for group in groups:
        rates[_rate(group)] += len(group["params"])
    settings = [f"{name} {groups[0][name]}" for name in _OPTIMIZER_SETTINGS if groups[0].get(name)]
    if len(rates) == 1:
        lr = f"lr {_rate(groups[0]):g}"
    else:
        listed = ", ".join(
            f"{rate:g} ({_count(count, 'tensor')})" for rate, count in list(rates.items())[:MAX_RATES]
        )
        lr = f"lr {listed}" + (f" and {len(rates) - MAX_RATES} more" if len(rates) > MAX_RATES else "")
    in_groups = f", {len(groups)} groups" if len(groups) > 1 else ""
    return ", ".join([f"{type(optimizer).__name__}{in_groups}", lr, *settings])


def _rate(group: dict[str, Any]) -> float:
    """Return the learning rate that the schedule of a group begins with."""
    return float(group.get("initial_lr", group["lr"]))


def _schedule(runner: BaseRunner) -> str:
    return "; ".join(_schedules(runner)) or "constant lr"


def _schedules(runner: BaseRunner) -> Iterator[str]:
    for hook in runner.hooks:
        name = type(hook).__name__
        for suffix, of in (("LrUpdaterHook", "lr"), ("MomentumUpdaterHook", "momentum")):
            if name.endswith(suffix):
                warmup = getattr(hook, "warmup", None)
                unit = "epoch" if getattr(hook, "warmup_by_epoch", False) else "iteration"
                after = "" if warmup is None else f", {warmup} warm-up of {_count(hook.warmup_iters, unit)}"
                yield f"{name.removesuffix(suffix) or name} of the {of}{after}"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
