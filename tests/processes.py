"""What several processes do together in a test: functions of the rank, run by name."""

from __future__ import annotations

import importlib
import os
import resource
import signal
from pathlib import Path
from typing import Any

import torch
from tiny import LOGGER, TO_TENSORS, Squares, TinyNet, make_runner, squares_loader
from torch import distributed as dist
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from cfgtrain.data.builder import build_dataloader
from cfgtrain.evaluation.inference import LossSums, multi_gpu_test
from cfgtrain.evaluation.scoring import evaluate
from cfgtrain.metrics import build_metrics
from cfgtrain.metrics.classification import accuracy
from cfgtrain.parallel import DataContainer, MMDistributedDataParallel
from cfgtrain.parallel.dist import allreduce_grads, allreduce_params, average_tensors, get_dist_info
from cfgtrain.runner import DistEvalHook, Hook

SECONDS = 60


def in_processes(name: str, count: int, folder: Path, module: str = __name__) -> list[Any]:
    """Run a function of a module, by default this one, in ``count`` processes of one group; return what each returns."""
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_run, args=(name, rank, count, folder, module)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
        process.kill()
    return [torch.load(folder / f"result_{rank}.pt", weights_only=False) for rank in range(count)]


def _run(name: str, rank: int, count: int, folder: Path, module: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    result = getattr(importlib.import_module(module), name)(rank)
    torch.save(result, folder / f"result_{rank}.pt")
    dist.destroy_process_group()


def evaluate_in_shares(rank: int) -> Any:
    """Train for an epoch and evaluate 23 samples in two shares, 12 and 11."""
    data = Squares(pipeline=TO_TENSORS)
    loader = build_dataloader(data, 5, shuffle=False, round_up=False, rank=rank, world_size=2)
    seen: list[int] = []
    data.evaluate = lambda results, logger=None: (
        seen.append(len(results)) or {"acc": accuracy(results, data.labels)}
    )
    model = TinyNet()
    model.norm.running_mean.fill_(float(rank))
    runner = make_runner("epoch", 1, model, meta={})
    hook = DistEvalHook(loader, save_best="acc")
    runner.register_hook(hook, "LOW")
    runner.run([squares_loader()], [("train", 1)])
    return (
        runner.rank,
        hook.scores,
        runner.meta["hook_msgs"]["best_score"],
        seen,
        model.norm.running_mean.tolist(),
    )


def evaluate_metrics_in_shares(rank: int) -> Any:
    """Evaluate 23 samples, without keeping predictions, in two shares of 12, of which one sample was added."""
    data = Squares(pipeline=TO_TENSORS)
    loader = build_dataloader(data, 5, shuffle=False, round_up=True, rank=rank, world_size=2)
    torch.manual_seed(0)
    model = TinyNet()
    hook = DistEvalHook(loader, save_best="accuracy", metrics=["Accuracy", "ConfusionMatrix"])
    runner = make_runner("epoch", 1, model, meta={})
    runner.register_hook(hook, "LOW")
    runner.run([squares_loader()], [("train", 1)])
    alone = build_dataloader(data, 5, shuffle=False)
    expected = evaluate(model, alone, LOGGER, metrics=build_metrics(["Accuracy", "ConfusionMatrix"]))
    return hook.scores, hook.newest, expected, runner.meta["hook_msgs"]["best_score"]


class OldDistEval(DistEvalHook):
    """An evaluation of a project for MMCV 1.x, which scores and saves in the main process only."""

    def _do_evaluate(self, runner: Any) -> None:
        results = multi_gpu_test(runner.model, self.dataloader)
        if runner.rank == 0:
            self._save_ckpt(runner, self.evaluate(runner, results))


def evaluate_in_the_habit_of_mmcv(rank: int) -> Any:
    """Train for two epochs with such an evaluation, and return the names of the best checkpoints."""
    data = Squares(pipeline=TO_TENSORS)
    loader = build_dataloader(data, 5, shuffle=False, round_up=False, rank=rank, world_size=2)
    scores = iter([0.5, 0.6])
    data.evaluate = lambda results, logger=None: {"acc": next(scores)}
    runner = make_runner("epoch", 2, TinyNet(), meta={}, work_dir="shared")
    runner.register_hook(OldDistEval(loader, save_best="acc"), "LOW")
    runner.run([squares_loader()], [("train", 1)])
    return runner.meta["hook_msgs"]["best_score"], sorted(each.name for each in Path("shared").glob("best*"))


class ValMeans(Hook):
    """Keeps the mean loss of each val flow."""

    def __init__(self) -> None:
        self.means: list[float] = []

    def before_val_epoch(self, runner: Any) -> None:
        runner.log_buffer.clear()

    def after_val_epoch(self, runner: Any) -> None:
        runner.log_buffer.average()
        self.means.append(runner.log_buffer.output["loss"])


def validate_in_wrapper_of_torch(rank: int) -> Any:
    """Train and validate 21 and 1 samples in torch's own wrapper; return the mean losses, and those of one process."""
    results = []
    for size in (21, 1):
        data = Squares(size, pipeline=TO_TENSORS)
        torch.manual_seed(0)
        net = TinyNet()
        net.norm = torch.nn.Identity()  # the statistics of the processes are different
        model = DistributedDataParallel(net)
        val = build_dataloader(data, 5, shuffle=False, rank=rank, world_size=2)
        train = build_dataloader(Squares(pipeline=TO_TENSORS), 4, rank=rank, world_size=2)
        runner = make_runner("epoch", 2, model, meta={})
        means = ValMeans()
        runner.register_hook(means)
        runner.register_optimizer_hook({})
        runner.run([train, val], [("train", 1), ("val", 1)])
        model.module.eval()
        with torch.no_grad():
            alone = [
                (model.module.val_step(batch)["loss"].item(), len(next(iter(batch.values()))))
                for batch in build_dataloader(data, 5, shuffle=False)
            ]
        expected = sum(loss * count for loss, count in alone) / size
        results.append((means.means[-1], expected, [p.tolist() for p in model.parameters()]))
    return results


def average_buffers(rank: int) -> Any:
    """Average a mean and a counter that differ."""
    norm = torch.nn.BatchNorm1d(1)
    norm.running_mean.fill_(float(rank))
    norm.num_batches_tracked.fill_(5 + rank)
    average_tensors(norm.buffers())
    return get_dist_info(), norm.running_mean.item(), norm.num_batches_tracked.item()


def reduce_all_ways(rank: int) -> Any:
    """Average values that differ, coalesced, in buckets and one by one; return those of the last way if all agree."""
    results = []
    for options in ({}, {"bucket_size_mb": 1e-5}, {"coalesce": False}):
        params = [
            torch.full((2,), float(rank)),
            torch.full((2, 1), 10.0 + rank),
            torch.full((3,), 1.0 + rank).double(),
        ]
        counter = torch.tensor(5 + rank)
        allreduce_params([*params, counter], **options)
        weights = [torch.nn.Parameter(torch.zeros(size)) for size in (2, 1, 3)]
        weights[0].grad = torch.full((2,), 1.0 + 2 * rank)
        weights[1].grad = torch.full((1,), 7.0)
        allreduce_grads(weights, **options)
        results.append(
            (
                [each.tolist() for each in params],
                counter.item(),
                [w.grad.tolist() for w in weights[:2]],
                weights[2].grad,
            )
        )
    return results[-1] if results[0] == results[1] == results[2] else results


class Numbers:
    """The numbers 0, 1, ... as samples."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return {"x": torch.tensor(float(index))}


class Same(torch.nn.Module):
    """Predicts its input, and has a weight, a buffer and losses."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(1))
        self.register_buffer("offset", torch.zeros(1))

    def forward(self, x: torch.Tensor, return_loss: bool = False) -> torch.Tensor:
        return x * self.w + self.offset

    def forward_with_loss(self, x: torch.Tensor) -> Any:
        return self(x), {"loss": x.mean()}


def evaluate_every_length(rank: int) -> Any:
    """Evaluate datasets of 1 to 50 samples, in shares of different or equal lengths; return each result and loss."""
    _, world_size = get_dist_info()
    model = MMDistributedDataParallel(Same())
    results = []
    for length in range(1, 51):
        data = Numbers(length)
        for round_up in (False, True):
            loader = build_dataloader(
                data, 4, shuffle=False, round_up=round_up, rank=rank, world_size=world_size
            )
            losses = LossSums()
            found = multi_gpu_test(model, loader, gpu_collect=round_up, losses=losses)
            results.append((found and list(map(int, found)), losses.means().get("loss")))
    return results


class Branches(torch.nn.Module):
    """A model with a buffer, and with a layer that its loss does not need."""

    def __init__(self, has_unused: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used = torch.nn.Linear(3, 1)
        self.unused = torch.nn.Linear(3, 1) if has_unused else None
        self.register_buffer("offset", torch.ones(1))

    def forward(self, x: torch.Tensor, name: Any) -> torch.Tensor:
        return (self.used(x) + self.offset).square().mean()

    def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> Any:
        assert data["name"] == [["a"]] or data["name"] == ["a"]
        return {"loss": self(**data), "num_samples": len(data["x"])}

    val_step = train_step


def train_distributed(rank: int) -> Any:
    """Train three steps with each option, and alone with the batches of both processes."""
    ways: dict[str, tuple[bool, dict[str, Any]]] = {
        "default": (False, {}),
        "unused": (True, {"find_unused_parameters": True}),
        "static": (True, {"static_graph": True}),
        "views": (False, {"gradient_as_bucket_view": True}),
    }
    batches = torch.arange(36.0).sin().reshape(3, 4, 3)  # steps, samples, features
    results = {}
    for way, (has_unused, options) in ways.items():
        alone = Branches(has_unused)
        model = MMDistributedDataParallel(Branches(has_unused), **options)
        model.module.offset.fill_(1.0 + rank)  # the next forward pass makes the buffers equal again
        assert {name.partition(".")[0] for name in model.state_dict()} == {"module"}
        for weights, batch in ((model, batches[:, 2 * rank : 2 * rank + 2]), (alone, batches)):
            optimizer = torch.optim.SGD(weights.parameters(), 0.1)
            for x in batch:
                contained = {"x": DataContainer([x]), "name": DataContainer([["a"]], cpu_only=True)}
                data = contained if weights is model else {"x": x, "name": ["a"]}
                optimizer.zero_grad()
                if weights is model and way == "default":
                    with model.no_sync():  # a window of two halves, of which only the last communicates
                        (model.train_step(data, optimizer)["loss"] / 2).backward()
                    (model.train_step(data, optimizer)["loss"] / 2).backward()
                else:
                    weights.train_step(data, optimizer)["loss"].backward()
                optimizer.step()
                with torch.no_grad():
                    for _ in range(rank):  # processes may evaluate different numbers of batches
                        weights.val_step(data)
        results[way] = list(model.module.used.parameters()), list(alone.used.parameters())
    return {way: tuple([each.detach() for each in side] for side in pair) for way, pair in results.items()}


def write_in_shards(rank: int) -> Any:
    """Train a sharded model for two steps, save it in shards, and read it back; return the weights of both."""
    from torch.distributed.checkpoint.state_dict import get_state_dict

    from cfgtrain.checkpoint.sharded import read_full, write_sharded

    folder = Path(os.environ["CFGTRAIN_TEST_FOLDER"])
    model, optimizer = sharded_net(0)
    weights, state = get_state_dict(model, optimizer)
    write_sharded(folder / "epoch_3", {"state_dict": weights, "optimizer": state}, _facts(rank))
    full = [tensor.full_tensor() for tensor in weights.values()]

    return full, list(read_full(folder / "epoch_3")["state_dict"].values())


def fail_to_write_shards(rank: int) -> Any:
    """Save shards with a disk that is full for the last rank, and to a folder that no rank can write."""
    from torch.distributed.checkpoint.state_dict import get_state_dict

    from cfgtrain.checkpoint.sharded import write_sharded
    from cfgtrain.errors import CheckpointError

    folder = Path(os.environ["CFGTRAIN_TEST_FOLDER"])
    model, optimizer = sharded_net(0)
    weights, state = get_state_dict(model, optimizer)
    state = {"state_dict": weights, "optimizer": state}
    write_sharded(folder / "epoch_3", state, _facts(rank))
    messages = []
    (folder / "file").touch()
    for path in (folder / "epoch_3", folder / "file" / "epoch_4"):
        if rank == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))  # as a full disk
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            write_sharded(path, state, _facts(rank))
        except CheckpointError as error:
            messages.append(str(error))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return messages


def sharded_net(seed: int) -> Any:
    """Return a sharded model and its optimizer after two steps."""
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 2))
    fully_shard(model)
    groups = [{"params": list(model[1].parameters()), "lr": 0.01 + seed}, {"params": model[0].parameters()}]
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    for _ in range(2):
        model(torch.ones(4, 3)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def _facts(rank: int) -> dict[str, Any] | None:
    """Return what rank 0 saves beside the shards."""
    position = {"epoch": 3, "iter": 30}
    return (
        {"meta": {"run_id": "r1", "epoch": 3, "iter": 30}, "resume": {"position": position}}
        if rank == 0
        else None
    )
