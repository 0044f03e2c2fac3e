from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.runner.hooks.gradients import clear_gradients


class Counting(torch.optim.SGD):
    """An optimizer that overrides ``zero_grad``."""

    cleared = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.cleared += 1


@pytest.fixture
def model() -> nn.Module:
    """Two layers with gradients."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model(torch.ones(1, 2)).sum().backward()
    return model


def test_gradients_of_all_groups_are_none(model: Any) -> None:
    """All gradients are None afterwards, as after ``zero_grad``."""
    model[1].bias.grad = None
    groups = [{"params": list(model[0].parameters())}, {"params": list(model[1].parameters()), "lr": 0.2}]
    clear_gradients(torch.optim.SGD(groups, lr=0.1))
    assert [p.grad for p in model.parameters()] == [None] * 4


def test_overridden_zero_grad_is_called(model: nn.Module) -> None:
    """A ``zero_grad`` that the class of the optimizer overrides, or that is set on the instance, is called."""
    optimizer = Counting(model.parameters(), lr=0.1)
    clear_gradients(optimizer)
    assert optimizer.cleared == 1
    plain: Any = torch.optim.SGD(model.parameters(), lr=0.1)
    calls = []
    plain.zero_grad = lambda: calls.append(1)
    clear_gradients(plain)
    assert calls == [1]
    assert all(p.grad is not None for p in model.parameters())
