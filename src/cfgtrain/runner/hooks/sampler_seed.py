"""Set the epoch of samplers."""

from __future__ import annotations

from cfgtrain.data.loader import set_epoch
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["DistSamplerSeedHook"]


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Sets the epoch of the sampler of a DataLoader, so that each epoch has a different order.

    The runners of cfgtrain do this themselves, for every loader whose sampler has a
    ``set_epoch``; the hook is for configs that contain it, and for custom runners.
    """

    def before_epoch(self, runner: RunnerView) -> None:
        """Set the epoch; an iteration runner does so whenever a loader starts again."""
        set_epoch(runner.data_loader, runner.epoch)
