"""Everything that can be wrong with a config, found before the run and told at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from cfgtrain.cnn.builder import MODELS
from cfgtrain.config.config import Config
from cfgtrain.data.builder import LOADER_KEYS, build_dataloader
from cfgtrain.errors import (
    ArgumentError,
    ArgumentTypeError,
    BuildError,
    CfgTrainError,
    CheckError,
    ConfigError,
    ConfigKeyError,
    ConfigValueError,
    close_names,
    suggest,
)
from cfgtrain.origin import dotted, key_path, where
from cfgtrain.parallel.device import pick_device
from cfgtrain.registries import DATASETS, HOOKS, OPTIMIZERS, PIPELINES, RUNNERS
from cfgtrain.registry import Registry, at_place, resolve_cfg
from cfgtrain.runner import wiring
from cfgtrain.runner.hooks.evaluation import EvalHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.priority import get_priority
from cfgtrain.utils.signatures import accepted_args, argument_problem, parameters_of, type_problem

__all__ = ["TOP_LEVEL_KEYS", "check", "find_problems"]

TOP_LEVEL_KEYS = (
    "model", "data", "optimizer", "optimizer_config", "lr_config", "momentum_config", "runner",
    "checkpoint_config", "log_config", "timer_config", "evaluation", "workflow", "custom_hooks", "custom_imports",
    "load_from", "resume_from", "work_dir", "log_level", "seed", "deterministic", "device",
)  # fmt: skip
REQUIRED_KEYS = ("model", "data", "optimizer", "runner")
PARTS = ("train", "val", "test")

# What train() adds to the arguments that a config states.
_RUNNER_GIVEN = ("model", "optimizer", "work_dir", "logger", "meta")


def check(cfg: Config) -> None:
    """Raise for everything that is wrong with a config, before anything is built.

    Raises:
        CfgTrainError: The problem, if there is one; a ``CheckError`` that holds them all if
            there are several.
    """
    problems = list(find_problems(cfg))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        listed = "\n".join(f"{i}. {problem}" for i, problem in enumerate(problems, 1))
        raise CheckError(f"There are {len(problems)} problems with the config.\n{listed}", problems)


def find_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield every problem that can be seen without building anything."""
    yield from _top_level(cfg)
    for key in REQUIRED_KEYS:
        if key not in cfg:
            yield ConfigKeyError(
                f"The config has no {key!r}, which a training needs.", file=cfg.filename, key=key
            )
    if "model" in cfg:
        yield from _component(cfg, "model", MODELS)
        yield from _nested(cfg["model"], MODELS)
    if "data" in cfg:
        yield from _data(cfg)
    if "optimizer" in cfg:
        yield from _component(cfg, "optimizer", OPTIMIZERS, given=("params",))
    if "runner" in cfg:
        yield from _component(cfg, "runner", RUNNERS, given=_RUNNER_GIVEN)
    for key in wiring.WIRES:
        yield from _hooks(cfg, key)
    yield from _evaluation(cfg)
    yield from _values(cfg)


def _top_level(cfg: Config) -> Iterator[CfgTrainError]:
    """Find keys that look like a known one: a config may hold variables of its own beside those."""
    for key in cfg:
        near = close_names(str(key), TOP_LEVEL_KEYS, count=1)
        if key in TOP_LEVEL_KEYS or str(key).startswith("_") or not near or not _similar(key, near[0]):
            continue
        if not _beside(cfg, key, near[0]):
            yield _at(
                ConfigKeyError,
                f"There is no setting {key!r}. Did you mean {near[0]!r}? "
                f"A variable of your own needs another name, such as {'_' + key!r}.",
                cfg._cfg_dict,
                key,
            )


def _similar(key: str, known: str) -> bool:
    return SequenceMatcher(None, key, known).ratio() >= 0.8


def _beside(cfg: Config, key: str, known: str) -> bool:
    """Say whether one file sets both keys: then the odd one is no slip."""
    if known not in cfg:
        return False
    place = cfg.origin(key)
    return place is not None and any(other.file == place.file for other in cfg.history(known))


def _component(
    node: Any, key: Any, registry: Registry, given: tuple[str, ...] = (), *, partial_args: bool = False
) -> Iterator[CfgTrainError]:
    """Check the config of one object: its ``type``, and its arguments against the signature."""
    cfg = node[key]
    if not isinstance(cfg, Mapping):
        yield _at(
            ConfigValueError, f"{dotted([key])} is a dict with a type, not {cfg!r}.", _dict_of(node), key
        )
        return
    try:
        target, args = resolve_cfg(cfg, registry)
    except CfgTrainError as error:
        yield error
        return
    problems = list(_arguments(cfg, target, args, given, partial_args))
    yield from problems
    if not problems and registry in (HOOKS, PIPELINES) and target.__module__.startswith("cfgtrain."):
        yield from _trial(cfg, target, args)


