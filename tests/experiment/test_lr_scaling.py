from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.experiment.lr_scaling import lr_factor, samples_per_step, scale_lr
from cfgtrain.runner import OptimizerHook


@pytest.mark.parametrize(
    ("cfg", "world_size", "samples"),
    [
        ({"data": {}}, 1, 1),
        ({"data": {"samples_per_gpu": 8}}, 3, 24),
        ({"data": {"batch_size": 8, "train_dataloader": {"batch_size": 4}}}, 1, 4),
        ({"data": {"batch_size": 8}, "optimizer_config": {"cumulative_iters": 4}}, 2, 64),
        ({"data": {"batch_size": 8}, "optimizer_config": OptimizerHook(cumulative_iters=2)}, 1, 16),
        ({"data": {"batch_size": 8}, "optimizer_config": [{"cumulative_iters": 3}]}, 1, 24),
        ({"data": {"batch_size": 8}, "optimizer_config": None}, 1, 8),
    ],
)
def test_samples_per_step(cfg: dict[str, Any], world_size: int, samples: int) -> None:
    """The batch size, times accumulated batches, times processes."""
    assert samples_per_step(cfg, world_size) == samples


@pytest.mark.parametrize(
    ("scaling", "factor"),
    [
        (None, 1.0),
        ({"base_batch_size": 32}, 0.25),
        ({"base_batch_size": 2, "enable": True}, 4.0),
        ({"base_batch_size": 2, "enable": False}, 1.0),
    ],
)
def test_the_factor_is_linear(scaling: Any, factor: float) -> None:
    """Samples per step / base_batch_size."""
    assert lr_factor({"data": {"batch_size": 8}, "auto_scale_lr": scaling}, 1) == factor


def test_all_groups_of_all_optimizers_are_scaled() -> None:
    """Their default too, for groups that are added later."""
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    groups = [{"params": [parameters[0]], "lr": 0.5}, {"params": [parameters[1]]}]
    optimizers = {"a": torch.optim.SGD(groups, lr=0.1), "b": torch.optim.Adam([parameters[2]], lr=1.0)}
    scale_lr(optimizers, 2.0)
    assert [group["lr"] for each in optimizers.values() for group in each.param_groups] == [1.0, 0.2, 2.0]
    optimizers["b"].add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    assert optimizers["b"].param_groups[1]["lr"] == 2.0
    scale_lr(None, 2.0)
