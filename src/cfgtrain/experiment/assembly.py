"""Build what a config describes: the model, loaders, optimizer, runner and hooks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from cfgtrain.cnn.tools.freezing import FrozenParts, freeze
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.data.builder import build_dataloader, build_dataset, loader_settings, metainfo_of, parts_of
from cfgtrain.data.datasets.table_files import shared_tables
from cfgtrain.data.loader import empty_loader_error, num_batches
from cfgtrain.data.streams import sharing_problem
from cfgtrain.errors import ArgumentError, ArgumentTypeError, ConfigValueError
from cfgtrain.evaluation.scoring import check_scorable
from cfgtrain.experiment.acceleration import apply_activation_checkpointing, apply_precision
from cfgtrain.experiment.data_identity import fingerprints
from cfgtrain.experiment.distributed import divides_model
from cfgtrain.experiment.lr_scaling import lr_factor, samples_per_step, scale_lr
from cfgtrain.experiment.saved_config import saved_text
from cfgtrain.experiment.work_dir import config_stem
from cfgtrain.introspection.signatures import parameters_of
from cfgtrain.keys import HOOK_KEYS, setting
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.optim.optimizers import optimizers_of
from cfgtrain.origin import Location, location
from cfgtrain.parallel.dist import data_rank_and_size
from cfgtrain.parallel.launch import local_device
from cfgtrain.parallel.wrappers import OnDevice, has_forward_with_loss, unwrap_model
from cfgtrain.registries import MODELS
from cfgtrain.registry.projects import registry_for
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.builder import build_runner
from cfgtrain.runner.hook_configs import optimizer_settings
from cfgtrain.runner.hooks.evaluation.dist_eval_hook import DISTRIBUTED_ARGUMENTS, DistEvalHook
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.step import missing_train_step
from cfgtrain.utils.logging import LINES_ONLY
from cfgtrain.utils.versions import version_meta

logger = logging.getLogger(__name__)

__all__ = [
    "Assembly",
    "assemble_run",
    "assemble_runner",
    "build_loader",
    "build_loader_of",
    "build_loaders",
    "build_model",
    "check_samples",
    "check_scores",
    "evaluation_settings",
    "evaluated_parts",
    "freeze_parts",
    "register_evaluation",
    "register_hooks",
    "used_parts",
]


class Assembly(NamedTuple):
    """What a config describes, built and put together for a run.

    Attributes:
        runner: With the model, the optimizer and all hooks.
        loaders: The loaders of all datasets by name.
        evaluation: The hook that evaluates the validation dataset, or None.
    """

    runner: BaseRunner
    loaders: dict[str, Any]
    evaluation: EvalHook | None


def assemble_run(
    cfg: Config, work_dir: Path | None, logger: logging.Logger, stamp: str = "", run_id: str = ""
) -> Assembly:
    """Build the model, the loaders, and the runner with its hooks.

    Args:
        cfg: Config of the run, with its seed and device.
        work_dir: As for ``assemble_runner``.
        logger: Likewise.
        stamp: Likewise.
        run_id: Likewise.
    """
    model = build_model(cfg)
    loaders = build_loaders(cfg, model)
    metainfo = metainfo_of(loaders["train"].dataset)
    runner = assemble_runner(cfg, model, work_dir, logger, stamp, run_id, metainfo, fingerprints(loaders))
    return Assembly(runner, loaders, register_evaluation(runner, cfg, loaders))


def build_model(cfg: Config) -> nn.Module:
    """Build the model, initialize its weights, freeze parts of it, set its precision and move it to its device.

    On the CPU it gets no wrapper. A model that FSDP will divide stays on the CPU, because its device may have no room
    for all of it.

    Raises:
        ConfigValueError: A pattern of ``freeze`` or ``activation_checkpointing`` matches nothing, or nothing is
            left to train.
    """
    model: nn.Module = registry_for(cfg.model, MODELS).build(cfg.model)
    if hasattr(model, "init_weights"):
        model.init_weights()  # type: ignore[operator]  # it is a method
    frozen = freeze_parts(cfg, model)
    if frozen is not None:
        logger.info("Frozen: %s", frozen, extra=LINES_ONLY)
    apply_activation_checkpointing(cfg, model)
    device = local_device(cfg.device)
    apply_precision(cfg, model, device)
    return model if device.type == "cpu" else OnDevice(model, device, move=not divides_model(cfg))


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


def build_loaders(cfg: Config, model: nn.Module) -> dict[str, Any]:
    """Build the loaders of all datasets in ``data``, by name: ``train``, ``val``, ``test``, ...

    Args:
        cfg: Config of the run.
        model: Its model, whose losses are scores too.

    Raises:
        ConfigValueError: A dataset that the run uses is empty, or there is nothing to score.
    """
    loaders: dict[str, Any] = {}
    with shared_tables():
        for part in parts_of(cfg):  # train is the first
            if cfg.data.get(part):
                metainfo = metainfo_of(loaders["train"].dataset) if "train" in loaders else None
                loaders[part] = build_loader(cfg, part, metainfo)
    evaluated = evaluated_parts(cfg)
    for part in loaders.keys() & used_parts(cfg):
        check_samples(cfg, part, loaders[part])
        if part in evaluated:
            check_scores(cfg, part, loaders[part].dataset, model)
    return loaders


def check_samples(cfg: Config, part: str, loader: Any) -> None:
    """Raise if a dataset is empty.

    Raises:
        ConfigValueError: The loader yields no batches.
    """
    if num_batches(loader) == 0:
        error = empty_loader_error(loader)
        raise ConfigValueError(f"data.{part} is empty. {error.message}", **location(cfg.data, part))


def check_scores(cfg: Config, part: str, dataset: Any, model: nn.Module) -> None:
    """Raise if an evaluation of a dataset would have no scores; see ``check_scorable``.

    Raises:
        ConfigValueError: There is nothing to score, or the dataset does not have a score that is asked for.
    """
    metrics, eval_kwargs = evaluation_settings(cfg)
    score_names = getattr(dataset, "score_names", None)
    if score_names is not None and eval_kwargs:
        try:
            score_names(**eval_kwargs)
        except ArgumentError as error:
            raise ConfigValueError(error.message, hint=error.hint, **location(cfg, "evaluation")) from error
    try:
        check_scorable(dataset, has_forward_with_loss(model), metrics, eval_kwargs, f"data.{part}")
    except ArgumentTypeError as error:
        node, key = (cfg["evaluation"], error.argument[0]) if error.argument else (cfg.data, part)
        raise ConfigValueError(error.message, hint=error.hint, **location(node, key)) from error


def evaluation_settings(cfg: Config) -> tuple[list[Any] | None, dict[str, Any]]:
    """Return the configs of the metrics in ``evaluation``, and its arguments for the dataset's ``evaluate``."""
    settings = setting(cfg, "evaluation") or {}
    parameters = parameters_of(EvalHook)
    own = {*(parameters.names if parameters else ()), *DISTRIBUTED_ARGUMENTS}
    return settings.get("metrics"), {key: value for key, value in settings.items() if key not in own}


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
    settings = loader_settings(cfg.data, part)
    if part != "train":  # scores are of every sample, in the order of the dataset
        settings |= {"shuffle": False, "drop_last": False, "round_up": False, "on_error": "raise"}
    rank, count = data_rank_and_size()
    if count > 1:
        # With equal shares all processes do the same number of steps; the scores do not count what was added.
        settings |= {"rank": rank, "world_size": count, "round_up": True}
    problem = sharing_problem(dataset, max(settings.get("workers_per_gpu", 0), 1) * count)
    if problem is not None:
        raise ConfigValueError(problem, **_setting_place(cfg, part, "workers_per_gpu", "num_workers"))
    settings |= {"seed": cfg.seed, "device": cfg.get("device"), "work_dir": cfg.get("work_dir")}
    try:
        loader = build_dataloader(dataset, **{**settings, **changed}, place=location(cfg.data, part))
    except (ArgumentError, ArgumentTypeError) as error:
        name = "on_error" if error.argument == ("on_error",) else "sampler"
        where = _setting_place(cfg, part, name)
        raise ConfigValueError(error.message, hint=error.hint, **where) from error
    sampler = getattr(loader.batch_sampler, "sampler", None)
    if part != "train" and getattr(sampler, "repeats_samples", False):
        message = f"{type(sampler).__name__} is for training: scores are of each sample once."
        raise ConfigValueError(message, **_setting_place(cfg, part, "sampler"))
    return loader


