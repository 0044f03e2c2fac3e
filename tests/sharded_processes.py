"""What several processes do with a sharded model in a test; see ``processes``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import processes
import torch
from processes import Numbers
from tiny import make_runner
from torch import nn

from cfgtrain.cnn.tools.activation_checkpointing import checkpoint_activations
from cfgtrain.data.builder import build_dataloader
from cfgtrain.errors import ArgumentError, CfgTrainError
from cfgtrain.evaluation.inference import LossSums, multi_gpu_test
from cfgtrain.parallel.dist import get_dist_info
from cfgtrain.parallel.fsdp import shard_model, shard_optimizers
from cfgtrain.runner import EMAHook
from cfgtrain.runner.hooks.nan_guard import NaNGuardHook
from cfgtrain.runner.hooks.optimizer import OptimizerHook

BATCHES = torch.arange(6 * 4 * 5.0).sin().reshape(6, 4, 5)  # steps, samples, features
CPU = torch.device("cpu")


def in_processes(name: str, count: int, folder: Path) -> list[Any]:
    """Run a function of this module in ``count`` processes of one group; return what each returns."""
    return processes.in_processes(name, count, folder, __name__)


class Blocks(nn.Module):
    """Equal blocks, and parameters whose first dimension is smaller than, or no multiple of, the number of processes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Linear(5, 5), nn.Tanh()) for _ in range(2)))
        self.head = nn.Linear(5, 3)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.head(self.blocks(x)) * self.scale).float().square().mean()

    def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> Any:
        loss = (
            self(data) + 0.1 * self.scale.float().square().sum()
        )  # a weight that is used after the forward pass
        return {"loss": loss, "num_samples": len(data)}

    val_step = train_step


def _train(batches: Any, hook: dict[str, Any], optimizer: Any, divide: Any = None, epochs: int = 2) -> Any:
    """Train, and return the full weights and averages by name, and the norms of gradients that were logged."""
    model = Blocks()
    if (divide or {}).get("activations"):
        checkpoint_activations(model, ["blocks.*"])
    kind, options = optimizer
    made = kind(model.parameters(), **options)
    if divide is not None:
        kept = list(model.parameters())
        shard_optimizers(made, shard_model(model, CPU, **divide["shard"]))
        del kept
    runner = make_runner("epoch", epochs, model, optimizer=made, meta={})
    runner.register_hook(OptimizerHook(**hook), "ABOVE_NORMAL")
    runner.register_hook(NaNGuardHook(save=False))
    runner.register_hook(EMAHook(momentum=0.5))
    runner.run([list(batches)], [("train", 1)])
    norms = runner.log_buffer.val_history.get("grad_norm", [])
    state = model.state_dict()
    full = {
        name: each.full_tensor() if hasattr(each, "full_tensor") else each for name, each in state.items()
    }
    return {name: each.detach() for name, each in full.items()}, [float(each) for each in norms]


WAYS: dict[str, Any] = {
    "plain": ({}, (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}), {}),
    "accumulation": ({"cumulative_iters": 4}, (torch.optim.SGD, {"lr": 0.1}), {}),
    "norm": ({"grad_clip": {"max_norm": 0.01}}, (torch.optim.SGD, {"lr": 1.0}), {}),
    "value": ({"grad_clip": {"clip_value": 0.01}}, (torch.optim.SGD, {"lr": 1.0}), {}),
    "fused": ({}, (torch.optim.AdamW, {"lr": 0.01, "fused": True}), {}),
    "foreach": ({}, (torch.optim.Adam, {"lr": 0.01, "foreach": True}), {"reshard_after_forward": False}),
    "whole": ({}, (torch.optim.RMSprop, {"lr": 0.01}), {"wrap": ["Linear"]}),
    "bf16": (
        {"dtype": "bfloat16"},
        (torch.optim.SGD, {"lr": 0.1}),
        {"mixed_precision": {"param_dtype": "bfloat16", "reduce_dtype": "float32"}},
    ),
}


def train_sharded(rank: int) -> Any:
    """Train in each way with this process's half of each batch, and alone with whole batches."""
    own = BATCHES[:, 2 * rank : 2 * rank + 2]
    found = {}
    for name, (hook, optimizer, shard) in WAYS.items():
        divided = _train(own, hook, optimizer, {"shard": shard, "activations": name in ("plain", "bf16")})
        found[name] = divided, _train(BATCHES, hook, optimizer)
    return found


def guard_sharded(rank: int) -> Any:
    """Train with a batch of rank 1 that is not finite; return the error, what was saved, and the weights before."""
    folder = Path(os.environ["CFGTRAIN_TEST_FOLDER"])
    batches = BATCHES[:, 2 * rank : 2 * rank + 2].clone()
    if rank == 1:
        batches[2, 0, 0] = torch.nan
    model = Blocks()
    made = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = list(model.parameters())
    shard_optimizers(made, shard_model(model, CPU))
    del kept
    runner = make_runner("epoch", 1, model, optimizer=made, meta={}, work_dir=folder)
    runner.register_hook(OptimizerHook(), "ABOVE_NORMAL")
    runner.register_hook(NaNGuardHook())
    try:
        runner.run([list(batches)], [("train", 1)])
    except CfgTrainError as error:
        now = {name: each.full_tensor().detach() for name, each in model.state_dict().items()}
        files = {file.name: torch.load(file, weights_only=False) for file in folder.glob("nan_*")}
        return type(error).__name__, str(error), now, files if rank == 1 else {}
    return "", "", {}, {}


def check_sharded(rank: int) -> Any:
    """Do everything that the functions of this module do, in one process group."""
    return train_sharded(rank), evaluate_sharded(rank), guard_sharded(rank)


class Scorer(nn.Module):
    """Predicts its input, with divided weights, and a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor, return_loss: bool = False) -> torch.Tensor:
        return x * self.w.mean()

    def forward_with_loss(self, x: torch.Tensor) -> Any:
        return self(x), {"loss": x.mean()}


def evaluate_sharded(rank: int) -> Any:
    """Evaluate datasets of 1 to 20 samples, where the last batch has other numbers of samples to count."""
    _, world_size = get_dist_info()
    model = Scorer()
    shard_model(model, CPU)
    results = []
    for length in range(1, 21):
        data = Numbers(length)
        loader = build_dataloader(data, 4, shuffle=False, round_up=True, rank=rank, world_size=world_size)
        losses = LossSums()
        found = multi_gpu_test(model, loader, losses=losses)
        results.append((found and list(map(int, found)), losses.means().get("loss")))
    unequal = build_dataloader(Numbers(5), 1, shuffle=False, round_up=False, rank=rank, world_size=world_size)
    try:
        multi_gpu_test(model, unequal)
    except ArgumentError as error:
        return results, error.message
    return results, ""
