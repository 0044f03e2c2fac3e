"""Measure the model of a config: output shapes, parameters, multiply-adds and memory of its layers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from cfgtrain.check import check_model
from cfgtrain.cnn.tools.measurement import LAYER_NOTE, Measurement, measure
from cfgtrain.config.config import Config
from cfgtrain.config.dict import disable_keys
from cfgtrain.data.batches import call_problem, tensors_in
from cfgtrain.data.builder import build_dataloader, build_dataset, loader_settings, parts_of
from cfgtrain.data.loader import empty_loader_error
from cfgtrain.errors import ArgumentError, CfgTrainError, ConfigKeyError, ConfigValueError
from cfgtrain.experiment.assembly import freeze_parts
from cfgtrain.origin import location
from cfgtrain.parallel.data import to_device
from cfgtrain.registries import MODELS
from cfgtrain.registry.projects import registry_for

__all__ = ["Input", "ModelSummary", "summarize_model"]

logger = logging.getLogger(__name__)


class Input(NamedTuple):
    """A tensor that the model was given.

    Attributes:
        name: Name of the argument, or ``""``.
        shape: Its shape, with the batch dimension.
        dtype: Such as ``"float32"``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


class ModelSummary(NamedTuple):
    """What the model of a config computes for one sample.

    Attributes:
        measured: By layer.
        inputs: The tensors that the model was given.
        part: The dataset that the sample is from, such as ``"test"``; None if the shape was given.
        weight_bytes: Memory of the parameters and buffers.
    """

    measured: Measurement
    inputs: list[Input]
    part: str | None
    weight_bytes: int


def summarize_model(cfg: Config, shape: Sequence[int] | None = None) -> ModelSummary:
    """Build the model of a config, and measure it on one sample in eval mode.

    The model is built on PyTorch's meta device, so that its weights need no memory and nothing is computed, and
    without loading weights. If it cannot be built or run in this way, it is built on the CPU. ``freeze`` is applied.

    Args:
        cfg: The config. Only ``model``, ``freeze`` and, without a shape, ``data`` are used.
        shape: Shape of the only input, without the batch dimension. By default a sample of the test dataset, or of
            the validation or training dataset if there is none, is given to the model as in an evaluation.

    Raises:
        CfgTrainError: The config is wrong.
        ArgumentError: The model cannot process the input, or needs other arguments.
    """
    check_model(cfg, data=shape is None)
    part, batch = (None, torch.zeros(1, *shape)) if shape is not None else _sample(cfg)
    try:
        return _summary(cfg, batch, part, "meta")
    except CfgTrainError:
        raise
    except Exception as error:  # of custom code, of any type
        text = "The model cannot be run on the meta device, so it is built on the CPU: %s: %s"
        logger.info(text, type(error).__name__, str(error).partition("\n")[0])
    try:
        return _summary(cfg, batch, part, "cpu")
    except CfgTrainError:
        raise
    except Exception as error:
        failed_layer = next(
            (each for each in getattr(error, "__notes__", ()) if each.startswith(LAYER_NOTE)), None
        )
        if failed_layer is None:
            raise
        shapes = ", ".join(str(each.shape) for each in _inputs(batch))
        reason = f"{type(error).__name__} {failed_layer}: {str(error).partition(chr(10))[0].rstrip('.')}"
        raise ArgumentError(f"The model cannot process an input of shape {shapes}: {reason}.") from error


def _summary(cfg: Config, batch: Any, part: str | None, device: str) -> ModelSummary:
    with torch.device(device):
        model = registry_for(cfg.model, MODELS).build(disable_keys(cfg.model, "pretrained"))
    freeze_parts(cfg, model)
    call = _call(model, to_device(batch, torch.device(device)), part)
    measured = measure(model, call, memory=True)
    return ModelSummary(measured, _inputs(batch), part, _bytes(model))


def _sample(cfg: Config) -> tuple[str, Any]:
    """Return the name of a dataset, and a batch with its first sample."""
    order = ("test", "val", "train")
    parts = sorted(parts_of(cfg), key=lambda part: order.index(part) if part in order else len(order))
    part = next((part for part in parts if cfg.data.get(part)), None)
    if part is None:
        raise ConfigKeyError("data has no dataset to take a sample from.", **location(cfg, "data"))
    own = {
        "samples_per_gpu": 1,
        "workers_per_gpu": 0,
        "shuffle": False,
        "drop_last": False,
        "pin_memory": False,
    }
    settings = {**loader_settings(cfg.data, part), **own}
    loader = build_dataloader(build_dataset(cfg.data[part]), **settings)
    for batch in loader:
        return part, batch
    raise ConfigValueError(
        f"data.{part} is empty. {empty_loader_error(loader).message}", **location(cfg.data, part)
    )


def _call(model: nn.Module, given: Any, part: str | None) -> Callable[[], Any]:
    """Return a function that calls the model in eval mode.

    Raises:
        ArgumentError: Its ``forward`` has other arguments.
    """
    if part is None and hasattr(model, "forward_dummy"):  # of detectors written for MMCV
        return lambda: model.forward_dummy(given)  # type: ignore[operator]  # a method
    names = inspect.signature(model.forward).parameters
    named = dict(given) if isinstance(given, Mapping) else {}
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in names.values())
    items = tuple(given) if isinstance(given, list | tuple) else (given,)
    args = () if isinstance(given, Mapping) else items
    kwargs = {
        name: value for name, value in {**named, "return_loss": False}.items() if open_ended or name in names
    }
    problem = call_problem(model.forward, args, **kwargs)
    of = f"{type(model).__name__}.forward"
    if problem is not None and part is None:
        raise ArgumentError(
            f"{of} cannot be called with one tensor: {problem}.",
            hint="Leave out --shape to call the model with a sample of the data.",
        )
    if problem is not None:
        raise ArgumentError(
            f"{of} cannot be called with a sample of data.{part}, which has {_parts(given)}: {problem}.",
            hint="If it needs only one tensor, give its shape with --shape.",
        )
    return lambda: model(*args, **kwargs)


def _parts(batch: Any) -> str:
    if isinstance(batch, list | tuple):
        return f"{len(batch)} items"
    return ", ".join(map(str, batch)) if isinstance(batch, Mapping) and batch else "no names"


def _inputs(batch: Any) -> list[Input]:
    return [
        Input(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors_in(batch)
    ]


def _bytes(model: nn.Module) -> int:
    tensors = (*model.parameters(), *model.buffers())
    return sum(
        each.numel() * each.element_size()
        for each in tensors
        if not isinstance(each, nn.parameter.UninitializedParameter)
    )
