"""Release cached CUDA memory."""

from __future__ import annotations

import torch

from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView

__all__ = ["EmptyCacheHook"]


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Gives memory that PyTorch holds in reserve on CUDA devices back to them.

    Args:
        before_epoch: Whether before each epoch.
        after_epoch: Whether after each epoch.
        after_iter: Whether after each iteration, which slows a training down.
    """

    def __init__(
        self, before_epoch: bool = False, after_epoch: bool = True, after_iter: bool = False
    ) -> None:
        asked = {"before_epoch": before_epoch, "after_epoch": after_epoch, "after_iter": after_iter}
        for stage, wanted in asked.items():
            if wanted:
                setattr(self, stage, self._empty)

    def _empty(self, runner: RunnerView) -> None:
        torch.cuda.empty_cache()
