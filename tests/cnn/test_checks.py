"""Tests of the functions of MMCV's utils that need torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cfgtrain.utils import (
    assert_is_norm_layer,
    assert_params_all_zeros,
    is_jit_tracing,
    torch_meshgrid,
)


def test_meshgrid() -> None:
    """The first tensor runs along the rows, and no warning is issued."""
    rows, columns = torch_meshgrid(torch.arange(2), torch.arange(3))
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert columns.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_is_jit_tracing() -> None:
    """The result is True only inside torch.jit.trace."""
    seen = []

    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(is_jit_tracing())
            return x + 1

    torch.jit.trace(Model(), torch.zeros(1), check_trace=False)
    assert seen == [True]
    assert is_jit_tracing() is False


@pytest.mark.parametrize(
    ("layer", "answer"),
    [
        (nn.BatchNorm2d(2), True), (nn.SyncBatchNorm(2), True), (nn.InstanceNorm1d(2), True), (nn.GroupNorm(1, 2), True),
        (nn.LayerNorm(2), True), (nn.Conv2d(1, 1, 1), False), (nn.Sequential(nn.LayerNorm(2)), False),
    ],
)  # fmt: skip
def test_is_norm_layer(layer: nn.Module, answer: bool) -> None:
    """Batch, instance, group and layer norms are normalization layers."""
    assert assert_is_norm_layer(layer) is answer


def test_params_all_zeros() -> None:
    """The weight and the bias must be zero, if they exist."""
    layer = nn.Linear(2, 2)
    assert not assert_params_all_zeros(layer)
    nn.init.zeros_(layer.weight)
    nn.init.ones_(layer.bias)
    assert not assert_params_all_zeros(layer)
    nn.init.zeros_(layer.bias)
    assert assert_params_all_zeros(layer)
    assert assert_params_all_zeros(nn.ReLU())
