"""Plugin layers: modules that can be added to the stages of a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from cfgtrain.cnn.bricks.builder import build_layer, layer_name, own_abbreviation
from cfgtrain.registries import PLUGIN_LAYERS

__all__ = ["build_plugin_layer"]


def infer_abbr(class_type: type) -> str:
    """Return the abbreviation of a plugin class, by which its layers are named.

    It is the attribute ``_abbr_`` of the class if there is one, else the name of the class in snake case:
    ``fancy_block`` for ``FancyBlock``, ``se_block`` for ``SEBlock``.

    Args:
        class_type: The class.

    Raises:
        ArgumentTypeError: It is not a class.
    """
    own = own_abbreviation(class_type)
    if own is not None:
        return own
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_type.__name__).lower()


def build_plugin_layer(
    cfg: Mapping[str, Any], postfix: int | str = "", **kwargs: Any
) -> tuple[str, nn.Module]:
    """Build a plugin layer, and name it.

    Args:
        cfg: Config with a ``type`` and further arguments. Not changed.
        postfix: Is appended to the name.
        **kwargs: Arguments of the layer, such as its channels; the config must not contain them.

    Returns:
        The name, the abbreviation of the class and ``postfix``, such as ``"context_block1"``; and the layer.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping, or ``postfix`` neither an int nor a str.
        UnknownNameError: The type is not registered, or missing.
        BuildError: The arguments do not fit the layer, or the config has one of the calling code.
    """
    layer_name("", postfix)  # checks it before anything is built
    layer: nn.Module = build_layer(cfg, PLUGIN_LAYERS, **kwargs)
    return layer_name(infer_abbr(type(layer)), postfix), layer
