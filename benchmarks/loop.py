"""Measure the overhead of the runner and its hooks per iteration, compared with a bare PyTorch loop.

A tiny MLP (64-64-10, batch size 32, batches in memory) is trained by

- a bare loop: ``train_step``, ``zero_grad``, ``backward`` and ``step``;
- the same loop, written by hand, with a learning rate policy, timing, text and JSON logs every 50 iterations and a
  checkpoint at the end;
- ``EpochBasedRunner`` and ``IterBasedRunner`` with hooks that do the same.

The budget of a runner with its hooks, per iteration and in addition to the bare loop, is 40 calls (of Python and C
functions together, log lines included proportionally) and 30 us of CPU time. Below that, simple code is preferred to
fast code.

The calls are counted by ``sys.setprofile``, which is not affected by noise. Since the speed of a machine changes within
seconds, the CPU time of each run is measured alternately with that of the bare loop, 50 iterations at a time: before a
loop gets its next 50 batches, the bare loop trains its own model on them. On a ResNet-18 with 32x32 images, the
operators that the profiler counts are compared with those of the bare loop.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from paired import median_interval
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.parallel.coordinator import Coordinator
from cfgtrain.runner import EpochBasedRunner, Hook, IterBasedRunner, build_optimizer

INTERVAL = 50
EPOCH = 500  # batches
MAX_CALLS, MAX_MICROSECONDS = 40, 30.0  # per iteration, in addition to the bare loop


class Classifier(nn.Module):
    """A network with the ``train_step`` that a runner calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train_step(self, batch: tuple[Tensor, Tensor], optimizer: Any = None) -> dict[str, Any]:
        """Return the loss of a batch of inputs (B, ...) and class indices (B,)."""
        loss = functional.cross_entropy(self.network(batch[0]), batch[1])
        return {"loss": loss, "log_vars": {"loss": loss.detach()}, "num_samples": 32}