def _trial(cfg: Any, target: Any, args: dict[str, Any]) -> Iterator[CfgTrainError]:
    """Build one of our own hooks or transforms, which costs nothing, to hear what it says of the values."""
    try:
        target(**args)
    except (ArgumentError, ArgumentTypeError) as error:
        yield ConfigValueError(f"{error}{at_place(cfg)}")


def _arguments(
    cfg: Any, target: Any, args: dict[str, Any], given: tuple[str, ...] = (), partial_args: bool = False
) -> Iterator[CfgTrainError]:
    args = {**accepted_args(target, dict.fromkeys(given)), **{k: v for k, v in args.items() if k in cfg}}
    problem = argument_problem(target, args, partial_args=partial_args)
    if problem is not None:
        yield BuildError(problem.text + at_place(cfg, problem.argument))
    for name, value in args.items():
        wrong = None if name in given else type_problem(target, name, value)
        if wrong is not None:
            yield _at(ConfigValueError, wrong, cfg, name)


def _nested(node: Any, registry: Registry) -> Iterator[CfgTrainError]:
    """Check what is described inside another object's config, as far as it can be known.

    Its parent may add arguments and may build it from a registry of its own: names that no
    known registry holds are left to the builder, unless they nearly match one.
    """
    items = (
        node.items()
        if isinstance(node, Mapping)
        else enumerate(node)
        if isinstance(node, (list, tuple))
        else ()
    )
    for key, value in items:
        kind = value.get("type") if isinstance(value, Mapping) else None
        if isinstance(kind, str) and (kind in registry or close_names(kind, registry, count=1)):
            yield from _component(node, key, registry, partial_args=True)
        yield from _nested(value, registry)


def _data(cfg: Config) -> Iterator[CfgTrainError]:
    data = cfg["data"]
    if not isinstance(data, Mapping):
        yield _at(
            ConfigValueError,
            f"data is a dict of parts and loader settings, not {data!r}.",
            cfg._cfg_dict,
            "data",
        )
        return
    known = (*PARTS, *(f"{part}_dataloader" for part in PARTS), *LOADER_KEYS)
    for key in data:
        if key not in known:
            yield _at(ConfigKeyError, f"data has no setting {key!r}.{suggest(str(key), known)}", data, key)
    if "train" not in data:
        yield _at(ConfigKeyError, "data has no 'train', which a training needs.", cfg._cfg_dict, "data")
    settings = {key: data[key] for key in LOADER_KEYS if key in data}
    yield from _arguments(data, build_dataloader, settings, ("dataset",))
    for part in PARTS:
        if data.get(part) is not None:
            yield from _dataset(data, part)
        if isinstance(data.get(f"{part}_dataloader"), Mapping):
            loader = data[f"{part}_dataloader"]
            yield from _arguments(loader, build_dataloader, dict(loader), ("dataset",))


def _dataset(node: Any, key: Any) -> Iterator[CfgTrainError]:
    yield from _component(node, key, DATASETS)
    cfg = node[key]
    if not isinstance(cfg, Mapping):
        return
    for name in ("dataset", "datasets"):  # what wraps another data set
        inner = cfg.get(name)
        for owner, index in (
            [(cfg, name)] if isinstance(inner, Mapping) else [(inner, i) for i in range(len(inner or ()))]
        ):
            yield from _dataset(owner, index)
    pipeline = cfg.get("pipeline")
    for i, step in enumerate(pipeline if isinstance(pipeline, (list, tuple)) else ()):
        if not callable(step):
            yield from _component(pipeline, i, PIPELINES)


def _hooks(cfg: Config, key: str) -> Iterator[CfgTrainError]:
    value = cfg.get(key)
    if value is None:
        return
    if key == "log_config" and not isinstance(value, Mapping):
        yield _at(
            ConfigValueError,
            f"log_config is dict(interval=..., hooks=[...]), not {value!r}.",
            cfg._cfg_dict,
            key,
        )
        return
    if key == "log_config":
        for unknown in set(value) - {"interval", "hooks"}:
            hint = suggest(unknown, ("interval", "hooks"))
            yield _at(ConfigKeyError, f"log_config has no setting {unknown!r}.{hint}", value, unknown)
    try:
        wired = list(wiring.hook_cfgs(key, value))
    except CfgTrainError as error:
        yield error
        return
    for each, priority in wired:
        if not isinstance(each, Hook):
            yield from _component([each], 0, HOOKS)
        try:
            get_priority(priority)
        except CfgTrainError as error:
            yield _at(ConfigValueError, str(error), each, "priority")


