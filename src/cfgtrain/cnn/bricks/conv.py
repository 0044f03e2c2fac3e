"""Convolution layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from cfgtrain.cnn.bricks.builder import build_layer
from cfgtrain.registries import CONV_LAYERS

__all__ = ["build_conv_layer"]

CONV_LAYERS.register_module("Conv1d", module=nn.Conv1d)
CONV_LAYERS.register_module("Conv2d", module=nn.Conv2d)


def build_conv_layer(cfg: Mapping[str, Any] | None, *args: Any, **kwargs: Any) -> nn.Module:
    """Build a convolution layer.

    Args:
        cfg: Config with a ``type`` and further arguments, or None for ``Conv2d``. Not changed.
        *args: Arguments of the layer, such as its channels and kernel size.
        **kwargs: Likewise; the config must not contain them.

    Raises:
        ArgumentTypeError: ``cfg`` is neither a mapping nor None.
        UnknownNameError: The type is not registered, or missing.
        BuildError: The arguments do not fit the layer, or the config has one of the calling code.
    """
    layer: nn.Module = build_layer({"type": "Conv2d"} if cfg is None else cfg, CONV_LAYERS, *args, **kwargs)
    return layer
