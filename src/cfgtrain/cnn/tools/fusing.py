"""Fusing batch normalizations into the convolutions before them."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections import Counter
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils import parametrize

from cfgtrain.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from cfgtrain.cnn.bricks.conv_module import ConvModule
from cfgtrain.cnn.tools.modes import eval_mode

__all__ = ["fuse_conv_bn"]

logger = logging.getLogger(__name__)

_CONVS = (
    Conv2dAdaptivePadding,
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def fuse_conv_bn(module: nn.Module) -> nn.Module:
    """Fold each batch normalization into the convolution before it, for a faster inference.

    The result is what the model computes in eval mode; it is not meant to be trained. The batch normalizations
    are replaced by ``nn.Identity``, so that the names of the other layers stay; a ``ConvModule`` then has no
    ``norm``.

    Which layers follow each other is read from the ``forward`` methods, which are traced with ``torch.fx``, not
    from the order in which the layers are defined. A convolution is left as it is where folding would be wrong:
    if anything else uses its output or its weights, if it is called more than once, if it computes its weights
    (``ConvWS``, spectral norm), or if the batch normalization has no running statistics. The layers of a
    module whose ``forward`` cannot be traced, because it depends on the data, are left with a warning in the
    log; the modules inside it are taken to be called as a whole. Transposed convolutions are folded too.

    Args:
        module: The model; changed in place. In training mode, a warning is issued.

    Returns:
        The same model.
    """
    with eval_mode(module):
        pairs = _find_pairs(module)
    if any(pair.bn.training for pair in pairs):
        warnings.warn(
            "fuse_conv_bn: the model is in training mode. Its fused layers compute what it computes in eval mode.",
            stacklevel=2,
        )
    for pair in pairs:
        _fuse_conv_bn(pair.conv, pair.bn)
        _replace(module, pair.bn)
    for each in module.modules():
        if isinstance(each, ConvModule) and isinstance(each.norm, nn.Identity):
            each.norm_cfg, each.norm_name = None, None
            each.with_norm, each.with_bias = False, True
    return module


class Pair(NamedTuple):
    """A convolution, and the batch normalization that alone uses its output."""

    conv: _ConvNd
    bn: _BatchNorm


def _fuse_conv_bn(conv: _ConvNd, bn: _BatchNorm) -> _ConvNd:
    """Fold a batch normalization with running statistics into a convolution, in place, and return it."""
    mean, var = cast("Tensor", bn.running_mean), cast("Tensor", bn.running_var)
    weight = conv.weight.detach()  # (out, in / groups, ...); transposed (in, out / groups, ...)
    dtype = torch.promote_types(weight.dtype, torch.float32)
    scale = torch.rsqrt(var.to(dtype) + bn.eps)  # (out,)
    shift = -mean.to(dtype) * scale
    if bn.weight is not None:
        scale, shift = scale * bn.weight.detach(), shift * bn.weight.detach()
    if bn.bias is not None:
        shift = shift + bn.bias.detach()
    if conv.bias is not None:
        shift = shift + conv.bias.detach() * scale
    scaled = _scaled(weight.to(dtype), scale, conv)
    conv.weight = nn.Parameter(scaled.to(weight.dtype), conv.weight.requires_grad)
    conv.bias = nn.Parameter(shift.to(weight.dtype), conv.weight.requires_grad)
    return conv


def _scaled(weight: Tensor, scale: Tensor, conv: _ConvNd) -> Tensor:
    """Return the weight with each output channel multiplied by its scale."""
    if not isinstance(conv, _ConvTransposeNd):
        return weight * scale.view(-1, *[1] * (weight.dim() - 1))
    grouped = weight.reshape(conv.groups, -1, *weight.shape[1:])  # (groups, in / groups, out / groups, ...)
    by_group = scale.view(conv.groups, 1, -1, *[1] * (weight.dim() - 2))
    return (grouped * by_group).reshape(weight.shape)


def _replace(model: nn.Module, bn: nn.Module) -> None:
    for parent in model.modules():
        for name, child in list(parent._modules.items()):  # under every name that it has
            if child is bn:
                setattr(parent, name, nn.Identity().train(bn.training))


def _find_pairs(model: nn.Module) -> list[Pair]:
    """Return the pairs that can be fused, as the ``forward`` methods of all modules use them."""
    calls: Counter[nn.Module] = Counter()
    with_used_weights: set[nn.Module] = set()
    found: list[Pair] = []
    waiting, seen = [model], {model}
    while waiting:
        module = waiting.pop()
        graph = _trace(module)
        called = list(module.children()) if graph is None else _called(module, graph)
        waiting += [each for each in called if each not in seen]
        seen.update(called)
        if graph is None:
            continue
        layers = {node: _layer(module, node) for node in graph.nodes}
        for node, layer in layers.items():
            if node.op == "call_module" and layer is not None:
                calls[layer] += 1
            elif layer is not None:
                with_used_weights.add(layer)
            if node.op == "call_module" and isinstance(layer, _BatchNorm) and len(node.all_input_nodes) == 1:
                source = node.all_input_nodes[0]
                conv = layers[source]
                if source.op == "call_module" and isinstance(conv, _ConvNd) and len(source.users) == 1:
                    found.append(Pair(conv, layer))
    return [
        pair
        for pair in found
        if all(calls[layer] == 1 and layer not in with_used_weights for layer in pair) and _fits(pair)
    ]


def _fits(pair: Pair) -> bool:
    """Return whether two layers are what they seem: they run PyTorch's own code on their weights."""
    conv, bn = pair
    base = next((base for base in _CONVS if isinstance(conv, base)), None)
    if base is None or not _inherits(conv, base, "forward", "_conv_forward", "__call__"):
        return False
    if any(getattr(layer, hooks) for layer in pair for hooks in _HOOKS) or any(
        map(parametrize.is_parametrized, pair)
    ):
        return False
    plain = nn.SyncBatchNorm if isinstance(bn, nn.SyncBatchNorm) else _BatchNorm
    if not _inherits(bn, plain, "forward", "__call__"):
        return False
    return (
        bn.running_mean is not None
        and bn.running_var is not None
        and bn.num_features == conv.out_channels
        and not isinstance(conv.weight, nn.parameter.UninitializedParameter)
    )