def _evaluation(cfg: Config) -> Iterator[CfgTrainError]:
    """Check ``evaluation`` against EvalHook, and what is left against the data set's ``evaluate``."""
    evaluation = cfg.get("evaluation")
    if evaluation is None:
        return
    if not isinstance(evaluation, Mapping):
        yield _at(ConfigValueError, f"evaluation is a dict, not {evaluation!r}.", cfg._cfg_dict, "evaluation")
        return
    data = cfg.get("data")
    val = data.get("val") if isinstance(data, Mapping) else None
    if val is None:
        yield _at(
            ConfigKeyError,
            "There is an evaluation, but no data.val to evaluate on.",
            cfg._cfg_dict,
            "evaluation",
        )
        return
    hook_parameters = parameters_of(EvalHook)
    own = hook_parameters.names if hook_parameters else ()
    yield from _arguments(
        evaluation, EvalHook, {k: v for k, v in evaluation.items() if k in own}, ("dataloader",)
    )
    dataset = (
        DATASETS.get(val["type"]) if isinstance(val, Mapping) and isinstance(val.get("type"), str) else None
    )
    evaluate = getattr(dataset, "evaluate", None)
    rest = {k: v for k, v in evaluation.items() if k not in own}
    for name in ("interval", "start"):
        value = evaluation.get(name)
        if isinstance(value, int) and value < (name == "interval"):
            yield _at(ConfigValueError, f"{name} cannot be {value}.", evaluation, name)
    problem = argument_problem(evaluate, {"self": None, "results": None, **rest}) if evaluate else None
    if problem is not None:
        hint = suggest(problem.argument or "", own)
        yield BuildError(f"{problem.text}{hint}{at_place(evaluation, problem.argument)}")


def _values(cfg: Config) -> Iterator[CfgTrainError]:
    """Check the settings that are plain values."""
    root = cfg._cfg_dict
    yield from _workflow(cfg)
    yield from _at_least_one(cfg.get("data"), ("samples_per_gpu",))
    yield from _at_least_one(cfg.get("runner"), ("max_epochs", "max_iters"))
    seed = cfg.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        yield _at(ConfigValueError, f"seed is a non-negative int or None, not {seed!r}.", root, "seed")
    level = cfg.get("log_level", "INFO")
    if level not in logging.getLevelNamesMapping():
        names = "DEBUG, INFO, WARNING, ERROR"
        yield _at(ConfigValueError, f"log_level is one of {names}, not {level!r}.", root, "log_level")
    try:
        pick_device(cfg.get("device"))
    except ArgumentError as error:
        yield _at(ConfigValueError, str(error), root, "device")
    for key in ("load_from", "resume_from"):
        file = cfg.get(key)
        if key == "resume_from" and file == "auto":
            continue
        if file is not None and not (isinstance(file, str) and Path(file).expanduser().is_file()):
            yield _at(
                ConfigValueError, f"{key} is the path of a checkpoint; {file!r} is not there.", root, key
            )
    try:
        cfg.pretty_text  # noqa: B018  # what cannot be written could not be kept beside the run
    except ConfigError as error:
        yield error


def _workflow(cfg: Config) -> Iterator[CfgTrainError]:
    workflow, root = cfg.get("workflow", [("train", 1)]), cfg._cfg_dict
    if not isinstance(workflow, (list, tuple)) or not all(
        isinstance(flow, (list, tuple)) and len(flow) == 2 and isinstance(flow[1], int) and flow[1] > 0
        for flow in workflow
    ):
        yield _at(
            ConfigValueError,
            f"workflow is a list such as [('train', 1)], not {workflow!r}.",
            root,
            "workflow",
        )
        return
    parts = [
        part for part in PARTS if isinstance(cfg.get("data"), Mapping) and cfg["data"].get(part) is not None
    ]
    for mode, _ in workflow:
        if parts and mode not in ("train", *parts):
            hint = suggest(str(mode), parts)
            yield _at(
                ConfigValueError,
                f"The workflow runs {mode!r}, and data has no such part.{hint}",
                root,
                "workflow",
            )
    if "train" not in [mode for mode, _ in workflow]:
        yield _at(ConfigValueError, "The workflow has no 'train' flow: it would never end.", root, "workflow")


def _at_least_one(node: Any, names: tuple[str, ...]) -> Iterator[CfgTrainError]:
    for name in names:
        value = node.get(name) if isinstance(node, Mapping) else None
        if isinstance(value, int) and value < 1:
            yield _at(ConfigValueError, f"{name} is at least 1, not {value}.", node, name)


def _at(kind: type[ConfigError], message: str, node: Any, key: Any) -> ConfigError:
    """Return an error that names the place of ``node[key]``."""
    place = where(node, key)
    return kind(
        message,
        file=place.file if place else None,
        line=place.line if place else None,
        key=key_path(node, key),
        word=place.text if place and not place.file else None,
    )


def _dict_of(node: Any) -> Any:
    return node._cfg_dict if isinstance(node, Config) else node