def _setting_place(cfg: Config, part: str, *names: str) -> Location:
    """Return where one of some settings of a loader was set, or else the place of its dataset."""
    nodes = (cfg.data.get(f"{part}_dataloader", {}), cfg.data)
    places = (location(node, name) for node in nodes for name in names if node.get(name) is not None)
    return next(places, location(cfg.data, part))


def assemble_runner(
    cfg: Config,
    model: nn.Module,
    work_dir: Path | None,
    logger: logging.Logger,
    stamp: str,
    run_id: str,
    metainfo: Mapping[str, Any],
    fingerprints: Mapping[str, str],
) -> BaseRunner:
    """Build the runner with its optimizer and the hooks of the config.

    Args:
        cfg: Config of the run, with its seed.
        model: The model to train.
        work_dir: The folder of the run. None: the runner is only tried, and nothing is written.
        logger: Logger of the run.
        stamp: Time of the run in the names of its log files.
        run_id: Saved in the checkpoints of the run.
        metainfo: That of the training dataset, saved in the checkpoints of the run; see ``metainfo_of``.
        fingerprints: Those of the datasets by part, saved in the checkpoints too; see ``data_identity``.
    """
    metainfo = dict(metainfo)
    meta = {
        "exp_name": config_stem(cfg),
        "run_id": run_id,
        "seed": cfg.seed,
        **version_meta(),
        "config": saved_text(cfg),
        "metainfo": metainfo,
        "fingerprints": dict(fingerprints),
        **({"CLASSES": metainfo["classes"]} if metainfo.get("classes") else {}),  # as MMCV's projects read it
        "hook_msgs": {},
    }
    inner = unwrap_model(model)
    if not hasattr(inner, "train_step") and not {"batch_processor", "constructor"} & {*cfg.runner}:
        message, hint = missing_train_step(type(inner).__name__, str(cfg.model.type))
        raise ConfigValueError(message, hint=hint, **location(cfg._cfg_dict, "model"))
    optimizer = build_optimizer(model, cfg.optimizer)
    _scale_lr(optimizer, cfg, logger)
    runner: BaseRunner = build_runner(
        cfg.runner,
        default_args={
            "model": model,
            "optimizer": optimizer,
            "work_dir": None if work_dir is None else str(work_dir),
            "logger": logger,
            "meta": meta,
        },
    )
    runner.timestamp = stamp
    register_hooks(runner, cfg)
    return runner


