"""Find everything that is wrong with a config before the run, and report it at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher

from cfgtrain.check.acceleration import acceleration_problems
from cfgtrain.check.data import data_path_problems, data_problems
from cfgtrain.check.evaluation import evaluation_problems, test_problems
from cfgtrain.check.hooks import hook_problems
from cfgtrain.check.model import model_problems
from cfgtrain.check.optimizer import optimizer_problems
from cfgtrain.check.runner import runner_problems
from cfgtrain.check.values import file_problems, freeze_problems, value_problems
from cfgtrain.config.config import Config
from cfgtrain.errors import CfgTrainError, CheckError, ConfigKeyError
from cfgtrain.experiment.older_keys import replace_older_keys
from cfgtrain.keys import HOOK_KEYS, KEYS
from cfgtrain.origin import Origin, location
from cfgtrain.suggestions import close_names

__all__ = ["check", "check_model", "check_test", "config_problems", "find_problems", "merged"]


def check(cfg: Config, files: bool = True, trusted: bool = False) -> None:
    """Raise if anything is wrong with a config, before anything is built from it.

    Args:
        cfg: Config of a training run.
        files: Whether the files that the run would read must exist: its data and checkpoints.
        trusted: Whether they may run code while they are loaded.

    Raises:
        CfgTrainError: The problem, if there is one; a ``CheckError`` with all of them if there
            are several.
    """
    _raise_all(list(config_problems(cfg, files, trusted)))


def config_problems(cfg: Config, files: bool = True, trusted: bool = False) -> Iterator[CfgTrainError]:
    """Yield what is wrong with a config, before anything is built from it; see ``check``."""
    yield from find_problems(cfg)
    if files:
        yield from data_path_problems(cfg)
        yield from file_problems(cfg, trusted)


def check_model(cfg: Config, data: bool = False) -> None:
    """Raise if anything is wrong with the model of a config, which needs nothing else to be built.

    Args:
        cfg: Config with a model.
        data: Whether to check the datasets too.

    Raises:
        CfgTrainError: As for ``check``.
    """
    problems = [
        *_top_level(cfg),
        *_missing(cfg, ["model"], "here"),
        *model_problems(cfg),
        *freeze_problems(cfg),
        *acceleration_problems(cfg),
    ]
    if data and "data" in cfg:
        problems += [*data_problems(cfg), *data_path_problems(cfg)]
    elif data:
        problems += _missing(cfg, ["data"], "unless the shape of the input is given (--shape)")
    _raise_all(problems)


def check_test(cfg: Config) -> str:
    """Raise if anything is wrong with what a test of a trained model needs: the model, its data and the metrics.

    Returns:
        The name of the dataset to test on: ``test``, or ``val`` if there is no test dataset.

    Raises:
        CfgTrainError: As for ``check``.
    """
    problems = [*_top_level(cfg), *_missing(cfg, ["model", "data"], "for testing"), *model_problems(cfg)]
    data = cfg.get("data")
    part = "val" if isinstance(data, Mapping) and not data.get("test") else "test"
    if isinstance(data, Mapping) and not data.get(part):
        message = "data has neither 'test' nor 'val', and one of them is required for testing."
        problems.append(ConfigKeyError(message, **location(cfg, "data")))
    elif data is not None:
        problems += [*data_problems(cfg, part), *data_path_problems(cfg, part), *test_problems(cfg, part)]
    _raise_all([*problems, *value_problems(cfg)])
    return part


def _raise_all(problems: list[CfgTrainError]) -> None:
    problems = merged(problems)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise CheckError(f"There are {len(problems)} problems with the config.", problems)


def merged(problems: list[CfgTrainError]) -> list[CfgTrainError]:
    """Return the problems, those with one cause as one: a variable that several parts of the config use.

    They have the same text and the same line; the error has the keys of all.
    """
    found: dict[tuple[object, ...], CfgTrainError] = {}
    for problem in problems:
        is_placed = problem.origin is not None and problem.line is not None and problem.key
        cause = (
            (type(problem), problem.message, problem.hint, problem.origin) if is_placed else (id(problem),)
        )
        first = found.setdefault(cause, problem)
        if first is not problem:
            first.key = f"{first.key}, {problem.key}"
    return list(found.values())


def find_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield every problem that can be found without building anything."""
    replace_older_keys(cfg)
    yield from _top_level(cfg)
    yield from _missing(cfg, [key.name for key in KEYS.values() if key.required], "for training")
    yield from model_problems(cfg, for_training=True)
    if "data" in cfg:
        yield from data_problems(cfg)
    if "optimizer" in cfg:
        yield from optimizer_problems(cfg)
    if "runner" in cfg:
        yield from runner_problems(cfg)
    for hook_key in HOOK_KEYS.values():
        if not hook_key.needs_data:
            yield from hook_problems(cfg, hook_key.name)
    yield from evaluation_problems(cfg)
    yield from value_problems(cfg)


def _missing(cfg: Config, names: Iterable[str], what_for: str) -> Iterator[CfgTrainError]:
    for name in names:
        if name not in cfg:
            message = f"The config has no {name!r}, which is required {what_for}."
            origin = Origin(cfg.filename) if cfg.filename else None
            yield ConfigKeyError(message, origin=origin, key=name)


def _top_level(cfg: Config) -> Iterator[CfgTrainError]:
    """Find probable misspellings of known keys; any other key is a variable of the user."""
    for key in cfg:
        if key in KEYS or str(key).startswith("_"):
            continue
        near = close_names(str(key), KEYS, count=1)
        is_similar = near and SequenceMatcher(None, key, near[0]).ratio() >= 0.8
        if is_similar and not _set_together(cfg, key, near[0]):
            yield ConfigKeyError(
                f"There is no setting {key!r}.",
                hint=f"Did you mean {near[0]!r}? A variable of your own needs another name, such as {'_' + key!r}.",
                **location(cfg, key),
            )


def _set_together(cfg: Config, key: str, known: str) -> bool:
    """Return whether one file sets both keys: then the unknown one is not a misspelling."""
    if known not in cfg:
        return False
    origin = cfg.origin(key)
    return origin is not None and any(other.file == origin.file for other in cfg.history(known))
