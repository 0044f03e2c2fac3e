from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from tiny import same
from torch import nn

from cfgtrain.cnn.tools.activation_checkpointing import checkpoint_activations
from cfgtrain.errors import ArgumentError


class Block(nn.Module):
    """A convolution with everything that changes in training: statistics and random numbers."""

    def __init__(self, momentum: float | None = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2, momentum=momentum)
        self.dropout = nn.Dropout(0.5)
        self.calls = 0

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        self.calls += 1
        return self.dropout(self.norm(self.conv(x)).relu()) * scale


class Net(nn.Module):
    """Two blocks and a head."""

    def __init__(self, momentum: float | None = 0.1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(momentum), Block(momentum)])
        self.head = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, scale=2.0)
        return self.head(x.mean((2, 3)))


def stepped(model: nn.Module) -> dict[str, Any]:
    """Return the gradients and buffers of a model after two steps."""
    torch.manual_seed(0)
    for _ in range(2):
        model(torch.randn(3, 2, 4, 4)).sum().backward()
    grads = {name: each.grad for name, each in model.named_parameters()}
    return {**grads, **dict(model.named_buffers()), "random": torch.rand(1)}


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_step_is_the_same(momentum: float | None) -> None:
    """Gradients, running statistics and random numbers have the same bits, and the activations are computed twice."""
    plain = Net(momentum)
    checkpointed = deepcopy(plain)
    assert checkpoint_activations(checkpointed, ["blocks.*"]) == ["blocks.0", "blocks.1"]
    assert list(checkpointed.state_dict()) == list(plain.state_dict())
    assert same(stepped(checkpointed), stepped(plain))
    assert [block.calls for block in checkpointed.blocks] == [4, 4]
    assert [block.calls for block in plain.blocks] == [2, 2]


def test_nothing_is_computed_twice_without_gradients() -> None:
    """In eval mode and without gradients, modules run as usual."""
    model = Net()
    checkpoint_activations(model, ["blocks.0"])
    with torch.no_grad():
        model(torch.randn(3, 2, 4, 4))
    model.eval()
    model(torch.randn(3, 2, 4, 4)).sum().backward()
    assert model.blocks[0].calls == 2


def test_a_copy_runs_its_own_modules() -> None:
    """The modules of a deep copy use the weights of the copy."""
    model = Net()
    checkpoint_activations(model, ["blocks"])  # a ModuleList is never called
    checkpoint_activations(model, ["blocks.0"])
    copied = deepcopy(model)
    with torch.no_grad():
        for each in copied.parameters():
            each.zero_()
    assert copied(torch.ones(2, 2, 4, 4)).abs().sum() == 0
    assert (copied.blocks[0].calls, model.blocks[0].calls) == (1, 0)


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    """The error suggests the name that was probably meant."""
    with pytest.raises(ArgumentError, match=r"'block\.0' matches no module of Net") as caught:
        checkpoint_activations(Net(), ["block.0"])
    assert "blocks" in caught.value.hint
