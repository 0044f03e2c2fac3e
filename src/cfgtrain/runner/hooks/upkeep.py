"""Small hooks that keep things as they should be: buffers, samplers, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cfgtrain.dist import average_tensors
from cfgtrain.errors import ArgumentError, UnknownNameError, suggest
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.hook import Hook
from cfgtrain.runner.protocol import RunnerView
from cfgtrain.utils.imports import import_object

__all__ = ["ClosureHook", "DistSamplerSeedHook", "EmptyCacheHook", "SyncBuffersHook"]


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


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Averages the buffers of the model, such as batch statistics, over all processes after each epoch.

    Args:
        distributed: Whether to do so; it costs nothing in a single process either.
    """

    def __init__(self, distributed: bool = True) -> None:
        self.distributed = distributed

    def after_epoch(self, runner: RunnerView) -> None:
        """Average them; counters are taken from the first process."""
        if self.distributed:
            average_tensors(runner.model.buffers())


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


@HOOKS.register_module()
class ClosureHook(Hook):
    """Calls a function at one stage, for what needs no class of its own.

    Args:
        fn_name: The stage, such as ``"after_train_epoch"``.
        fn: ``(runner) -> None``, or its import path, as in a config: ``"shop.parts.announce"``.

    Raises:
        ArgumentError: There is no such stage, or ``fn`` cannot be called.
        UnknownNameError: There is nothing at the import path.
    """

    def __init__(self, fn_name: str, fn: Callable[[Any], None] | str) -> None:
        if fn_name not in _STAGES:
            raise ArgumentError(
                f"There is no stage {fn_name!r} for a function.{suggest(str(fn_name), _STAGES)}"
            )
        found = import_object(fn) if isinstance(fn, str) else fn
        if found is None:
            raise UnknownNameError(f"There is nothing to import at {fn!r}.")
        if not callable(found):
            raise ArgumentError(f"A function is called at {fn_name}, not {found!r}.")
        setattr(self, fn_name, found)


_STAGES = tuple(name for name in dir(Hook) if name.startswith(("before_", "after_")))
