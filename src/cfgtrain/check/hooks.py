"""Check the runner, its hooks and the evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgtrain.check.components import arguments, component, is_own, problem_at
from cfgtrain.config.config import Config
from cfgtrain.errors import (
    ArgumentTypeError,
    BuildError,
    CfgTrainError,
    ConfigKeyError,
    ConfigValueError,
    suggest,
)
from cfgtrain.origin import at_place
from cfgtrain.registries import DATASETS, HOOKS, RUNNER_BUILDERS, RUNNERS
from cfgtrain.registry import resolve_cfg
from cfgtrain.runner import wiring
from cfgtrain.runner.hooks.adaptive import ReduceOnPlateauLrUpdaterHook
from cfgtrain.runner.hooks.evaluation import EvalHook
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.hooks.priority import get_priority
from cfgtrain.runner.hooks.schedule import ScheduleHook
from cfgtrain.schedules import Curve
from cfgtrain.utils.signatures import argument_problem, parameters_of

__all__ = ["evaluation_problems", "hook_problems", "runner_problems"]

# What train() adds to the arguments that a config states.
RUNNER_GIVEN = ("model", "optimizer", "work_dir", "logger", "meta")


def runner_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield what is wrong with ``runner``."""
    runner, target = cfg["runner"], _runner_class(cfg)
    node: Any = cfg._cfg_dict
    if isinstance(runner, Mapping) and "constructor" in runner:
        yield from _constructor(runner)
        node = {"runner": wiring.without(runner, "constructor")}
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


def hook_problems(cfg: Config, key: str) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the hooks that one key of the config stands for."""
    value, root = cfg.get(key), cfg._cfg_dict
    if key == "optimizer_config":
        fp16 = cfg.get("fp16")
        if fp16 is not None and not isinstance(fp16, Mapping):
            message = f"fp16 is a dict such as dict(loss_scale='dynamic'), or None, not {fp16!r}."
            yield problem_at(ConfigValueError, message, root, "fp16")
        value = wiring.optimizer_settings(root)
    if key == "log_config" and value is not None:
        yield from _log_config(value, root)
        if not isinstance(value, Mapping) or not isinstance(value.get("hooks", []), (list, tuple)):
            return
    try:
        wired = list(wiring.hook_cfgs(key, value))
    except ArgumentTypeError as error:
        yield problem_at(ConfigValueError, str(error), root, key)
        return
    except CfgTrainError as error:
        yield error
        return
    for each, priority in wired:
        if not isinstance(each, Hook):
            problems = list(component([each], 0, HOOKS))
            yield from problems or _misfits(cfg, each)
            yield from _counts_epochs(cfg, key, each)
        try:
            if priority is not None:
                get_priority(priority)
        except CfgTrainError as error:
            yield problem_at(ConfigValueError, str(error), each, "priority")


def evaluation_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Check ``evaluation`` against EvalHook, and what is left against the data set's ``evaluate``."""
    evaluation, root = cfg.get("evaluation"), cfg._cfg_dict
    if evaluation is None:
        return
    if not isinstance(evaluation, Mapping):
        yield problem_at(ConfigValueError, f"evaluation is a dict, not {evaluation!r}.", root, "evaluation")
        return
    data = cfg.get("data")
    val = data.get("val") if isinstance(data, Mapping) else None
    if val is None:
        message = "There is an evaluation, but no data.val to evaluate on."
        yield problem_at(ConfigKeyError, message, root, "evaluation")
        return
    parameters = parameters_of(EvalHook)
    own = parameters.names if parameters else ()
    yield from arguments(
        evaluation, EvalHook, {k: v for k, v in evaluation.items() if k in own}, ("dataloader",)
    )
    yield from _evaluate_arguments(evaluation, val, own)
    yield from _counts_epochs(cfg, "evaluation", evaluation)
    for name, least in (("interval", 1), ("start", 0)):
        value = evaluation.get(name)
        if isinstance(value, int) and value < least:
            yield problem_at(ConfigValueError, f"{name} is at least {least}, not {value}.", evaluation, name)


def _evaluate_arguments(evaluation: Any, val: Any, own: tuple[str, ...]) -> Iterator[CfgTrainError]:
    kind = val.get("type") if isinstance(val, Mapping) else None
    dataset = DATASETS.get(kind) if isinstance(kind, str) else kind
    evaluate = getattr(dataset, "evaluate", None)
    rest = {k: v for k, v in evaluation.items() if k not in own}
    problem = argument_problem(evaluate, {"self": None, "results": None, **rest}) if evaluate else None
    if problem is not None:
        text = problem.text + suggest(problem.argument or "", own)
        yield BuildError(problem._replace(text=text).at(at_place(evaluation, problem.argument)))


def _log_config(value: Any, root: Any) -> Iterator[CfgTrainError]:
    if not isinstance(value, Mapping):
        message = f"log_config is dict(interval=..., hooks=[...]), not {value!r}."
        yield problem_at(ConfigValueError, message, root, "log_config")
        return
    for unknown in set(value) - {"interval", "hooks"}:
        hint = suggest(str(unknown), ("interval", "hooks"))
        yield problem_at(ConfigKeyError, f"log_config has no setting {unknown!r}.{hint}", value, unknown)
    if not isinstance(value.get("hooks", []), (list, tuple)):
        yield problem_at(
            ConfigValueError, f"hooks is a list of dicts, not {value['hooks']!r}.", value, "hooks"
        )


def _misfits(cfg: Config, hook_cfg: Any) -> Iterator[CfgTrainError]:
    """Find schedules that the run cannot follow: without scores, or that end before it does, as far as is known."""
    target, args = resolve_cfg(hook_cfg, HOOKS)
    if not (isinstance(target, type) and issubclass(target, ScheduleHook)) or not is_own(target):
        return
    if issubclass(target, ReduceOnPlateauLrUpdaterHook) and cfg.get("evaluation") is None:
        message = "policy='ReduceOnPlateau' goes by the scores of the evaluation, and there is no evaluation."
        yield ConfigValueError(f"{message}{at_place(hook_cfg)}")
    hook = target(**args)
    runner = cfg.get("runner")
    counts_epochs = hook.by_epoch and getattr(_runner_class(cfg), "by_epoch", True)
    length = "max_epochs" if counts_epochs else "max_iters"
    total = runner.get(length) if isinstance(runner, Mapping) else None
    problem = hook.curve.problem(total) if isinstance(hook.curve, Curve) and isinstance(total, int) else None
    if problem is not None:
        yield ConfigValueError(f"{target.__name__} does not fit this run: {problem}.{at_place(hook_cfg)}")


def _counts_epochs(cfg: Config, key: str, hook: Any) -> Iterator[CfgTrainError]:
    """Find hooks that would never do anything: they count epochs, and the runner does not."""
    target = _runner_class(cfg)
    if key == "log_config" or target is None or getattr(target, "by_epoch", True):
        return
    for name in ("by_epoch", "warmup_by_epoch"):
        if hook.get(name) is True:
            message = f"{target.__name__} counts iterations: with {name}=True this would never happen."
            yield problem_at(ConfigValueError, message, hook, name)


def _runner_class(cfg: Config) -> Any:
    runner = cfg.get("runner")
    kind = runner.get("type") if isinstance(runner, Mapping) else None
    return RUNNERS.get(kind) if isinstance(kind, str) else kind
