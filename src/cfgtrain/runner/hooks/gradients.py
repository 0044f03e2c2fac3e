"""Clear, clip and inspect gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer

from cfgtrain.arguments import check_type
from cfgtrain.introspection.signatures import check_dict

__all__ = ["checked_clip", "clear_gradients", "unreached_parameters"]


def clear_gradients(optimizer: Any) -> None:
    """Set the gradients to None, with ``zero_grad`` of the optimizer if it overrides that of PyTorch.

    PyTorch's ``zero_grad`` does the same with more calls than all hooks of a typical run.
    """
    if type(optimizer).zero_grad is not Optimizer.zero_grad or "zero_grad" in vars(optimizer):
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def checked_clip(grad_clip: Any) -> dict[str, Any] | None:
    """Return the arguments of ``clip_grad_norm_`` or, with a ``clip_value``, of ``clip_grad_value_``.

    Raises:
        ArgumentError: The arguments are invalid.
    """
    if grad_clip is None:
        return None
    check_type("grad_clip", grad_clip, Mapping, "a dict such as dict(max_norm=35), or None")
    target = clip_grad_value_ if "clip_value" in grad_clip else clip_grad_norm_
    check_dict("grad_clip", target, grad_clip, "parameters")
    return dict(grad_clip)


def unreached_parameters(model: nn.Module, loss: Tensor) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the trainable parameters that ``loss`` does not depend on, with their names.

    This traverses the whole graph of the loss.
    """
    reached: set[Any] = set()
    seen: set[Any] = set()
    pending: list[Any] = [loss.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            reached.add(node.variable)
        pending.extend(child for child, _ in node.next_functions)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter not in reached:
            yield name, parameter
