"""Scale learning rates linearly with the number of samples per step (Goyal et al., 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.data.builder import loader_settings
from cfgtrain.keys import setting
from cfgtrain.optim.optimizers import Optimizers, optimizers_of
from cfgtrain.runner.hook_configs import optimizer_settings

__all__ = ["lr_factor", "samples_per_step", "scale_lr"]


def samples_per_step(cfg: Mapping[str, Any], shares: int) -> int:
    """Return the number of samples per optimizer step: batch size x accumulated batches x shares of the data.

    Args:
        cfg: Config of a run.
        shares: Number of processes that have different data.
    """
    settings = optimizer_settings(cfg)
    hooks = settings if isinstance(settings, list | tuple) else [settings]
    accumulated = [
        hook.get("cumulative_iters", 1) if isinstance(hook, Mapping) else getattr(hook, "cumulative_iters", 1)
        for hook in hooks
    ]
    batch_size = loader_settings(cfg["data"], "train").get("samples_per_gpu", 1)
    return int(batch_size) * int(max(accumulated, default=1)) * shares


def lr_factor(cfg: Mapping[str, Any], shares: int) -> float:
    """Return what ``auto_scale_lr`` of a config multiplies the learning rates by; 1 without it."""
    scaling = setting(cfg, "auto_scale_lr")
    if not scaling or not scaling.get("enable", True):
        return 1.0
    return samples_per_step(cfg, shares) / float(scaling["base_batch_size"])


def scale_lr(optimizer: Optimizers, factor: float) -> None:
    """Multiply the learning rates of all parameter groups of an optimizer, or of several, in place."""
    for each in optimizers_of(optimizer).values():
        for group in (*each.param_groups, each.defaults):
            if factor != 1.0 and "lr" in group:
                group["lr"] = group["lr"] * factor
