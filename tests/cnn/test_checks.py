"""What MMCV keeps in utils, and needs torch."""

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


def test_grids_are_by_row_first() -> None:
    """The first tensor runs along the rows, without a warning."""
    rows, columns = torch_meshgrid(torch.arange(2), torch.arange(3))
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert columns.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_tracing_is_seen() -> None:
    """Inside torch.jit.trace, and only there."""
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
def test_norm_layers(layer: nn.Module, answer: bool) -> None:
    """Batch, instance, group and layer norms are norms."""
    assert assert_is_norm_layer(layer) is answer


def test_parameters_of_zeros() -> None:
    """Weight and bias count, as far as there are any."""
    layer = nn.Linear(2, 2)
    assert not assert_params_all_zeros(layer)
    nn.init.zeros_(layer.weight)
    nn.init.ones_(layer.bias)
    assert not assert_params_all_zeros(layer)
    nn.init.zeros_(layer.bias)
    assert assert_params_all_zeros(layer)
    assert assert_params_all_zeros(nn.ReLU())
