"""Check the runner, and the settings that count in another unit than the runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.check.components import component, config_error, import_error
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.errors import CfgTrainError, ConfigValueError
from cfgtrain.origin import location
from cfgtrain.registries import RUNNER_BUILDERS, RUNNERS
from cfgtrain.registry.registry import resolve_cfg

__all__ = ["RUNNER_GIVEN", "counts_epochs", "runner_class", "runner_problems"]

# Arguments that are added to those of the config.
RUNNER_GIVEN = ("model", "optimizer", "work_dir", "logger", "meta")


def runner_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``runner``."""
    runner, target = cfg["runner"], runner_class(cfg)
    node: Any = cfg._cfg_dict
    if isinstance(runner, Mapping) and "constructor" in runner:
        yield from _constructor(runner)
        node = {"runner": without(runner, "constructor")}
    problems = list(component(node, "runner", RUNNERS, given=RUNNER_GIVEN, config_keys=("constructor",)))
    yield from problems
    if problems or not hasattr(target, "by_epoch"):
        return
    own, other = ("max_epochs", "max_iters") if target.by_epoch else ("max_iters", "max_epochs")
    value = runner.get(own)
    if not isinstance(value, int) or value < 1:
        message = f"{own} of {target.__name__} must be at least 1, not {value!r}."
        yield ConfigValueError(message, **location(runner, own if own in runner else "type"))
    if runner.get(other) is not None:
        message = f"{target.__name__} takes {own}, and {other} cannot be given as well."
        yield ConfigValueError(message, **location(runner, other))


def _constructor(runner: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    try:
        resolve_cfg({"type": runner["constructor"]}, RUNNER_BUILDERS)
    except CfgTrainError as error:
        yield config_error(error, runner, "constructor")
    except Exception as error:  # an import path may name a module that fails in any way
        yield import_error(error, runner, "constructor")


def counts_epochs(cfg: Config, hook: Any) -> Iterator[CfgTrainError]:
    """Find settings of a hook that count epochs under a runner that counts iterations."""
    target = runner_class(cfg)
    if target is None or getattr(target, "by_epoch", True):
        return
    for name in ("by_epoch", "warmup_by_epoch"):
        if hook.get(name) is True:
            message = f"{target.__name__} counts iterations: with {name}=True this would never happen."
            yield ConfigValueError(message, **location(hook, name))


def runner_class(cfg: Config) -> Any:
    """Return the class of the runner, or None if it is not known."""
    runner = cfg.get("runner")
    kind = runner.get("type") if isinstance(runner, Mapping) else None
    return RUNNERS.get(kind) if isinstance(kind, str) else kind
