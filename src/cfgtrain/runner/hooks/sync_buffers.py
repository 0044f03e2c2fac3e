"""Average the buffers of a model over processes."""

from __future__ import annotations

from cfgtrain.parallel.dist import average_tensors
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["SyncBuffersHook"]


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Averages the buffers of the model, such as batch statistics, over all processes after each epoch.

    Args:
        distributed: Whether to average them; in a single process nothing happens either way.
    """

    def __init__(self, distributed: bool = True) -> None:
        self.distributed = distributed

    def after_epoch(self, runner: RunnerView) -> None:
        """Average them; integer buffers, such as counters, are taken from the first process."""
        if self.distributed:
            average_tensors(runner.model.buffers())
