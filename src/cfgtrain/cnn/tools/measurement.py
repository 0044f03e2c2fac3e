"""Measuring what the layers of a model compute: output shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _MaxPoolNd,
)  # fmt: skip
from torch.utils.flop_counter import FlopCounterMode

from cfgtrain.cnn.bricks.activation import Clamp, HSigmoid, Swish
from cfgtrain.cnn.tools.modes import eval_mode

__all__ = ["LAYER_NOTE", "Layer", "Measurement", "measure", "numel"]


# Begins the note of an exception that a forward pass raises.
LAYER_NOTE = "in the layer"


@dataclass
class Layer:
    """What one module computes in one forward pass, without the modules inside it.

    Attributes:
        name: Its name in the model; ``""`` for the model.
        module: The module.
        calls: How often it was called.
        outputs: Shapes of the tensors that the last call returned.
        params: Number of its parameters. A parameter that several modules share counts in the first of them.
        trainable: Number of those that are trained.
        flops: Multiply-adds.
        memory: Bytes of the tensors that autograd keeps for the backward pass.
    """

    name: str
    module: nn.Module
    calls: int = 0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    params: int = 0
    trainable: int = 0
    flops: int = 0
    memory: int = 0


class Measurement:
    """What the modules of a model compute in one forward pass.

    Attributes:
        layers: By name in the model, in the order of its modules; the model itself is ``""``.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layers = {name: Layer(name, module) for name, module in model.named_modules()}
        counted: set[nn.Parameter] = set()
        for layer in self.layers.values():
            own = {*layer.module.parameters(recurse=False)} - counted
            counted |= own
            layer.params = sum(map(numel, own))
            layer.trainable = sum(numel(each) for each in own if each.requires_grad)

    def total(self, name: str = "") -> Layer:
        """Return the sums for a module and those inside it."""
        layer, inside = self.layers[name], self._inside(name)
        return Layer(
            name,
            layer.module,
            layer.calls,
            layer.outputs,
            params=sum(each.params for each in inside),
            trainable=sum(each.trainable for each in inside),
            flops=sum(each.flops for each in inside),
            memory=sum(each.memory for each in inside),
        )

    def is_used(self, name: str) -> bool:
        """Return whether a module or one inside it was called."""
        return any(each.calls for each in self._inside(name))

    def _inside(self, name: str) -> list[Layer]:
        prefix = f"{name}." if name else ""
        return [each for path, each in self.layers.items() if path == name or path.startswith(prefix)]


def measure(model: nn.Module, call: Callable[[], Any], *, memory: bool = False) -> Measurement:
    """Run a forward pass in eval mode, and measure every module.

    Multiply-adds are counted by module, as in MMCV, where there is a rule: for convolutions, linear layers,
    normalizations, elementwise activations, poolings and ``nn.Upsample``, and for their subclasses. In all other
    modules those of the matrix products, convolutions and attentions that their own ``forward`` calls count, as
    PyTorch's ``FlopCounterMode`` does. Everything works on the meta device, where nothing is computed.

    Args:
        model: The model. Nothing of it is changed: its mode is restored, and no hook stays. But lazy layers create
            their parameters.
        call: Runs the forward pass of the model.
        memory: Whether to measure the memory that the backward pass needs, too.

    Raises:
        Exception: What the forward pass raises, with a note of the layer.
    """
    if any(isinstance(each, nn.parameter.UninitializedParameter) for each in model.parameters()):
        _measure(model, call, memory=False)
    return _measure(model, call, memory=memory)


