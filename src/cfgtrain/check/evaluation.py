"""Check the evaluation, and the hooks that use its scores."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from cfgtrain.check.components import arguments, component, config_error, is_builtin, wrong_value
from cfgtrain.check.model import model_class
from cfgtrain.check.runner import counts_epochs
from cfgtrain.config.config import Config
from cfgtrain.config.dict import without
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigKeyError, HookError
from cfgtrain.introspection.signatures import argument_problem, parameters_of
from cfgtrain.metrics.metric_set import build_metrics
from cfgtrain.origin import location
from cfgtrain.registries import DATASETS, METRICS
from cfgtrain.registry.projects import registry_for
from cfgtrain.registry.registry import resolve_cfg
from cfgtrain.runner.hooks.evaluation.dist_eval_hook import DISTRIBUTED_ARGUMENTS
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook
from cfgtrain.runner.hooks.evaluation.score_monitor import ScoreMonitor
from cfgtrain.suggestions import suggest

__all__ = ["evaluation_problems", "metric_problems", "monitor_problems", "test_problems"]


def evaluation_problems(cfg: Config) -> Iterator[CfgTrainError]:
    """Check ``evaluation`` against EvalHook, and the other arguments against the dataset's ``evaluate``."""
    evaluation = cfg.get("evaluation")
    if not isinstance(evaluation, Mapping):
        yield from _no_evaluation(cfg)
        return
    val = _val(cfg)
    if val is None:
        message = "There is an evaluation, but no data.val to evaluate on."
        yield ConfigKeyError(message, **location(cfg, "evaluation"))
        return
    problems = [*_arguments(evaluation, val), *metric_problems(evaluation), *counts_epochs(cfg, evaluation)]
    yield from problems or _scores(cfg, evaluation, val)


def _no_evaluation(cfg: Config) -> Iterator[CfgTrainError]:
    """Yield an error unless ``evaluation`` is None, for a value that is not a dict."""
    if cfg.get("evaluation") is not None:
        yield wrong_value(cfg, "evaluation", "a dict")


def test_problems(cfg: Config, part: str) -> Iterator[CfgTrainError]:
    """Check the metrics of ``evaluation``, and its arguments for the dataset's ``evaluate``, for a test.

    Args:
        cfg: The config.
        part: Name of the dataset that is tested.
    """
    evaluation = cfg.get("evaluation")
    if not isinstance(evaluation, Mapping):
        yield from _no_evaluation(cfg)
        return
    dataset = _part(cfg, part)
    problems = [*_arguments(evaluation, dataset), *metric_problems(evaluation)]
    yield from problems or _scores(cfg, evaluation, dataset, for_test=True)


def metric_problems(evaluation: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the metrics of an evaluation."""
    metrics = evaluation.get("metrics")
    if metrics is None:
        return
    if not isinstance(metrics, list | tuple):
        yield wrong_value(evaluation, "metrics", "a list such as ['Accuracy']")
        return
    problems: list[CfgTrainError] = []
    place = location(evaluation, "metrics")
    for i, metric in enumerate(metrics):
        if isinstance(metric, str):
            for error in component([{"type": metric}], 0, METRICS):
                error.origin, error.key = place.get("origin"), place.get("key")
                problems.append(error)
        elif isinstance(metric, Mapping):
            problems += component(metrics, i, METRICS)
    if not problems:
        try:
            build_metrics(
                [each for each in metrics if isinstance(each, str) or _is_builtin(each)] or metrics[:1]
            )
        except CfgTrainError as error:
            problems.append(config_error(error, evaluation, "metrics"))
    yield from problems


def _is_builtin(metric: Any) -> bool:
    return not isinstance(metric, Mapping) or is_builtin(resolve_cfg(metric, METRICS)[0])


def monitor_problems(cfg: Config, hook_cfg: Any, monitor: ScoreMonitor) -> Iterator[CfgTrainError]:
    """Yield what is wrong with the score that a hook monitors, if that is known before the run."""
    evaluation = cfg.get("evaluation")
    if list(evaluation_problems(cfg)):
        return
    try:
        monitor.check(None if evaluation is None else _trial(cfg, evaluation, _val(cfg)))
    except (HookError, ArgumentError) as error:
        key = "monitor" if "monitor" in hook_cfg and evaluation is not None else None
        yield config_error(error, hook_cfg, key)


def _trial(cfg: Config, evaluation: Mapping[str, Any], val: Any) -> EvalHook:
    """Build the evaluation without its data: it validates its arguments and knows its scores."""
    dataset = _dataset_class(val)
    names_scores = isinstance(
        inspect.getattr_static(dataset, "score_names", None), (classmethod, staticmethod)
    )
    # The dataset of this loader is a class, so that no data is read.
    settings = without(evaluation, *DISTRIBUTED_ARGUMENTS)
    trial = EvalHook(SimpleNamespace(dataset=dataset if names_scores else None), **settings)
    trial.has_losses = _may_have_losses(cfg)
    return trial


def _may_have_losses(cfg: Config) -> bool:
    """Return whether the model returns losses with its predictions, as far as its class is known."""
    target = model_class(cfg.get("model"))
    return target is None or hasattr(target, "forward_with_loss")


def _scores(cfg: Config, evaluation: Any, val: Any, for_test: bool = False) -> Iterator[CfgTrainError]:
    """Find metrics that the dataset does not have, and a ``save_best`` that is not one of its scores.

    A test does not use ``save_best``.
    """
    settings = without(evaluation, "save_best") if for_test else evaluation
    try:
        trial = _trial(cfg, settings, val)
        trial.score_names()
        trial.check_save_best()
    except CfgTrainError as error:
        key = "save_best" if isinstance(error, HookError) else None
        yield config_error(error, evaluation, key)


def _arguments(evaluation: Any, val: Any) -> Iterator[CfgTrainError]:
    parameters = parameters_of(EvalHook)
    own = (*(parameters.names if parameters else ()), *DISTRIBUTED_ARGUMENTS)
    stated = {key: value for key, value in evaluation.items() if parameters and key in parameters.names}
    yield from arguments(evaluation, EvalHook, stated, ("dataloader",))
    evaluate = getattr(_dataset_class(val), "evaluate", None)
    rest = {key: value for key, value in evaluation.items() if key not in own}
    problem = argument_problem(evaluate, {"self": None, "results": None, **rest}) if evaluate else None
    if problem is not None:
        hint = problem.hint + suggest(problem.argument or "", own)
        yield problem._replace(hint=hint).error(evaluation)


def _val(cfg: Config) -> Any:
    return _part(cfg, "val")


def _part(cfg: Config, part: str) -> Any:
    data = cfg.get("data")
    return data.get(part) if isinstance(data, Mapping) else None


def _dataset_class(val: Any) -> Any:
    kind = val.get("type") if isinstance(val, Mapping) else None
    if not isinstance(kind, str):
        return kind
    try:
        return registry_for(val, DATASETS).get(kind)
    except CfgTrainError:  # reported where the dataset is checked
        return None
