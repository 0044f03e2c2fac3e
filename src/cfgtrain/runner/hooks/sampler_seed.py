"""Tell samplers which epoch begins."""

from __future__ import annotations

from typing import Any

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["DistSamplerSeedHook"]


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Tells the sampler of a DataLoader which epoch begins, so that each has its own order.

    The runners of cfgtrain do so by themselves, for every loader whose sampler has a
    ``set_epoch``; the hook is for configs that name it, and for runners of one's own.
    """

    def before_epoch(self, runner: RunnerView) -> None:
        """Tell it; the streams of an iteration runner tell theirs when they begin anew."""
        loader: Any = runner.data_loader
        sampler: Any = getattr(loader, "sampler", None)
        if not hasattr(sampler, "set_epoch"):
            sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(runner.epoch)