def _measure(model: nn.Module, call: Callable[[], Any], *, memory: bool) -> Measurement:
    result = Measurement(model)
    by_module = {layer.module: layer for layer in result.layers.values()}
    counter = FlopCounterMode(display=False, custom_mapping=_UNCOUNTED)
    frames: list[_Frame] = []

    def enter(module: nn.Module, *_: Any) -> None:
        frames.append(_Frame(by_module[module], counter.get_total_flops()))

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        frame, total = frames.pop(), counter.get_total_flops()
        inclusive = total - frame.flops_before
        if frames:
            frames[-1].flops_inside += inclusive
        layer, outputs = frame.layer, list(_tensors(output))
        layer.calls += 1
        layer.outputs = [tuple(each.shape) for each in outputs]
        rule = _rule(module)
        given = next(_tensors([args, kwargs]), None)
        if rule is None or given is None or not outputs:
            layer.flops += (inclusive - frame.flops_inside) // 2
        else:
            layer.flops += rule(module, given, outputs[0])

    with ExitStack() as stack:
        stack.enter_context(eval_mode(model))
        stack.enter_context(_no_fast_path())
        for module in by_module:
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave, with_kwargs=True).remove)
        stack.enter_context(torch.set_grad_enabled(memory))
        if memory:
            stack.enter_context(
                _saved_memory(model, lambda: frames[-1].layer if frames else by_module[model])
            )
        try:
            with counter:
                output = call()
        except Exception as error:
            if frames and frames[-1].layer.name:
                layer = frames[-1].layer
                error.add_note(f"{LAYER_NOTE} {layer.name} ({type(layer.module).__name__})")
            raise
        del output
    return result


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Return the FLOPs of an attention for shapes (B, heads, L, dims)."""
    batch, heads, length, dims = map(int, query)
    return 2 * batch * heads * length * int(key[2]) * (dims + int(value[3]))


# What FlopCounterMode does not count, at least in some versions.
_UNCOUNTED = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


@dataclass
class _Frame:
    """A call of a module that has not returned."""

    layer: Layer
    flops_before: int
    flops_inside: int = 0  # of the modules that it calls


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """Turn off the fused kernels of ``nn.MultiheadAttention``, whose operations cannot be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _saved_memory(model: nn.Module, current: Callable[[], Layer]) -> Iterator[None]:
    """Add the memory of each tensor that autograd saves, except parameters and buffers, to the current layer."""
    known = {_reference(each) for each in (*model.parameters(), *model.buffers())}

    def pack(tensor: Tensor) -> Tensor:
        reference = _reference(tensor)
        if reference not in known:
            known.add(reference)
            current().memory += tensor.untyped_storage().nbytes()
        return tensor.detach()  # keeps the storage, so that no other gets its address

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield


def _reference(tensor: Tensor) -> StorageWeakRef:
    """Return a key that is equal for tensors that share their memory."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def numel(parameter: Tensor) -> int:
    """Return the number of elements of a parameter; 0 for one of a lazy module that has no shape yet."""
    return 0 if isinstance(parameter, nn.parameter.UninitializedParameter) else parameter.numel()


def _conv(module: Any, given: Tensor, out: Tensor) -> int:
    """Per output position: kernel size * input channels * output channels / groups, and one for a bias."""
    positions = out.numel() // int(module.out_channels)
    return _products(module) * positions + out.numel() * (module.bias is not None)


def _conv_transposed(module: Any, given: Tensor, out: Tensor) -> int:
    """As for convolutions, but per input position; the bias per output position."""
    positions = given.numel() // int(module.in_channels)
    return _products(module) * positions + out.numel() * (module.bias is not None)


def _products(module: Any) -> int:
    kernel: tuple[int, ...] = module.kernel_size
    return prod(kernel) * int(module.in_channels) * int(module.out_channels // module.groups)


def _linear(module: Any, given: Tensor, out: Tensor) -> int:
    """Inputs * output features; a bias is not counted."""
    return given.numel() * int(module.out_features)


def _norm(module: Any, given: Tensor, out: Tensor) -> int:
    """One per input, and another one with a weight."""
    return given.numel() * (1 if getattr(module, "weight", None) is None else 2)


def _per_input(module: Any, given: Tensor, out: Tensor) -> int:
    return given.numel()


def _per_output(module: Any, given: Tensor, out: Tensor) -> int:
    return out.numel()


_ACTIVATIONS = (
    Clamp,
    HSigmoid,
    Swish,
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid,
    nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.RReLU, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink,
    nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_POOLS = (_MaxPoolNd, _AvgPoolNd, _AdaptiveMaxPoolNd, _AdaptiveAvgPoolNd)

# Rules for the multiply-adds of one call, by base class: (module, its first input, its first output).
_RULES: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], int]] = {
    _ConvTransposeNd: _conv_transposed,
    _ConvNd: _conv,
    nn.Linear: _linear,
    nn.Upsample: _per_output,
    **dict.fromkeys(_NORMS, _norm),
    **dict.fromkeys(_POOLS, _per_input),
    **dict.fromkeys(_ACTIVATIONS, _per_output),
}


def _rule(module: nn.Module) -> Callable[[Any, Tensor, Tensor], int] | None:
    return next((_RULES[base] for base in type(module).__mro__ if base in _RULES), None)
