"""Try one batch of each dataset before a run: what is wrong with the data, the model and its scores shows at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils.data import IterableDataset

from cfgtrain.config.config import Config
from cfgtrain.data.batches import batch_text
from cfgtrain.errors import CfgTrainError, CheckError, DryRunError
from cfgtrain.evaluation.inference import single_gpu_test
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.activity import activity_lines
from cfgtrain.experiment.assembly import build_loader_of, used_parts
from cfgtrain.optim.builder import build_optimizer
from cfgtrain.origin import location
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.random_state import RandomState
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.optimizer import OptimizerHook

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
                    _predict(model, batch)
            except CfgTrainError as error:
                yield _located(error, cfg, part)
            except (Exception, SystemExit) as error:  # of custom code or torch
                yield _failure(error, cfg, model, part, batch)


def _first_batch(cfg: Config, part: str, loader: Any) -> Any:
    """Load a batch in the same way as the run will do, in a worker process if it uses some."""
    dataset = getattr(getattr(loader, "seeded", loader), "dataset", loader.dataset)
    own = build_loader_of(
        cfg, part, dataset, workers_per_gpu=min(1, loader.num_workers), persistent_workers=False
    )
    batches = iter(own)
    try:
        for batch in batches:
            return batch
    finally:
        if hasattr(batches, "close"):
            batches.close()
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
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if not isinstance(outputs, Mapping) or (steps and loss is None):
        got = (
            f"a dict of {', '.join(map(repr, outputs)) or 'nothing'}"
            if isinstance(outputs, Mapping)
            else repr(outputs)
        )
        raise DryRunError(
            f"train_step of {type(unwrap_model(model)).__name__} returned {got}, "
            "and must return a dict with the loss, a tensor: {'loss': loss}.",
            **location(cfg, "model"),
        )
    if steps and isinstance(loss, Tensor):
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _predict(model: nn.Module, batch: Any) -> None:
    results = single_gpu_test(model, [batch])
    size = _size(batch)
    if size is not None and len(results) != size:
        raise DryRunError(
            f"{type(unwrap_model(model)).__name__} returned {len(results)} predictions for a batch of {size} samples: "
            "with return_loss=False a model returns one prediction per sample."
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
    text = f"{type(error).__name__}: {str(error).strip()}".rstrip(": .")
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