def mlp() -> Classifier:
    """Return the tiny network, with the same weights at each call."""
    torch.manual_seed(0)
    return Classifier(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        same = in_channels == out_channels and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        return functional.relu(self.body(x) + self.shortcut(x))


def resnet18() -> Classifier:
    """Return a ResNet-18 for ten classes of (3, 32, 32) images."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    width = 64
    for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(width, channels, stride), Block(channels, channels, 1)]
        width = channels
    return Classifier(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)))


def batches_of(shape: tuple[int, ...], count: int) -> list[tuple[Tensor, Tensor]]:
    """Return ``count`` batches of 32 random inputs and labels."""
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(32, *shape, generator=generator), torch.randint(0, 10, (32,), generator=generator))
        for _ in range(count)
    ]


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer that all variants use."""
    optimizer: torch.optim.Optimizer = build_optimizer(model, {"type": "SGD", "lr": 0.01, "momentum": 0.9})
    return optimizer


def bare(batches: list[Any], iters: int, model: nn.Module, folder: Path) -> None:
    """Train with the bare loop."""
    optimizer = sgd(model)
    model.train()
    done = 0
    while done < iters:
        train_on(batches[: iters - done], model, optimizer)
        done += len(batches)


def train_on(batches: Iterable[Any], model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Train on some batches."""
    for batch in batches:
        outputs = model.train_step(batch, optimizer)
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()


class AlternatingBatches:
    """Batches for a loop that is timed; the bare loop trains on each 50 batches before they are yielded.

    Args:
        batches: The batches of an epoch.

    Attributes:
        seconds: CPU seconds that the bare loop has taken.
        iters: Number of iterations that the bare loop has trained.
    """

    def __init__(self, batches: list[Any]) -> None:
        self.dataset = batches
        self.seconds, self.iters = 0.0, 0
        self._model = mlp()
        self._optimizer = sgd(self._model)
        self._model.train()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, part: slice) -> Iterator[Any]:
        return itertools.islice(iter(self), *part.indices(len(self)))

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(map(self._train_on, range(0, len(self), INTERVAL)))

    def _train_on(self, start: int) -> list[Any]:
        batches = self.dataset[start : start + INTERVAL]
        started = time.process_time()
        train_on(batches, self._model, self._optimizer)
        self.seconds += time.process_time() - started
        self.iters += len(batches)
        return batches


def by_hand(batches: list[Any], iters: int, model: nn.Module, folder: Path) -> None:
    """Train with a loop written for this training only, which does the same as the hooks."""
    optimizer, logger = sgd(model), text_logger(folder)
    losses: list[Tensor] = []
    times: list[float] = []
    waits: list[float] = []
    (group,) = optimizer.param_groups
    model.train()
    done, last = 0, time.perf_counter()
    with (folder / "hand.log.json").open("a") as log:
        while done < iters:
            for batch in batches[: iters - done]:
                waits.append(time.perf_counter() - last)
                group["lr"] = 0.005 * (math.cos(math.pi * done / iters) + 1)
                outputs = model.train_step(batch, optimizer)
                losses.append(outputs["log_vars"]["loss"])
                optimizer.zero_grad()
                outputs["loss"].backward()
                optimizer.step()
                done += 1
                now = time.perf_counter()
                times.append(now - last)
                last = now
                if done % INTERVAL == 0:
                    write_line(logger, log, done, iters, group["lr"], losses, times, waits)
                    losses, times, waits = [], [], []
    torch.save({"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / "hand.pth")
    close(logger)


def write_line(
    logger: logging.Logger,
    log: TextIO,
    done: int,
    iters: int,
    lr: float,
    losses: list[Tensor],
    times: list[float],
    waits: list[float],
) -> None:
    """Write the means of the last iterations as a text line and as a JSON line."""
    line = {
        "mode": "train",
        "epoch": done // EPOCH + 1,
        "iter": done,
        "lr": lr,
        "data_time": statistics.fmean(waits),
        "loss": statistics.fmean(torch.stack(losses).tolist()),
        "time": statistics.fmean(times),
    }
    logger.info(
        "Iter [%d/%d]\tlr: %.3e, time: %.3f, data_time: %.3f, loss: %.4f",
        done, iters, lr, line["time"], line["data_time"], line["loss"],
    )  # fmt: skip
    log.write(json.dumps(line) + "\n")
    log.flush()


def with_runner(
    kind: str,
    batches: list[Any],
    iters: int,
    model: nn.Module,
    folder: Path,
    more: Sequence[Hook] = (),
    coordinator: Coordinator | None = None,
) -> None:
    """Train with a runner of cfgtrain and the hooks of a typical config."""
    by_epoch, logger = kind == "epoch", text_logger(folder)
    length = {"max_epochs": iters // len(batches)} if by_epoch else {"max_iters": iters}
    runner = (EpochBasedRunner if by_epoch else IterBasedRunner)(
        model, optimizer=sgd(model), work_dir=folder, logger=logger, meta={}, **length
    )
    runner.coordinator = coordinator
    runner.register_training_hooks(
        {"policy": "CosineAnnealing", "min_lr": 0, "by_epoch": False},
        {},
        {"interval": 10**9},
        {"interval": INTERVAL, "hooks": [{"type": "TextLoggerHook"}]},
    )
    for hook in more:
        runner.register_hook(hook)
    runner.run([batches], [("train", 1)])
    close(logger)


VARIANTS: dict[str, Callable[..., None]] = {
    "bare loop": bare,
    "written by hand": by_hand,
    "EpochBasedRunner": lambda *args, **kwargs: with_runner("epoch", *args, **kwargs),
    "IterBasedRunner": lambda *args, **kwargs: with_runner("iter", *args, **kwargs),
}


def text_logger(folder: Path) -> logging.Logger:
    """Return a logger that writes only to a file in ``folder``."""
    logger = logging.getLogger("benchmark")
    logger.propagate = False
    logger.setLevel("INFO")
    handler = logging.FileHandler(folder / "text.log")
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger.addHandler(handler)
    return logger


def close(logger: logging.Logger) -> None:
    """Close the files of a logger."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def counted(variant: Callable[..., None], iters: int, hooks: int) -> Counter[str]:
    """Return the numbers of calls in a run: of Python functions, and of C functions called from Python."""
    calls: Counter[str] = Counter()

    def see(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            calls[event] += 1

    more = {"more": [Hook() for _ in range(hooks)]} if hooks else {}
    with tempfile.TemporaryDirectory() as folder:
        model, batches = mlp(), batches_of((64,), iters)  # one epoch
        sys.setprofile(see)
        try:
            variant(batches, iters, model, Path(folder), **more)
        finally:
            sys.setprofile(None)
    return calls


def calls_per_iter(variant: Callable[..., None], lines: bool, hooks: int = 0) -> dict[str, float]:
    """Return the calls per iteration, computed from the difference between a long and a short run.

    Args:
        variant: The loop.
        lines: Whether the long run writes two more log lines than the short one; otherwise neither writes any.
        hooks: Number of additional hooks that override no stage.
    """
    lengths = (4 * INTERVAL, 2 * INTERVAL) if lines else (INTERVAL - 2, INTERVAL // 2)
    for _ in range(2):  # warm up, twice since imports in the first run clear caches of the second
        counted(variant, 2, hooks)
    long, short = (counted(variant, length, hooks) for length in lengths)
    return {event: (long[event] - short[event]) / (lengths[0] - lengths[1]) for event in ("call", "c_call")}


class ProfiledBatches:
    """Eight batches; the profiler runs while the third and the fourth are trained."""

    def __init__(self) -> None:
        self.batches = batches_of((3, 32, 32), 8)
        self.profile = torch.profiler.profile(record_shapes=True)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, part: slice) -> ProfiledBatches:
        return self

    def __iter__(self) -> Iterator[Any]:
        for at, batch in enumerate(self.batches):
            if at == 2:
                self.profile.start()
            elif at == 4:
                self.profile.stop()
            yield batch


def operators(variant: Callable[..., None]) -> Counter[str]:
    """Return how often each operator of torch is called in two iterations on a ResNet-18."""
    averages = profiled(variant).key_averages()
    return Counter({event.key: event.count for event in averages if "::" in event.key})


def profiled(variant: Callable[..., None]) -> torch.profiler.profile:
    """Return the profile of two iterations on a ResNet-18, with the shapes of the inputs of each operator."""
    batches = ProfiledBatches()
    with tempfile.TemporaryDirectory() as folder:
        variant(batches, len(batches), resnet18(), Path(folder))
    return batches.profile


def time_alternating(variant: Callable[..., None], iters: int, batches: list[Any]) -> tuple[float, float]:
    """Return the CPU seconds of the bare loop, and of a run that alternates with it.

    The run includes its set-up, logs and checkpoint.

    Raises:
        ValueError: ``iters`` is not a whole number of epochs, for a runner that trains whole epochs.
    """
    model, turns = mlp(), AlternatingBatches(batches)
    gc.collect()  # so that the run does not collect the garbage of the previous one
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        variant(turns, iters, model, Path(folder))
        both = time.process_time() - started
    if turns.iters < iters:
        raise ValueError(f"Trained {turns.iters} iterations instead of {iters}, which must be whole epochs.")
    return turns.seconds / turns.iters * iters, both - turns.seconds


def report_calls() -> None:
    """Print the calls per iteration."""
    floor = calls_per_iter(bare, lines=False)
    print("Calls per iteration, of Python functions + of C functions called from Python:")
    print(f"  {'bare loop':<18} {floor['call']:.0f} + {floor['c_call']:.0f}")
    for name in list(VARIANTS)[1:]:
        between, shared = (calls_per_iter(VARIANTS[name], lines) for lines in (False, True))
        print(
            f"  {name:<18} {between['call'] - floor['call']:.0f} + {between['c_call'] - floor['c_call']:.0f} more; "
            f"with log lines {shared['call'] - floor['call']:.1f} + "
            f"{shared['c_call'] - floor['c_call']:.1f}"
        )
        if "Runner" in name:
            added = sum(shared.values()) - sum(floor.values())
            print(f"  {'':<18} budget {MAX_CALLS} calls: {added:.1f}, {verdict(added <= MAX_CALLS)}")
            idle = calls_per_iter(VARIANTS[name], lines=False, hooks=10)
            print(
                f"  {'':<18} ten hooks that override no stage: {sum(idle.values()) - sum(between.values()):+.0f}"
            )


def report_operators() -> None:
    """Print how the operators on a ResNet-18 differ from those of the bare loop."""
    floor = operators(VARIANTS["bare loop"])
    print(f"Operators of two iterations on a ResNet-18 at 32x32, {sum(floor.values())} in the bare loop:")
    for name in list(VARIANTS)[2:]:
        counts = operators(VARIANTS[name])
        counts.subtract(floor)
        differences = {key: count for key, count in counts.items() if count}
        print(f"  {name:<18} {differences or 'the same'}")


def report_time(iters: int, rounds: int) -> None:
    """Print the CPU time that each variant adds to the bare loop. The row of the bare loop itself shows the noise."""
    batches = batches_of((64,), EPOCH)
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    for at in range(rounds + 1):
        for name, variant in VARIANTS.items():
            pair = time_alternating(variant, iters, batches)
            if at > 0:  # the first round is a warm-up
                pairs[name].append(pair)
    bare_us = statistics.median(floor for found in pairs.values() for floor, _ in found) / iters * 1e6
    print(f"CPU time, {rounds} rounds of {iters} iterations each; the bare loop takes {bare_us:.0f} us:")
    for name, found in pairs.items():
        added = [(own - floor) / iters * 1e6 for floor, own in found]
        low, high = median_interval(added)
        median = statistics.median(added)
        budget = f", budget {MAX_MICROSECONDS:.0f} us: {verdict(median <= MAX_MICROSECONDS)}"
        print(
            f"  {name:<18} {median:+.1f} us (95 %: {low:+.1f} to {high:+.1f}){budget if 'Runner' in name else ''}",
            flush=True,
        )


def verdict(is_within: bool) -> str:
    """Return whether a figure is within the budget, as a word."""
    return "met" if is_within else "MISSED"


def main() -> None:
    """Run the benchmark and print the three tables."""
    names = ("calls", "operators", "time")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--iters", type=int, default=4000)
    parser.add_argument(
        "--only", nargs="+", default=names, choices=names, metavar="REPORT", help=", ".join(names)
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    reports = {
        "calls": report_calls,
        "operators": report_operators,
        "time": partial(report_time, options.iters, options.rounds),
    }
    for name in options.only:
        reports[name]()


if __name__ == "__main__":
    main()
