"""Try one batch of each dataset before a run: what is wrong with the data, the model and its scores shows at once."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils.data import IterableDataset

from cfgtrain.config.config import Config
from cfgtrain.data.batches import batch_text
from cfgtrain.data.builder import metainfo_of
from cfgtrain.data.loader import dataset_of
from cfgtrain.errors import CfgTrainError, CheckError, DryRunError, TransformError
from cfgtrain.evaluation.inference import LossSums, single_gpu_test
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.activity import activity_lines, place_transform
from cfgtrain.experiment.assembly import build_loader_of, evaluation_settings, used_parts
from cfgtrain.introspection.torch_errors import error_text
from cfgtrain.metrics.metric_set import build_metrics
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.origin import location
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.random_state import RandomState
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.optimizer import OptimizerHook
from cfgtrain.runner.step import step_outputs

__all__ = ["dry_run"]

logger = logging.getLogger(__name__)


def dry_run(cfg: Config, runner: BaseRunner, loaders: Mapping[str, Any]) -> None:
    """Pass one batch of each dataset through what the run will do with it.

    A training batch goes through the pipeline, the loader, ``train_step`` and the backward pass, any other batch
    through a prediction. The optimizer makes no step, and no hook is called. Afterwards the parameters and buffers of the
    model and the random states are as before, so that the run gives the same results as without it.

    A stream is not tried unless it has an attribute ``repeatable = True``, since it may be readable only once; neither
    is a model with lazy parameters, which the first batch would initialize.

    Args:
        cfg: Config of the run.
        runner: The runner of the run, with its hooks, before the run.
        loaders: The loaders of all datasets by name.

    Raises:
        CfgTrainError: Something failed; a ``CheckError`` with everything if several parts failed.
    """
    errors: dict[str, CfgTrainError] = {}
    for error in _problems(cfg, runner, loaders):
        errors.setdefault(_cause_text(error), error)  # a layer that fails does so with each dataset
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        raise CheckError(f"The dry run found {len(errors)} problems.", list(errors.values()))


def _problems(cfg: Config, runner: BaseRunner, loaders: Mapping[str, Any]) -> Iterator[CfgTrainError]:
    model = runner.model
    used = used_parts(cfg)
    num_scores: int | None = None
    is_lazy = any(isinstance(each, UninitializedParameter) for each in model.parameters())
    if is_lazy:
        logger.info(
            "Dry run: the model is not tried, since its parameters are initialized by the first batch."
        )
    with _restored(model):
        for part, loader in loaders.items():
            if part not in used:
                continue
            if _is_unrepeatable(loader):
                logger.info("Dry run: data.%s is not tried, since a stream may be readable only once.", part)
                continue
            batch = None
            try:
                batch = _first_batch(cfg, part, loader)
                if is_lazy:
                    continue
                if part == "train":
                    _train(cfg, runner, batch)
                else:
                    num_scores = _predict(cfg, model, part, batch, dataset_of(loader)) or num_scores
            except CfgTrainError as error:
                yield _located(error, cfg, part)
            except (Exception, SystemExit) as error:  # of custom code or torch
                yield _failure(error, cfg, model, part, batch)
    if num_scores is not None:
        yield from _label_problems(cfg, loaders, num_scores)


def _first_batch(cfg: Config, part: str, loader: Any) -> Any:
    """Load a batch in the same way as the run will do, in a worker process if it uses some."""
    workers = min(1, loader.num_workers)
    dataset = dataset_of(loader)
    own = build_loader_of(
        cfg,
        part,
        dataset,
        workers_per_gpu=workers,
        persistent_workers=False,
        prefetch_factor=1,
        work_dir=None,
    )
    try:
        with closing(iter(own)) as batches:
            for batch in batches:
                return batch
    finally:
        own.close()
    raise DryRunError(f"data.{part} yields no batch.", **location(cfg.data, part))


def _train(cfg: Config, runner: BaseRunner, batch: Any) -> None:
    """Compute the loss of a batch and its gradients."""
    model: Any = runner.model
    model.train()
    steps = [hook for hook in runner.hooks if isinstance(hook, OptimizerHook)]
    device = next((each.device.type for each in model.parameters()), "cpu")
    # A model may step the optimizer itself, so it gets one that the run does not use.
    optimizer = build_optimizer(model, cfg.optimizer) if cfg.get("optimizer") else None
    with ExitStack() as precision:
        for hook in steps:
            if hook.dtype is not None:
                precision.enter_context(torch.autocast(device, dtype=hook.dtype))
        outputs = model.train_step(batch, optimizer)
    outputs = step_outputs(outputs, "train_step", type(unwrap_model(model)).__name__)
    loss = outputs.get("loss")
    if steps and loss is None:
        raise DryRunError(
            f"train_step of {type(unwrap_model(model)).__name__} returned a dict of {', '.join(map(repr, outputs)) or 'nothing'}, "
            "and no 'loss' to compute gradients of.",
            **location(cfg, "model"),
        )
    if steps and isinstance(loss, Tensor):
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


@dataclass
class _OneBatch:
    """A batch in place of a loader."""

    batch: Any
    dataset: Any

    def __iter__(self) -> Iterator[Any]:
        yield self.batch


def _predict(cfg: Config, model: nn.Module, part: str, batch: Any, dataset: Any) -> int | None:
    """Predict a batch and score it.

    Returns:
        The number of scores of each sample, or None if its prediction is not a vector.
    """
    _check_call(model, batch, part)
    configs, _ = evaluation_settings(cfg)
    metrics = build_metrics(configs) if configs is not None else None
    results = single_gpu_test(model, _OneBatch(batch, dataset), losses=LossSums(), metrics=metrics)
    size = _size(batch)
    if size is not None and len(results) != size:
        raise DryRunError(
            f"{type(unwrap_model(model)).__name__} returned {len(results)} predictions for a batch of {size} samples: "
            "with return_loss=False a model returns one prediction per sample."
        )
    if metrics is not None:
        metrics.compute()
    first = np.asarray(results[0]) if results else np.empty(())
    return len(first) if first.ndim == 1 else None


def _check_call(model: nn.Module, batch: Any, part: str) -> None:
    """Raise if ``forward`` of the model does not take what is passed to it for a prediction."""
    inner = unwrap_model(model)
    args, named = ((), dict(batch)) if isinstance(batch, Mapping) else (tuple(batch), {})
    signature = inspect.signature(inner.forward)
    try:
        signature.bind(*args, **named, return_loss=False)
    except TypeError as error:
        given = ", ".join([*map(str, named), *(["its items"] if args else []), "return_loss=False"])
        raise DryRunError(
            f"{type(inner).__name__}.forward{signature} cannot be called for a batch of data.{part} with {given}: "
            f"{error}.",
            hint="For a prediction, a model is called with the batch and return_loss=False.",
        ) from None


def _label_problems(cfg: Config, loaders: Mapping[str, Any], num_scores: int) -> Iterator[CfgTrainError]:
    """Find labels that are not the index of a score."""
    for part, loader in loaders.items():
        dataset = dataset_of(loader)
        labels = np.asarray(getattr(dataset, "labels", ()))
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or "classes" not in metainfo_of(dataset):
            continue
        wrong = np.flatnonzero((labels < 0) | (labels >= num_scores))
        if len(wrong):
            first = int(wrong[0])
            source = getattr(dataset, "source", None)
            sample = f"sample {first}" + (f" ({source(first)})" if callable(source) else "")
            more = f", and so are those of {len(wrong) - 1} others" if len(wrong) > 1 else ""
            yield DryRunError(
                f"The label {labels[first]} of {sample} of data.{part} is out of range{more}: the model has {num_scores} "
                f"scores per sample, for the labels 0 to {num_scores - 1}.",
                hint=f"Set the number of classes of the model to {int(labels.max()) + 1} or more.",
                **location(cfg, "model"),
            )


def _size(batch: Any) -> int | None:
    values = (
        batch.values()
        if isinstance(batch, Mapping)
        else batch
        if isinstance(batch, list | tuple)
        else [batch]
    )
    return next((len(each) for each in values if isinstance(each, Tensor | np.ndarray) and each.ndim), None)


def _is_unrepeatable(loader: Any) -> bool:
    dataset = getattr(loader, "dataset", None)
    return isinstance(dataset, IterableDataset) and not getattr(dataset, "repeatable", False)


def _failure(error: BaseException, cfg: Config, model: nn.Module, part: str, batch: Any) -> DryRunError:
    """Return the error for an exception that is not ours, which becomes its cause."""
    what = "A batch cannot be loaded" if batch is None else "The model cannot process a batch"
    place, *details = activity_lines(error, model, cfg) or [""]
    text = f"{type(error).__name__}: {error_text(error)}".rstrip(": .")
    failure = DryRunError(f"{what} of data.{part}: {text}.")
    if batch is None:
        _located(failure, cfg, part)
    if place:
        failure.add_note("\n  ".join([f"Raised by {place}", *details]))
    if batch is not None:
        failure.add_note(f"The batch has {batch_text(batch)}.")
    failure.__cause__ = error
    return failure


def _cause_text(error: CfgTrainError) -> str:
    """Return a text that is the same for two errors with the same cause."""
    if error.__cause__ is None:
        return str(error)
    return "\n".join([repr(error.__cause__), *getattr(error, "__notes__", ())[:1]])


def _located(error: CfgTrainError, cfg: Config, part: str) -> CfgTrainError:
    """Return an error of ours with its place, and the exit code of a run that was not started."""
    error.exit_code = ExitCode.USAGE
    if isinstance(error, TransformError):
        place_transform(error, cfg)
    if error.key is None and error.origin is None:
        place = location(cfg.data, part)
        error.origin, error.key = place["origin"], place["key"]
    return error


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    """Restore the parameters and buffers of a model, plain attributes of its modules, and the random states."""
    tensors = [
        each
        for each in (*model.parameters(), *model.buffers())
        if not isinstance(each, UninitializedParameter)
    ]
    values = [each.detach().clone() for each in tensors]
    plain = [(module, _plain_attributes(module)) for module in model.modules()]
    states = RandomState.capture()
    try:
        yield
    finally:
        RandomState.restore(states)
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for parameter in model.parameters():
            parameter.grad = None
        for module, attributes in plain:
            module.__dict__.update(attributes)  # such as a counter, and whether it is in training mode


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    return {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, bool | int | float | str | None)
    }
