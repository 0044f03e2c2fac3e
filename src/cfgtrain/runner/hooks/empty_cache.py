"""Release cached CUDA memory."""

from __future__ import annotations

import torch

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["EmptyCacheHook"]


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Releases the unused CUDA memory that PyTorch caches.

    Args:
        before_epoch: Whether to release it before each epoch.
        after_epoch: Whether to release it after each epoch.
        after_iter: Whether to release it after each iteration, which slows the training down.
    """

    def __init__(
        self, before_epoch: bool = False, after_epoch: bool = True, after_iter: bool = False
    ) -> None:
        stages = {"before_epoch": before_epoch, "after_epoch": after_epoch, "after_iter": after_iter}
        for stage, wanted in stages.items():
            if wanted:
                setattr(self, stage, self._empty)

    def _empty(self, runner: RunnerView) -> None:
        torch.cuda.empty_cache()