def _inherits(layer: nn.Module, base: type[nn.Module], *methods: str) -> bool:
    return all(getattr(type(layer), name, None) is getattr(base, name, None) for name in methods) and not (
        vars(layer).keys() & {*methods}
    )


class _Tracer(fx.Tracer):
    """Traces the ``forward`` of one module, without looking into the modules that it calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _trace(module: nn.Module) -> fx.Graph | None:
    """Return the calls in a module's ``forward`` with default arguments, or None if it cannot be traced."""
    if next(module.children(), None) is None or type(module).forward is nn.Module.forward:
        return None
    parameters = inspect.signature(module.forward).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
    try:
        return _Tracer().trace(module, defaults)
    except Exception as error:  # a forward may do anything with its inputs
        layers = list(module.children())
        if any(isinstance(each, _ConvNd) for each in layers) and any(
            isinstance(each, _BatchNorm) for each in layers
        ):
            logger.warning(
                "The layers of %s are not fused, because its forward cannot be traced: %s: %s",
                type(module).__name__, type(error).__name__, str(error).split("\n")[0],
            )  # fmt: skip
        return None


def _called(module: nn.Module, graph: fx.Graph) -> list[nn.Module]:
    found = [_layer(module, node) for node in graph.nodes if node.op == "call_module"]
    return list(dict.fromkeys(layer for layer in found if layer is not None))


def _layer(module: nn.Module, node: fx.Node) -> nn.Module | None:
    """Return the layer that a node calls or reads a weight of, or None."""
    path = str(node.target)
    if node.op == "get_attr":
        path = path.rpartition(".")[0]
    elif node.op != "call_module":
        return None
    layer: Any = module
    for name in filter(None, path.split(".")):
        layer = getattr(layer, name, None)
    return layer if isinstance(layer, nn.Module) else None
