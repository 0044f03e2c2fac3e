"""Check the hooks of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.check.components import component, config_error, is_builtin, wrong_value
from cfgtrain.check.evaluation import monitor_problems
from cfgtrain.check.runner import counts_epochs, runner_class
from cfgtrain.config.config import Config
from cfgtrain.errors import ArgumentTypeError, CfgTrainError, ConfigKeyError, ConfigValueError
from cfgtrain.keys import HOOK_KEYS
from cfgtrain.origin import argument_location, location, where
from cfgtrain.registries import HOOKS
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.runner import hook_configs
from cfgtrain.runner.hooks.evaluation.score_monitor import ScoreMonitor
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.priority import get_priority
from cfgtrain.runner.hooks.schedules.base import ScheduleHook
from cfgtrain.schedules import Curve

__all__ = ["hook_problems"]


def hook_problems(cfg: Config, key: str) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the hooks that one key of the config describes."""
    value, root = cfg.get(key), cfg._cfg_dict
    if key == "optimizer_config":
        fp16 = cfg.get("fp16")
        if fp16 is not None and not isinstance(fp16, Mapping):
            yield wrong_value(root, "fp16", "a dict such as dict(loss_scale='dynamic'), or None")
        value = hook_configs.optimizer_settings(root)
    if key == "log_config" and value is not None:
        yield from _log_config(value, root)
        if not isinstance(value, Mapping) or not isinstance(value.get("hooks", []), (list, tuple)):
            return
    try:
        hooks = list(hook_configs.hook_cfgs(key, value))
    except ArgumentTypeError as error:
        yield config_error(error, root, key)
        return
    except CfgTrainError as error:
        yield error
        return
    shared = {"optimizer_config": cfg.get("fp16"), "log_config": value}.get(key)
    own = cfg.get("optimizer_config")
    sets_dtype = shared is None and cfg.get("precision") is not None and "dtype" not in (own or {})
    names = {"priority": not HOOK_KEYS[key].list_key, "policy": HOOK_KEYS[key].policy_suffix}
    config_keys = tuple(name for name, is_known in names.items() if is_known)
    for each, priority in hooks:
        if not isinstance(each, Hook):
            problems = list(component([each], 0, HOOKS, config_keys=config_keys)) or list(
                _run_problems(cfg, each)
            )
            for problem in problems:
                if key == "optimizer_config" and sets_dtype and problem.argument == ("dtype",):
                    yield config_error(problem, root, "precision")
                else:
                    yield _at_shared_setting(problem, each, shared)
            if key != "log_config":
                yield from counts_epochs(cfg, each)
        try:
            if priority is not None:
                get_priority(priority)
        except CfgTrainError as error:
            yield config_error(error, each, "priority")


def _at_shared_setting(error: CfgTrainError, hook_cfg: Any, shared: Any) -> CfgTrainError:
    """Correct the place of an error about a setting that a hook shares with others.

    Args:
        error: An error about ``hook_cfg``.
        hook_cfg: Config of the hook, with the shared settings.
        shared: The dict that holds the shared settings, if there is one.
    """
    name = next(iter(error.argument), None)
    if isinstance(shared, Mapping) and name in shared and where(hook_cfg, name) is None:
        place = argument_location(shared, error.argument)
        error.origin, error.key = place["origin"], place["key"]
    return error


def _log_config(value: Any, root: Any) -> Iterator[CfgTrainError]:
    if not isinstance(value, Mapping):
        yield wrong_value(root, "log_config", "dict(interval=..., hooks=[...])")
        return
    for unknown in set(value) - {"interval", "hooks"}:
        near = str(unknown), ("interval", "hooks")
        message = f"log_config has no setting {unknown!r}."
        yield ConfigKeyError(message, near=near, **location(value, unknown))
    if not isinstance(value.get("hooks", []), (list, tuple)):
        yield wrong_value(value, "hooks", "a list of dicts")


def _run_problems(cfg: Config, hook_cfg: Any) -> Iterator[CfgTrainError]:
    """Find built-in hooks that do not fit the run: no such score, or a schedule of another length."""
    target, args = resolve_cfg(hook_cfg, HOOKS)
    if not (isinstance(target, type) and issubclass(target, Hook) and is_builtin(target)):
        return
    hook = target(**args)
    monitor = getattr(hook, "score_monitor", None)
    if isinstance(monitor, ScoreMonitor):
        yield from monitor_problems(cfg, hook_cfg, monitor)
    if isinstance(hook, ScheduleHook):
        yield from _length(cfg, hook_cfg, hook)


def _length(cfg: Config, hook_cfg: Any, hook: ScheduleHook) -> Iterator[CfgTrainError]:
    runner = cfg.get("runner")
    in_epochs = hook.by_epoch and getattr(runner_class(cfg), "by_epoch", True)
    length = "max_epochs" if in_epochs else "max_iters"
    total = runner.get(length) if isinstance(runner, Mapping) else None
    if not isinstance(hook.curve, Curve) or not isinstance(total, int):
        return
    problem = hook.curve.problem(total)
    if problem is not None:
        message = f"{type(hook).__name__} does not fit this run: {problem}."
        yield ConfigValueError(message, **argument_location(hook_cfg, [hook.curve.length_argument]))
