"""Everything that can be wrong with a config, found before the run and told at once."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from cfgtrain.check.components import component, nested, problem_at
from cfgtrain.check.data import data_problems
from cfgtrain.check.evaluation import evaluation_problems
from cfgtrain.check.hooks import hook_problems
from cfgtrain.check.optimizer import optimizer_problems
from cfgtrain.check.runner import runner_problems
from cfgtrain.check.values import file_problems, value_problems
from cfgtrain.cnn.builder import MODELS
from cfgtrain.config.config import Config
from cfgtrain.errors import CfgTrainError, CheckError, ConfigKeyError
from cfgtrain.runner import hook_configs
from cfgtrain.suggestions import close_names

__all__ = ["TOP_LEVEL_KEYS", "check", "find_problems"]

TOP_LEVEL_KEYS = (
    "model", "data", "optimizer", "optimizer_config", "fp16", "lr_config", "momentum_config", "runner",
    "checkpoint_config", "log_config", "timer_config", "evaluation", "profiler_config", "workflow", "custom_hooks", "custom_imports",
    "load_from", "resume_from", "work_dir", "log_level", "seed", "deterministic", "device",
)  # fmt: skip
REQUIRED_KEYS = ("model", "data", "optimizer", "runner")


def check(cfg: Config, files: bool = True) -> None:
    """Raise for everything that is wrong with a config, before anything is built.

    Args:
        cfg: Of a training.
        files: Whether the checkpoints that the training would read have to be there.

    Raises:
        CfgTrainError: The problem, if there is one; a ``CheckError`` that holds them all if
            there are several.
    """
    problems = [*find_problems(cfg), *(file_problems(cfg) if files else ())]
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
            message = f"The config has no {key!r}, which a training needs."
            yield ConfigKeyError(message, file=cfg.filename, key=key)
    if "model" in cfg:
        yield from component(cfg._cfg_dict, "model", MODELS)
        yield from nested(cfg["model"], MODELS)
    if "data" in cfg:
        yield from data_problems(cfg)
    if "optimizer" in cfg:
        yield from optimizer_problems(cfg)
    if "runner" in cfg:
        yield from runner_problems(cfg)
    for key in hook_configs.HOOK_KEYS:
        yield from hook_problems(cfg, key)
    yield from evaluation_problems(cfg)
    yield from value_problems(cfg)


def _top_level(cfg: Config) -> Iterator[CfgTrainError]:
    """Find keys that look like a known one: a config may hold variables of its own beside those."""
    for key in cfg:
        if key in TOP_LEVEL_KEYS or str(key).startswith("_"):
            continue
        near = close_names(str(key), TOP_LEVEL_KEYS, count=1)
        if near and _similar(key, near[0]) and not _beside(cfg, key, near[0]):
            yield problem_at(
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