def _scale_lr(optimizer: Any, cfg: Config, logger: logging.Logger) -> None:
    """Multiply the learning rates as ``auto_scale_lr`` says, and log it."""
    scaling = setting(cfg, "auto_scale_lr")
    if not scaling or not scaling.get("enable", True):
        return
    shares = data_rank_and_size()[1]
    factor = lr_factor(cfg._cfg_dict, shares)
    before = _rates(optimizer)
    scale_lr(optimizer, factor)
    logger.info(
        "auto_scale_lr: %d samples per step / base_batch_size %d = %g: lr %s -> %s",
        samples_per_step(cfg._cfg_dict, shares), scaling["base_batch_size"], factor, before, _rates(optimizer),
    )  # fmt: skip


def _rates(optimizer: Any) -> str:
    """Return the different learning rates of an optimizer, or several."""
    groups = (group for each in optimizers_of(optimizer).values() for group in each.param_groups)
    return ", ".join(dict.fromkeys(f"{float(group['lr']):g}" for group in groups if "lr" in group))


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
    settings = {"by_epoch": runner.by_epoch, **settings}
    if runner.world_size > 1:
        hook: EvalHook = DistEvalHook(loaders["val"], **settings)
    else:
        hook = EvalHook(loaders["val"], **without(settings, *DISTRIBUTED_ARGUMENTS))
    runner.register_hook(hook, HOOK_KEYS["evaluation"].priority)  # after the timer, before the loggers
    return hook
