"""Activation checkpointing: modules whose activations are computed again in the backward pass, to save memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from cfgtrain.cnn.tools.freezing import similar_parts
from cfgtrain.errors import ArgumentError

__all__ = ["checkpoint_activations"]


def checkpoint_activations(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Let modules of a model compute their activations again in the backward pass, in place.

    Only the input and output of such a module are kept in the forward pass. Gradients, running statistics of
    normalizations and random numbers are the same as without it. The names in the state dict do not change.

    Args:
        model: The model, without wrappers.
        patterns: Names of modules, such as ``"backbone.layer*"``; see ``freeze``. A module within one that matches
            is not checkpointed a second time.

    Returns:
        The names of the modules that are checkpointed.

    Raises:
        ArgumentError: A pattern matches nothing.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    chosen: set[str] = set()
    for pattern in patterns:
        found = [name for name in modules if fnmatchcase(name, pattern)]
        if not found:
            raise ArgumentError(
                f"{pattern!r} matches no module of {type(model).__name__}.",
                hint=similar_parts(pattern, list(modules)),
                argument="patterns",
            )
        chosen.update(found)
    outermost = [name for name in modules if name in chosen and not _is_within(name, chosen)]
    for name in outermost:
        # The method of its class, so that a copy of the model runs its own modules.
        vars(modules[name])["forward"] = partial(_forward, modules[name])
    return outermost


def _is_within(name: str, others: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in others for length in range(1, len(parts)))


def _forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Replaces the method ``forward`` of a checkpointed module."""
    run = partial(type(module).forward, module, **kwargs)
    if not module.training or not torch.is_grad_enabled():
        return run(*args)
    if torch.compiler.is_compiling():  # then the statistics of a step are computed once
        return checkpoint(run, *args, use_reentrant=False)
    return checkpoint(run, *args, use_reentrant=False, context_fn=partial(_contexts, module))


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first computation and of the second one."""
    return nullcontext(), _unchanged_statistics(module)


@contextmanager
def _unchanged_statistics(module: nn.Module) -> Iterator[None]:
    """Do not update the running statistics of normalizations."""
    norms: list[Any] = [each for each in module.modules() if getattr(each, "running_mean", None) is not None]
    before = [(each, each.momentum, each.num_batches_tracked.clone()) for each in norms]
    for each in norms:
        each.momentum = 0.0  # the statistics become 1 * themselves + 0 * those of the batch
    try:
        yield
    finally:
        for each, momentum, count in before:
            each.momentum = momentum
            each.num_batches_tracked.copy_(count)
