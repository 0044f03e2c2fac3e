"""The size of the state that an optimizer will have."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from typing import Any

import torch
from torch import Tensor

__all__ = ["state_bytes"]


def state_bytes(optimizer: torch.optim.Optimizer) -> int | None:
    """Return the bytes of the state of an optimizer; before its first step, those that it will have after it.

    That step is taken on tensors without data, by a copy of the optimizer. Returns None if that is not
    possible: for optimizers that are not from PyTorch, and for those that need a closure, values or sparse gradients.
    """
    if optimizer.state:
        return sum(_bytes_of(state) for state in optimizer.state.values())
    if not type(optimizer).__module__.startswith("torch.optim."):
        return None
    try:
        return sum(_bytes_after_step(optimizer, group) for group in optimizer.param_groups)
    except Exception:  # an optimizer may need anything
        return None


def _bytes_after_step(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> int:
    """Return the bytes of the state of a group, of which one tensor of each kind takes a step."""
    kinds = Counter((each.shape, each.dtype) for each in group["params"] if each.requires_grad)
    samples = [torch.zeros(shape, dtype=dtype, device="meta", requires_grad=True) for shape, dtype in kinds]
    for sample in samples:
        sample.grad = torch.zeros_like(sample)
    stepping = object.__new__(type(optimizer))
    stepping.__dict__.update(optimizer.__dict__)
    stepping.state = defaultdict(dict)
    stepping._optimizer_step_pre_hooks = OrderedDict()  # hooks of the user
    stepping._optimizer_step_post_hooks = OrderedDict()
    settings = dict.fromkeys({"fused", "foreach", "capturable"} & group.keys(), False)  # they need a device
    stepping.param_groups = [{**group, **settings, "params": samples}]
    type(optimizer).step(stepping)  # that of the instance may be wrapped, by a scheduler
    return sum(
        count * _bytes_of(stepping.state[sample])
        for sample, count in zip(samples, kinds.values(), strict=True)
    )


def _bytes_of(state: dict[str, Any]) -> int:
    return sum(each.nbytes for each in state.values() if isinstance(each, Tensor))
