"""Check the runner, and what is counted in another unit than it counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.check.components import component, problem_at
from cfgtrain.config.config import Config
from cfgtrain.errors import CfgTrainError, ConfigValueError
from cfgtrain.registries import RUNNER_BUILDERS, RUNNERS
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.runner import hook_configs

__all__ = ["RUNNER_GIVEN", "counts_epochs", "runner_class", "runner_problems"]

# What train() adds to the arguments that a config states.
RUNNER_GIVEN = ("model", "optimizer", "work_dir", "logger", "meta")


def runner_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``runner``."""
    runner, target = cfg["runner"], runner_class(cfg)
    node: Any = cfg._cfg_dict
    if isinstance(runner, Mapping) and "constructor" in runner:
        yield from _constructor(runner)
        node = {"runner": hook_configs.without(runner, "constructor")}
    problems = list(component(node, "runner", RUNNERS, given=RUNNER_GIVEN))
    yield from problems
    if problems or not hasattr(target, "by_epoch"):
        return
    own, other = ("max_epochs", "max_iters") if target.by_epoch else ("max_iters", "max_epochs")
    value = runner.get(own)
    if not isinstance(value, int) or value < 1:
        message = f"{own} of {target.__name__} is at least 1, not {value!r}."
        yield problem_at(ConfigValueError, message, runner, own if own in runner else "type")
    if runner.get(other) is not None:
        message = f"{target.__name__} takes {own}, and {other} cannot be given beside it."
        yield problem_at(ConfigValueError, message, runner, other)


def _constructor(runner: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    try:
        resolve_cfg({"type": runner["constructor"]}, RUNNER_BUILDERS)
    except CfgTrainError as error:
        yield problem_at(ConfigValueError, str(error), runner, "constructor")
    except Exception as error:  # an import path may name a module that fails in any way
        message = f"{runner['constructor']!r} cannot be imported: {type(error).__name__}: {error}"
        yield problem_at(ConfigValueError, message, runner, "constructor")


def counts_epochs(cfg: Config, hook: Any) -> Iterator[CfgTrainError]:
    """Find settings of a hook that would never do anything: they count epochs, and the runner does not."""
    target = runner_class(cfg)
    if target is None or getattr(target, "by_epoch", True):
        return
    for name in ("by_epoch", "warmup_by_epoch"):
        if hook.get(name) is True:
            message = f"{target.__name__} counts iterations: with {name}=True this would never happen."
            yield problem_at(ConfigValueError, message, hook, name)


def runner_class(cfg: Config) -> Any:
    """Return the class of the runner, or None where that cannot be told."""
    runner = cfg.get("runner")
    kind = runner.get("type") if isinstance(runner, Mapping) else None
    return RUNNERS.get(kind) if isinstance(kind, str) else kind
