"""Build a runner from its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.registries import RUNNERS

__all__ = ["build_runner"]


def build_runner(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a runner; ``cfg`` is not changed.

    Args:
        cfg: ``type`` and length, such as ``dict(type='EpochBasedRunner', max_epochs=12)``.
        default_args: What a config cannot hold: model, optimizer, logger, ...
    """
    return RUNNERS.build(cfg, default_args=default_args)
