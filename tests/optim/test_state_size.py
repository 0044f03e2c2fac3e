from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.optim.state_size import state_bytes

KINDS: list[tuple[type[torch.optim.Optimizer], dict[str, Any]]] = [
    (torch.optim.SGD, {}),
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.Adam, {}),
    (torch.optim.Adam, {"amsgrad": True}),
    (torch.optim.AdamW, {"fused": True}),
    (torch.optim.Adagrad, {}),
    (torch.optim.RMSprop, {"momentum": 0.9, "centered": True}),
    (torch.optim.NAdam, {}),
    (torch.optim.Rprop, {}),
]


def model() -> nn.Module:
    """Three layers, of which two have the same shape and one is not trained."""
    layers = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(5, 5))
    layers[3].requires_grad_(False)
    return layers


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_state_is_as_large_as_after_a_step(
    kind: type[torch.optim.Optimizer], settings: dict[str, Any]
) -> None:
    """The estimate before the first step is the size after it, and changes neither weights nor optimizer."""
    net = model()
    before = [each.clone() for each in net.parameters()]
    optimizer = kind(net.parameters(), lr=0.1, **settings)  # type: ignore[call-arg]
    torch.optim.lr_scheduler.StepLR(optimizer, 1)  # replaces the step of the instance
    random, states = torch.get_rng_state(), len(optimizer.state)
    estimated = state_bytes(optimizer)
    assert len(optimizer.state) == states
    assert all(map(torch.equal, before, net.parameters()))
    assert torch.equal(torch.get_rng_state(), random)
    for each in net.parameters():
        if each.requires_grad:
            each.grad = torch.ones_like(each)
    optimizer.step()
    assert state_bytes(optimizer) == estimated
    assert (estimated == 0) is (kind is torch.optim.SGD and not settings)


class Custom(torch.optim.SGD):
    """An optimizer whose step could do anything."""


def test_unknown_sizes() -> None:
    """The size is not known for optimizers that are not PyTorch's, and those that need a closure."""
    assert state_bytes(Custom(model().parameters(), lr=0.1, momentum=0.9)) is None
    assert state_bytes(torch.optim.LBFGS(model().parameters())) is None
