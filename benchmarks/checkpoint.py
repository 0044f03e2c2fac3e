"""Measure the cost of writing checkpoints atomically with a digest, in the loop and in the background, and of reading.

A model and the state of Adam, 0.5 GB in total by default, are saved in three ways, each in pairs with the least that
is safe, which is ``torch.save`` to a temporary path, fsync and rename:

- each save replaces the last one,
- each save goes to a new file,
- in the background (``async_save``): what is timed is how long the training loop waits.

The last measurement compares reading, as for resuming a run, with ``torch.load``.

The order of the two sides is random in each pair, and before each action the disk is synced, so that neither
side pays for what the other one has left. The wall time is what a run waits for. The CPU time of the process is
reported too, and the numbers of bytes and system calls for writing and reading, which are not affected by noise.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
from paired import Comparison, summary
from torch import nn

from cfgtrain.checkpoint import read_checkpoint, save_checkpoint
from cfgtrain.runner import EpochBasedRunner

REPLACED, NEW, STALL, READ = "save, replacing the last one", "save to a new file", "stall", "read"
TARGETS = {REPLACED: 1.15, NEW: 1.15, STALL: 0.2, READ: 1.2}
WRITE_COUNTERS, READ_COUNTERS = (
    ("wchar", "syscw"),
    ("rchar", "syscr"),
)  # keys of /proc/self/io: bytes and calls


class Cost(NamedTuple):
    """Wall seconds, CPU seconds, and the counters of /proc/self/io."""

    wall: float
    cpu: float
    counts: dict[str, int]


def model_with_adam(parameters: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model with this number of parameters, and an Adam optimizer after one step."""
    side = int((parameters / 10) ** 0.5)
    model = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(10)))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return model, optimizer


def io_counters() -> dict[str, int]:
    """Return the I/O counters of this process, or an empty dict if the system does not provide them."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {name: int(count) for name, count in (line.split(": ") for line in lines)}


def cost_of(action: Callable[[], object]) -> Cost:
    """Run an action and return its cost."""
    before, wall, cpu = io_counters(), time.perf_counter(), time.process_time()
    action()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(*seconds, {name: count - before[name] for name, count in io_counters().items()})


def run_pairs(
    a: Callable[[], object],
    b: Callable[[], object],
    prepare: Callable[[], object],
    pairs: int,
    warmup: int = 1,
) -> list[tuple[Cost, Cost]]:
    """Run two actions in pairs, in random order, after warm-up pairs; ``prepare`` is called before each action."""
    order, found = random.Random(1), []
    for _ in range(pairs + warmup):
        costs = {}
        for action in order.sample((a, b), 2):
            prepare()
            costs[action] = cost_of(action)
        found.append((costs[a], costs[b]))
    return found[warmup:]


def report(name: str, pairs: list[tuple[Cost, Cost]], counted: tuple[str, str]) -> None:
    """Print the ratios, and whether the target is met if there is one."""
    wall, cpu = (
        summary([(getattr(a, clock), getattr(b, clock)) for a, b in pairs]) for clock in ("wall", "cpu")
    )
    print(f"{name}: {seconds(wall)}; CPU {seconds(cpu)}")
    bytes_of, calls_of = (tuple(side.counts.get(key, 0) for side in pairs[-1]) for key in counted)
    if bytes_of[1]:
        print(
            f"  {bytes_of[0]:,} bytes against {bytes_of[1]:,}, in {calls_of[0]:,} calls against {calls_of[1]:,}"
        )
    if name in TARGETS:
        print(f"  target {TARGETS[name]}: {'met' if wall.ratio <= TARGETS[name] else 'MISSED'}")


def seconds(compared: Comparison) -> str:
    """Return a text with the medians and their ratio."""
    return f"{compared.a:.2f} s against {compared.b:.2f} s, ratio {compared}"


def write_plainly(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint with ``torch.save`` to a temporary path, fsync and rename."""
    temporary = path.with_suffix(".tmp")
    torch.save(checkpoint, temporary)
    descriptor = os.open(temporary, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    temporary.replace(path)


def main() -> None:
    """Run the benchmark and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=40_000_000)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to write; a temporary folder by default"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, optimizer = model_with_adam(options.parameters)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ours, plain = Path(folder) / "ours.pth", Path(folder) / "plain.pth"
        numbers = count()

        def save(path: Path = ours) -> None:
            save_checkpoint(model, path, optimizer)

        def save_plainly(path: Path = plain) -> None:
            write_plainly({"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, path)

        def save_new(saver: Callable[[Path], None]) -> None:
            saver(Path(folder) / f"new_{next(numbers)}.pth")

        def remove_new() -> None:
            for file in Path(folder).glob("new_*.pth"):
                file.unlink()
            os.sync()

        report(REPLACED, run_pairs(save, save_plainly, os.sync, options.pairs), WRITE_COUNTERS)
        report(
            NEW,
            run_pairs(lambda: save_new(save), lambda: save_new(save_plainly), remove_new, options.pairs),
            WRITE_COUNTERS,
        )
        remove_new()
        model.train_step = None
        runner = EpochBasedRunner(model, optimizer=optimizer, logger=logging.getLogger(), max_epochs=1)

        def save_in_background() -> None:
            runner.save_checkpoint(folder, ours.name, background=lambda error: None)

        def settle() -> None:
            runner.finish_saving()
            os.sync()

        stalls = run_pairs(save_in_background, save_plainly, settle, options.pairs + 1, warmup=0)
        settle()
        print(
            f"{STALL} of the first save: {stalls[0][0].wall:.2f} s; it also allocates the memory of the copy"
        )
        report(STALL, stalls[1:], WRITE_COUNTERS)
        save()
        report(
            READ,
            run_pairs(lambda: read_checkpoint(ours), lambda: torch.load(plain), bool, options.pairs),
            READ_COUNTERS,
        )


if __name__ == "__main__":
    main()
