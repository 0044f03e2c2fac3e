"""Which registry a part of a config is built from: cfgtrain's, or one of a project that was written for MMCV."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from cfgtrain.errors import UnknownNameError
from cfgtrain.origin import location
from cfgtrain.registry.lookup_errors import full_names
from cfgtrain.registry.registry import Registry, namesakes

__all__ = ["registry_for"]

logger = logging.getLogger(__name__)


def registry_for(cfg: Any, registry: Registry) -> Registry:
    """Return the registry that a part of a config is built from, such as ``model`` or ``data.train``.

    The scripts of a project written for MMCV build these parts from registries of the project, so a name that only the
    project has is found there. A name that cfgtrain has as well is cfgtrain's, so that an import does not change what a
    config means, unless ``registry.projects_first`` is set, as under the alias of MMCV: there, only the project can
    mean it. A warning says once which class is used if that is cfgtrain's.

    Args:
        cfg: The config of the part.
        registry: The registry of cfgtrain.

    Returns:
        A registry of a project, or ``registry``.

    Raises:
        UnknownNameError: Several projects have the name, and cfgtrain's is not used.
    """
    kind = cfg.get("type") if isinstance(cfg, Mapping) else None
    holders = registry.project_registries(kind) if isinstance(kind, str) else []
    if not isinstance(kind, str) or not holders:
        return registry
    if not registry.projects_first and (own := registry.get(kind)) is not None:
        _warn(namesakes(own, cfg))
        return registry
    if len({each.get(kind) for each in holders}) > 1:
        message = f"{kind!r} is in the {registry.name} registries of several projects."
        raise UnknownNameError(
            message, hint=f"Write it with its scope: {full_names(kind, holders)}.", **location(cfg, "type")
        )
    return holders[0]


@cache
def _warn(names: str) -> None:
    logger.warning("%s With --compat mmcv, the name alone is the class of the project.", names)
