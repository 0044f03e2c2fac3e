"""Convert the data loaders and evaluators of a config in the style of MMEngine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.compat.migrate.mmengine_settings import Conversion, KeyPath, as_list, known
from cfgtrain.data.builder import LOADER_KEYS
from cfgtrain.registries import COLLATE_FUNCTIONS, DATASETS, METRICS, PIPELINES, SAMPLERS

_SHUFFLING = ("DefaultSampler", "InfiniteSampler")
# Scores that have another name in cfgtrain.
_SCORES = {"accuracy/top1": "accuracy", "accuracy/top5": "accuracy_top5"}
_PACK = "Use ImageToTensor and Collect, and pass the arguments of the model by name."


def convert_data(conversion: Conversion) -> None:
    """Convert ``<part>_dataloader`` to ``data``."""
    data: dict[str, Any] = {}
    settings = {}
    for part in ("train", "val", "test"):
        name = f"{part}_dataloader"
        loader = conversion.part(name)
        dataset = loader.pop("dataset")
        if isinstance(dataset, Mapping):
            data[part] = dataset
            _check_dataset(conversion, dataset, (name, "dataset"))
        elif dataset is not None:
            conversion.by_hand((name, "dataset"), dataset)
        chosen: dict[str, Any] = {}
        sampler, collate = loader.pop("sampler"), loader.pop("collate_fn")
        for key in LOADER_KEYS:
            if loader.values.get(key) is not None:
                chosen[key] = loader.pop(key)
        if sampler is not None:
            _convert_sampler(conversion, name, sampler, chosen)
        _convert_collate(conversion, name, collate, chosen)
        conversion.rest(loader)
        if chosen:
            settings[name] = chosen
    if data or settings:
        conversion.new["data"] = data | settings


def _convert_sampler(conversion: Conversion, loader: str, sampler: Any, chosen: dict[str, Any]) -> None:
    path = (loader, "sampler")
    kind = sampler.get("type") if isinstance(sampler, Mapping) else None
    if isinstance(sampler, Mapping) and kind in _SHUFFLING:
        args = dict(sampler)
        args.pop("type")
        chosen["shuffle"] = bool(args.pop("shuffle", True))
        if args.pop("round_up", True) is False:
            conversion.by_hand((*path, "round_up"), False, "All processes get equally many samples.")
        if args.pop("seed", None) is not None:
            conversion.note(
                (*path, "seed"), f"{loader}.sampler.seed is dropped: samplers use the seed of the run."
            )
        for key, value in args.items():
            conversion.by_hand((*path, key), value)
    elif isinstance(sampler, Mapping) and known(SAMPLERS, kind) and not conversion.problem(SAMPLERS, sampler):
        chosen["sampler"] = dict(sampler)
    else:
        conversion.by_hand(path, sampler, "Write a sampler with the methods of EpochSampler.")


def _convert_collate(conversion: Conversion, loader: str, collate: Any, chosen: dict[str, Any]) -> None:
    kind = collate.get("type") if isinstance(collate, Mapping) else collate
    if kind in (None, "default_collate"):
        return
    if known(COLLATE_FUNCTIONS, kind) is not None:
        chosen["collate_fn"] = collate
    else:
        hint = "Samples are merged into tensors; another function can be registered in COLLATE_FUNCTIONS."
        conversion.by_hand((loader, "collate_fn"), collate, hint)


def _check_dataset(conversion: Conversion, dataset: Mapping[str, Any], path: KeyPath) -> None:
    problem = conversion.problem(DATASETS, dataset)
    if problem is not None:
        conversion.todo(path, f"{dataset['type']} of cfgtrain is another dataset: {problem}")
    pipeline = dataset.get("pipeline")
    for index, step in enumerate(pipeline if isinstance(pipeline, (list, tuple)) else ()):
        _check_transform(conversion, step, (*path, "pipeline", index))
    inner = dataset.get("dataset")
    if isinstance(inner, Mapping):
        _check_dataset(conversion, inner, (*path, "dataset"))
    several = dataset.get("datasets")
    for index, each in enumerate(several if isinstance(several, (list, tuple)) else ()):
        if isinstance(each, Mapping):
            _check_dataset(conversion, each, (*path, "datasets", index))


def _check_transform(conversion: Conversion, step: Any, path: KeyPath) -> None:
    if not isinstance(step, Mapping):
        return
    kind = str(step.get("type", ""))
    if kind.rpartition(".")[2].startswith("Pack"):
        conversion.todo(path, f"{kind} has no counterpart.", _PACK)
    elif (problem := conversion.problem(PIPELINES, step)) is not None:
        conversion.todo(
            path, f"{kind} of cfgtrain has other arguments: {problem}", f"See cfgtrain show {kind}."
        )


def convert_evaluation(conversion: Conversion) -> None:
    """Convert ``val_evaluator`` and ``test_evaluator`` to ``evaluation.metrics``."""
    val, test = conversion.tree.pop("val_evaluator", None), conversion.tree.pop("test_evaluator", None)
    name = "test_evaluator" if val is None else "val_evaluator"
    metrics = []
    evaluator = test if val is None else val
    if isinstance(evaluator, Mapping) and evaluator.get("type", "Evaluator") == "Evaluator":
        evaluator = evaluator.get("metrics")
    for index, metric in enumerate(as_list(evaluator)):
        path: KeyPath = (name, index) if isinstance(evaluator, (list, tuple)) else (name,)
        cfg = metric if isinstance(metric, Mapping) else {"type": metric}
        problem = conversion.problem(METRICS, cfg)
        if known(METRICS, cfg.get("type")) is None:
            conversion.by_hand(path, metric, "Write a metric with the methods of cfgtrain.metrics.Metric.")
        elif problem is not None:
            conversion.by_hand(path, metric, f"See cfgtrain show {cfg['type']}.", problem)
        else:
            metrics.append(dict(cfg))
    if metrics:
        conversion.evaluation["metrics"] = metrics
    if val is not None and test is not None and test != val:
        hint = "evaluation.metrics are used for the test too; cfgtrain test --metrics selects others."
        conversion.by_hand(("test_evaluator",), test, hint)


def score_name(conversion: Conversion, path: KeyPath, name: Any) -> Any:
    """Return the name of a score in cfgtrain, or None if it is not known; then it is listed."""
    if isinstance(name, str) and (name in _SCORES or "/" not in name):
        return _SCORES.get(name, name)
    if name is not None:
        conversion.by_hand(path, name, "Use the name of a score of evaluation.metrics.")
    return None
