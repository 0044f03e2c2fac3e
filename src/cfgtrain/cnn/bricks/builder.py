"""Building layers from configs: what all the ``build_<kind>_layer`` functions share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from cfgtrain.errors import ArgumentTypeError
from cfgtrain.registry.registry import Registry, construct, resolve_cfg

__all__ = ["build_layer", "check_cfg", "layer_name", "own_abbreviation"]


def build_layer(cfg: Any, registry: Registry, *args: Any, **kwargs: Any) -> Any:
    """Build a layer from a config and arguments of the calling code.

    Args:
        cfg: A mapping with ``type`` (a registered name, an import path, a class or a function); its
            other items are arguments. Not changed.
        registry: The registry in which a name is looked up.
        *args: Arguments of the layer that come from the calling code, such as its channels.
        **kwargs: Likewise; the config must not contain them.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping.
        UnknownNameError: No registry has the name, or ``cfg`` has no ``type``.
        BuildError: The arguments do not fit the signature, or ``cfg`` has one of the calling code.
        Exception: Any exception from the constructor, with a note with the location in the config.
    """
    target, settings = resolve_cfg(cfg, registry)
    return construct(target, settings, cfg, args, kwargs)


def check_cfg(name: str, cfg: object) -> None:
    """Raise if an argument is neither a config of a layer nor None.

    Args:
        name: Name of the argument.
        cfg: Its value.

    Raises:
        ArgumentTypeError: It is neither a mapping nor None.
    """
    if cfg is not None and not isinstance(cfg, Mapping):
        raise ArgumentTypeError(f"{name} must be a dict with a type, or None, not {cfg!r}.", argument=name)


def layer_name(abbreviation: str, postfix: object) -> str:
    """Return the name of a layer in the module that contains it, such as ``"bn1"``.

    Args:
        abbreviation: The abbreviation of its class.
        postfix: What is appended, an int or a str.

    Raises:
        ArgumentTypeError: ``postfix`` is neither an int nor a str.
    """
    if not isinstance(postfix, int | str):
        raise ArgumentTypeError(f"postfix must be an int or a str, not {postfix!r}.", argument="postfix")
    return f"{abbreviation}{postfix}"


def own_abbreviation(class_type: type) -> str | None:
    """Return the attribute ``_abbr_`` of the class of a layer, or None if it has none.

    Raises:
        ArgumentTypeError: ``class_type`` is not a class.
    """
    if not inspect.isclass(class_type):
        raise ArgumentTypeError(f"class_type must be a class, not {class_type!r}.", argument="class_type")
    return str(class_type._abbr_) if hasattr(class_type, "_abbr_") else None
