"""The names that MMCV 1.x has in ``mmcv.runner.utils``."""

from __future__ import annotations

import getpass
import socket
import time
import warnings
from collections.abc import Mapping
from typing import Any

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.introspection.imports import import_object, near_paths
from cfgtrain.random_state import set_random_seed

__all__ = ["get_host_info", "get_time_str", "obj_from_dict", "set_random_seed"]


def get_host_info() -> str:
    """Return ``user@host``, or "" with a warning if the user has no name, as in some containers (MMCV name)."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError, ImportError) as error:  # what getuser raises depends on the version of Python
        warnings.warn(f"The name of the user or of this machine is unknown: {error}", stacklevel=2)
        return ""


def get_time_str() -> str:
    """Return the local time as ``YYYYmmdd_HHMMSS`` (MMCV name)."""
    return time.strftime("%Y%m%d_%H%M%S")


def obj_from_dict(
    info: Mapping[str, Any], parent: Any = None, default_args: Mapping[str, Any] | None = None
) -> Any:
    """Call a class or function that a dict names with the other items as arguments (MMCV name).

    Args:
        info: The arguments, and ``type``: a name in ``parent``, or a class. Without ``parent`` the name is an
            import path, such as ``"torch.nn.ReLU"``.
        parent: A module, or another object with attributes.
        default_args: Values of arguments that are missing in ``info``.

    Raises:
        ArgumentTypeError: ``info`` or ``default_args`` is not a dict, or ``type`` neither a str nor a class.
        ArgumentError: ``info`` has no ``type``, or there is nothing of that name.
    """
    check_type("info", info, Mapping, "a dict")
    check_type("default_args", default_args, Mapping | None, "a dict or None")
    if "type" not in info:
        raise ArgumentError("info must have the key 'type'.", argument="info")
    args = {**(default_args or {}), **info}
    kind = args.pop("type")
    if isinstance(kind, str):
        kind = _named(kind, parent)
    elif not isinstance(kind, type):
        raise ArgumentTypeError(f"type must be a str or a class, not {kind!r}.", argument="info")
    return kind(**args)


def _named(name: str, parent: Any) -> Any:
    found = import_object(name) if parent is None else getattr(parent, name, None)
    if found is None:
        near = near_paths(name) if parent is None else (name, dir(parent))
        shown = "" if parent is None else f" in {getattr(parent, '__name__', parent)}"
        raise ArgumentError(f"There is no {name!r}{shown}.", near=near, argument="info")
    return found
