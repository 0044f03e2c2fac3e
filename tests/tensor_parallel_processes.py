"""What several processes do in a test with a model whose layers they compute together; see ``processes``."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import processes
import torch
from processes import Numbers
from tiny import make_runner
from torch import nn

from cfgtrain.checkpoint.sharded import read_full, write_sharded
from cfgtrain.checkpoint.state_dict import get_state_dict, load_state_dict
from cfgtrain.cnn.bricks.transformer import FFN
from cfgtrain.cnn.tools.activation_checkpointing import checkpoint_activations
from cfgtrain.cnn.tools.compiling import compile_model, compile_settings
from cfgtrain.data.builder import build_dataloader
from cfgtrain.errors import ArgumentError
from cfgtrain.evaluation.inference import LossSums, multi_gpu_test
from cfgtrain.models import TinyTransformer
from cfgtrain.parallel.dist import data_rank_and_size, set_tensor_parallel
from cfgtrain.parallel.fsdp import named_optimizer_state, shard_model, shard_optimizers
from cfgtrain.runner import EMAHook
from cfgtrain.runner.hooks.nan_guard import NaNGuardHook
from cfgtrain.runner.hooks.optimizer import OptimizerHook

CPU = torch.device("cpu")
VOCABULARY = 11
SIZE = 2  # processes that compute a layer together


def in_processes(name: str, count: int, folder: Path) -> list[Any]:
    """Run a function of this module in ``count`` processes of one group; return what each returns."""
    return processes.in_processes(name, count, folder, __name__)


def batches() -> list[dict[str, torch.Tensor]]:
    """Return six batches of four sequences."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(VOCABULARY, (6, 4, 9), generator=generator)
    return [{"inputs": each[:, :-1], "targets": each[:, 1:]} for each in tokens]


