"""Padding layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from cfgtrain.arguments import check_integer, check_numbers, check_type
from cfgtrain.cnn.bricks.builder import build_layer
from cfgtrain.errors import ArgumentError, UnknownNameError
from cfgtrain.registries import PADDING_LAYERS
from cfgtrain.registry.registry import construct, resolve_cfg

__all__ = ["build_padding_layer"]

# What a registered name means for inputs with 1, 2 and 3 spatial dimensions.
_LAYERS = {
    "zero": (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
    "reflect": (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    "replicate": (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
}
for _name, _layers in _LAYERS.items():
    PADDING_LAYERS.register_module(_name, module=_layers[1])


def build_padding_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Build a padding layer.

    Args:
        cfg: Config with a ``type`` and further arguments. Not changed.
        *args: Arguments of the layer, such as the padding in pixels.
        **kwargs: Likewise; the config must not contain them.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping.
        UnknownNameError: The type is not registered, or missing.
        BuildError: The arguments do not fit the layer, or the config has one of the calling code.
    """
    layer: nn.Module = build_layer(cfg, PADDING_LAYERS, *args, **kwargs)
    return layer


def explicit_padding_layer(mode: str, padding: int | Sequence[int] | str, conv: Any) -> nn.Module:
    """Build the layer that pads the input of a convolution, which then does not pad itself.

    PyTorch's layers are chosen by the number of spatial dimensions of the convolution. A custom layer gets the
    padding as they do: an int, or (left, right, top, bottom) if the sides differ.

    Args:
        mode: A name of the padding layers.
        padding: The padding of a convolution: pixels on both sides, an int or one for each dimension; or
            ``"same"`` or ``"valid"``.
        conv: The convolution.

    Raises:
        UnknownNameError: The mode is unknown.
        ArgumentError: ``padding`` does not fit the convolution.
    """
    check_type("padding_mode", mode, str, "a str")
    cfg = {"type": mode}
    try:
        target, _ = resolve_cfg(cfg, PADDING_LAYERS)
    except UnknownNameError as error:
        error.argument = ("padding_mode",)
        raise
    dimensions = len(conv.kernel_size) if isinstance(conv.kernel_size, tuple) else 2
    sides = _sides(padding, conv, dimensions)
    target = next((layers[dimensions - 1] for layers in _LAYERS.values() if target in layers), target)
    layer: nn.Module = construct(target, {}, cfg, (sides[0] if len(set(sides)) == 1 else sides,))
    return layer


def _sides(padding: int | Sequence[int] | str, conv: Any, dimensions: int) -> tuple[int, ...]:
    """Return the pixels on each side, (left, right, top, bottom) for 2 dimensions."""
    if padding == "same":
        if any(step != 1 for step in conv.stride):
            raise ArgumentError("padding='same' needs a stride of 1.", argument="padding")
        totals = [d * (k - 1) for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
        pairs = [(total // 2, total - total // 2) for total in totals]
    elif padding == "valid":
        pairs = [(0, 0)] * dimensions
    elif isinstance(padding, int):
        pixels = check_integer("padding", padding, 0)
        pairs = [(pixels, pixels)] * dimensions
    else:
        each = check_numbers("padding", padding, dimensions, integers=True, minimum=0)
        pairs = [(int(side), int(side)) for side in each]
    return tuple(side for pair in reversed(pairs) for side in pair)


def same_padding(
    size: Sequence[int], kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """Return the pixels to add to each dimension so that a convolution returns ceil(size / stride).

    Args:
        size: Spatial size of the input, such as (H, W).
        kernel_size: Of the convolution, for each dimension, like those that follow.
        stride: Its step in pixels.
        dilation: Distance of its taps in pixels.
    """
    return [
        max((-(-length // s) - 1) * s + (k - 1) * d + 1 - length, 0)
        for length, k, s, d in zip(size, kernel_size, stride, dilation, strict=True)
    ]
