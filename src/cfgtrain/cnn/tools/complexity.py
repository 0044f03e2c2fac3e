"""The number of multiply-adds and parameters of a model, as MMCV counts them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TextIO, overload

import torch
from torch import nn

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.cnn.tools.measurement import Measurement, measure
from cfgtrain.errors import ArgumentError

__all__ = ["flops_to_string", "get_model_complexity_info", "params_to_string"]

_FLOPS = {"GFLOPs": 10**9, "MFLOPs": 10**6, "KFLOPs": 10**3}
_PARAMS = {"M": 10**6, "K": 10**3}


@overload
def get_model_complexity_info(
    model: nn.Module,
    input_shape: Sequence[int],
    print_per_layer_stat: bool = ...,
    as_strings: Literal[True] = ...,
    input_constructor: Callable[[Any], dict[str, Any]] | None = ...,
    flush: bool = ...,
    ost: TextIO | None = ...,
) -> tuple[str, str]: ...


@overload
def get_model_complexity_info(
    model: nn.Module,
    input_shape: Sequence[int],
    print_per_layer_stat: bool = ...,
    *,
    as_strings: Literal[False],
    input_constructor: Callable[[Any], dict[str, Any]] | None = ...,
    flush: bool = ...,
    ost: TextIO | None = ...,
) -> tuple[float, int]: ...


def get_model_complexity_info(
    model: nn.Module,
    input_shape: Sequence[int],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[Any], dict[str, Any]] | None = None,
    flush: bool = False,
    ost: TextIO | None = None,
) -> tuple[str, str] | tuple[float, int]:
    """Count the multiply-adds and the trainable parameters of a model.

    "FLOPs" are multiply-adds, of one sample, counted as in MMCV:

    - convolutions: kernel size * input channels * output channels / groups per output position (per input
      position if they are transposed), and 1 per output for a bias;
    - linear layers: inputs * output features, without the bias;
    - normalizations: 1 per input, 2 with a weight;
    - poolings: 1 per input; elementwise activations and ``nn.Upsample``: 1 per output.

    Subclasses of these layers count likewise, and other activations than ReLU and its variants too, which MMCV
    does not count. In every other module, such as an attention, the matrix products, convolutions and attentions
    of its own ``forward`` count, as ``torch.utils.flop_counter`` does.

    The model runs once in eval mode, without gradients, and is not changed. On the meta device nothing is
    computed or allocated: ``with torch.device("meta"): model = ...``.

    Args:
        model: The model.
        input_shape: Shape of the input of one sample, such as (3, 224, 224).
        print_per_layer_stat: Whether to print the model with the numbers of each module.
        as_strings: Whether the result is as text, in GFLOPs and with a unit.
        input_constructor: Returns the keyword arguments of the model for ``input_shape``; by default its only
            argument is a float tensor with a batch dimension of 1 in front.
        flush: Whether to flush the output.
        ost: Where to print; by default ``sys.stdout``.

    Returns:
        The multiply-adds and the number of trainable parameters.

    Raises:
        ArgumentError: ``input_shape`` is not a sequence of positive integers.
    """
    if not isinstance(input_shape, tuple | list) or not input_shape:
        raise ArgumentError(
            f"input_shape must be a tuple such as (3, 224, 224), not {input_shape!r}.", argument="input_shape"
        )
    args, kwargs, batch = _inputs(model, input_shape, input_constructor)
    measured = measure(model, lambda: model(*args, **kwargs))
    total = measured.total()
    flops, params = total.flops / batch, total.trainable
    if print_per_layer_stat:
        print("\n".join(_described(measured, batch)), file=ost or sys.stdout, flush=flush)
    return (flops_to_string(flops), params_to_string(params)) if as_strings else (flops, params)


def flops_to_string(flops: float, units: str | None = "GFLOPs", precision: int = 2) -> str:
    """Return a number of FLOPs as text, such as ``"4.12 GFLOPs"``.

    Args:
        flops: The number.
        units: ``"GFLOPs"``, ``"MFLOPs"``, ``"KFLOPs"`` or ``"FLOPs"``; None chooses one by the size.
        precision: Number of digits after the point.

    Raises:
        ArgumentError: The unit is unknown.
    """
    check_choice("units", units, (None, *_FLOPS, "FLOPs"))
    if units is None:
        units = next((unit for unit, size in _FLOPS.items() if flops >= size), "FLOPs")
    return f"{round(flops / _FLOPS[units], precision) if units in _FLOPS else flops} {units}"


def params_to_string(num_params: float, units: str | None = None, precision: int = 2) -> str:
    """Return a number of parameters as text, such as ``"25.56 M"``.

    Args:
        num_params: The number.
        units: ``"M"``, ``"K"`` or ``""``; None chooses one by the size, and writes thousands as ``k``.
        precision: Number of digits after the point.

    Raises:
        ArgumentError: The unit is unknown.
    """
    check_choice("units", units, (None, *_PARAMS, ""))
    if units is None:
        units = next((unit for unit, size in _PARAMS.items() if num_params >= size), "")
        return params_to_string(num_params, units, precision).replace("K", "k")
    return f"{round(num_params / _PARAMS[units], precision)} {units}" if units else str(num_params)


def _inputs(
    model: nn.Module, shape: Sequence[int], constructor: Callable[[Any], dict[str, Any]] | None
) -> tuple[tuple[Any, ...], dict[str, Any], int]:
    """Return the arguments of the model, and the number of samples in them."""
    if constructor is not None:
        kwargs = constructor(shape)
        tensors = [each for each in kwargs.values() if isinstance(each, torch.Tensor) and each.dim()]
        return (), kwargs, len(tensors[0]) if tensors else 1
    sizes = [check_integer(f"input_shape[{i}]", size, 1) for i, size in enumerate(shape)]
    first = next((each for each in model.parameters() if each.is_floating_point()), torch.empty(0))
    return (torch.zeros(1, *sizes, dtype=first.dtype, device=first.device),), {}, 1


def _described(measured: Measurement, batch: int, name: str = "") -> Iterator[str]:
    """Yield the lines of a module's repr with its numbers in front of its own description."""
    whole, part = measured.total(), measured.total(name)
    module = part.module
    statistics = ", ".join(
        [
            params_to_string(part.trainable, "M", 3),
            f"{_share(part.trainable, whole.trainable):.3%} Params",
            flops_to_string(part.flops / batch, "GFLOPs", 3),
            f"{_share(part.flops, whole.flops):.3%} FLOPs",
            module.extra_repr(),
        ]
    )
    kind = type(module).__name__
    children = list(module.named_children())
    if not children:
        yield f"{kind}({statistics})"
        return
    yield f"{kind}("
    yield f"  {statistics}"
    prefix = f"{name}." if name else ""
    for child_name, child in children:
        path = next((path for path, layer in measured.layers.items() if layer.module is child), prefix)
        first, *others = _described(measured, batch, path)
        yield f"  ({child_name}): {first}"
        yield from (f"  {line}" for line in others)
    yield ")"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