def share_of(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the samples of a batch that this process has."""
    rank, count = data_rank_and_size()
    return {name: each[rank::count] for name, each in batch.items()}


def transformer(dropout: float = 0.0, vocabulary: int = VOCABULARY) -> TinyTransformer:
    """Return a model that is equal in all processes."""
    torch.manual_seed(0)
    return TinyTransformer(
        vocabulary, block_size=8, embed_dims=16, num_layers=2, num_heads=2, dropout=dropout
    )


def full(weights: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return copies of whole tensors."""
    return {
        name: (each.full_tensor() if hasattr(each, "full_tensor") else each).detach().clone()
        for name, each in weights.items()
    }


# The gradients of the biases of the keys are zero but for rounding, which Adam would make steps of.
EPS = {"eps": 1e-3}

WAYS: dict[str, Any] = {
    "plain": ({}, (torch.optim.SGD, {"lr": 0.5, "momentum": 0.9}), {}),
    "accumulation": ({"cumulative_iters": 4}, (torch.optim.SGD, {"lr": 0.5}), {}),
    "norm": ({"grad_clip": {"max_norm": 0.1}}, (torch.optim.SGD, {"lr": 1.0}), {}),
    "norm of type 3": ({"grad_clip": {"max_norm": 0.1, "norm_type": 3}}, (torch.optim.SGD, {"lr": 1.0}), {}),
    "norm inf": (
        {"grad_clip": {"max_norm": 0.01, "norm_type": float("inf")}},
        (torch.optim.SGD, {"lr": 1.0}),
        {},
    ),
    "value": ({"grad_clip": {"clip_value": 0.01}}, (torch.optim.SGD, {"lr": 1.0}), {}),
    "fused": ({}, (torch.optim.AdamW, {"lr": 0.01, "fused": True, **EPS}), {}),
    "foreach": (
        {},
        (torch.optim.Adam, {"lr": 0.01, "foreach": True, **EPS}),
        {"reshard_after_forward": False},
    ),
    "embeddings": (
        {},
        (torch.optim.SGD, {"lr": 0.5}),
        {"plan": {"tokens": "rowwise", "blocks.*.ffn.0": "colwise", "blocks.*.ffn.2": "rowwise"}},
    ),
    "bf16": (
        {"dtype": "bfloat16"},
        (torch.optim.SGD, {"lr": 0.5}),
        {"mixed_precision": {"param_dtype": "bfloat16", "reduce_dtype": "float32"}},
    ),
    "wrapped layers": ({}, (torch.optim.SGD, {"lr": 0.5}), {"wrap": ["Linear"]}),
    "compiled": ({}, (torch.optim.SGD, {"lr": 0.5}), {}),
    "checkpointed": ({}, (torch.optim.SGD, {"lr": 0.5}), {}),
    "dropout": ({}, (torch.optim.SGD, {"lr": 0.5}), {}),
}


def _train(way: str, divided: bool) -> Any:
    """Train, and return the full weights and averages by name, and the norms of gradients that were logged."""
    hook, (kind, options), shard = WAYS[way]
    # An Embedding is divided only if its number of rows is even.
    model = transformer(0.2 if way == "dropout" else 0.0, VOCABULARY + (way == "embeddings"))
    if way == "checkpointed" and divided:
        checkpoint_activations(model, ["blocks.*.ffn"])
    if way == "compiled" and divided:
        compile_model(model, compile_settings({"backend": "aot_eager"}) or {})
    made = kind(model.parameters(), **options)
    if divided:
        kept = list(model.parameters())
        shard_optimizers(made, shard_model(model, CPU, tensor_parallel=SIZE, **shard))
        del kept
    torch.manual_seed(data_rank_and_size()[0])
    runner = make_runner("epoch", 2, model, optimizer=made, meta={})
    runner.register_hook(OptimizerHook(**hook), "ABOVE_NORMAL")
    runner.register_hook(NaNGuardHook(save=False))
    runner.register_hook(EMAHook(momentum=0.5))
    runner.run([[share_of(each) if divided else each for each in batches()]], [("train", 1)])
    norms = runner.log_buffer.val_history.get("grad_norm", [])
    return full(model.state_dict()), [float(each) for each in norms]


def do_everything(rank: int) -> Any:
    """Return what the functions below return, by name."""
    set_tensor_parallel(SIZE)
    functions = (train_together, save_and_load, evaluate_together, compute_feed_forward, give_wrong_inputs)
    return {function.__name__: function(rank) for function in functions}


def train_together(rank: int) -> Any:
    """Train in each way together, and alone with whole batches."""
    ways = [way for way in WAYS if way != "dropout" or data_rank_and_size()[1] == 1]
    return {way: (_train(way, divided=True), _train(way, divided=False)) for way in ways}


def save_and_load(rank: int) -> Any:
    """Save a trained model and its optimizer in shards, read the folder alone, and load it into a divided model."""
    folder = Path.cwd()
    model = transformer()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    shard_model_with(model, optimizer)
    for batch in batches():
        optimizer.zero_grad()
        model.train_step(share_of(batch))["loss"].backward()
        optimizer.step()
    state = {"state_dict": get_state_dict(model), "optimizer": named_optimizer_state(optimizer, model)}
    write_sharded(folder / "epoch_3", state, {"meta": {"epoch": 3}} if rank == 0 else None)
    saved = full(state["state_dict"])
    moments = full({name: each["exp_avg"] for name, each in state["optimizer"]["state"].items()})

    found = read_full(folder / "epoch_3")
    whole = transformer()
    whole_optimizer = torch.optim.AdamW(whole.parameters(), lr=0.01)
    load_state_dict(whole, found["state_dict"], strict=True, logger="silent")
    whole_optimizer.load_state_dict(found["optimizer"])
    alone = (
        dict(whole.state_dict()),
        {name: whole_optimizer.state[each]["exp_avg"] for name, each in whole.named_parameters()},
    )

    shard_model_with(whole, whole_optimizer)  # as a run that resumes does
    again = named_optimizer_state(whole_optimizer, whole)["state"]
    divided = full(whole.state_dict()), full({name: each["exp_avg"] for name, each in again.items()})
    load_state_dict(model, transformer().state_dict(), strict=True, logger="silent")
    return (saved, moments), alone, divided, full(model.state_dict()), dict(transformer().state_dict())


def shard_model_with(model: nn.Module, optimizer: Any) -> None:
    """Divide a model and the state of its optimizer."""
    kept = list(model.parameters())
    shard_optimizers(optimizer, shard_model(model, CPU, tensor_parallel=SIZE))
    del kept


class Scorer(nn.Module):
    """Predicts its input by two divided layers, and has a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(1, 2, bias=False)
        self.fc2 = nn.Linear(2, 1, bias=False)
        nn.init.ones_(self.fc1.weight)
        nn.init.constant_(self.fc2.weight, 0.5)

    def forward(self, x: torch.Tensor, return_loss: bool = False) -> torch.Tensor:
        predicted: torch.Tensor = self.fc2(self.fc1(x[:, None]))[:, 0]
        return predicted

    def forward_with_loss(self, x: torch.Tensor) -> Any:
        return self(x), {"loss": x.mean()}


def evaluate_together(rank: int) -> Any:
    """Evaluate datasets of 1 to 12 samples."""
    share, count = data_rank_and_size()
    model = Scorer()
    shard_model(model, CPU, tensor_parallel=SIZE, plan={"fc1": "colwise", "fc2": "rowwise"})
    results = []
    for length in range(1, 13):
        loader = build_dataloader(
            Numbers(length), 4, shuffle=False, round_up=True, rank=share, world_size=count
        )
        losses = LossSums()
        found = multi_gpu_test(model, loader, losses=losses)
        results.append((found and [round(float(each)) for each in found], losses.means().get("loss")))
    return results


def compute_feed_forward(rank: int) -> Any:
    """Return the output and the gradients of a feed-forward network that is divided, and those of a whole one."""
    results = []
    for is_divided in (True, False):
        torch.manual_seed(0)
        network = FFN(6, 8)
        x = torch.randn(2, 3, 6)
        if is_divided:
            shard_model(network, CPU, tensor_parallel=SIZE)
        out = network(x)
        out.square().sum().backward()
        gradients: Any = {name: each.grad for name, each in network.named_parameters()}
        results.append((out.detach(), type(out), full(gradients)))
    return results


def give_wrong_inputs(rank: int) -> list[str]:
    """Return the errors of plans that divide an input which is whole, and whose layer gets a part of its input."""
    messages = []
    for plan in ({"fc2": "rowwise"}, {"fc1": "colwise", "fc2": "colwise"}):
        model = nn.Sequential(OrderedDict(fc1=nn.Linear(6, 4), fc2=nn.Linear(4, 2)))
        shard_model(model, CPU, tensor_parallel=SIZE, plan=plan)
        try:
            model(torch.ones(3, 6))
        except ArgumentError as error:
            messages.append(error.message)
    return messages
