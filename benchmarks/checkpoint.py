"""Measure the cost of writing checkpoints atomically with a digest, and of reading them safely.

A model with 100 million parameters and the state of Adam, 1.2 GB in total, is saved by cfgtrain and by ``torch.save``
with fsync, and read by cfgtrain, as for resuming a run, and by ``torch.load``.

Most of the time of a save is spent by the operating system, for the memory pages of a new file and for the disk.
Therefore all files are removed before each save, and the order of the two sides alternates from pair to pair, so that
neither side profits from memory that the other one has just freed. A third measurement shows ``torch.save`` to the same
file again and again. It reuses the pages of that file, but it destroys the only checkpoint if it is interrupted.

The wall time is what a run waits for. The CPU time of the process is reported too, and the numbers of bytes and system
calls for writing and reading, which are not affected by noise.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from paired import Comparison, summary
from torch import nn

from cfgtrain.checkpoint import read_checkpoint, save_checkpoint

TARGETS = {"save": 1.3, "read": 1.2}
WRITTEN, READ = ("wchar", "syscw"), ("rchar", "syscr")  # keys of /proc/self/io for bytes and calls


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
    a: Callable[[], object], b: Callable[[], object], prepare: Callable[[], object], pairs: int
) -> list[tuple[Cost, Cost]]:
    """Run two actions in pairs A B, B A, A B, ..., after a warm-up pair; ``prepare`` is called before each action."""
    found = []
    for number in range(pairs + 1):
        costs = {}
        for action in (a, b) if number % 2 else (b, a):
            prepare()
            costs[action] = cost_of(action)
        found.append((costs[a], costs[b]))
    return found[1:]


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


def main() -> None:
    """Run the benchmark and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=100_000_000)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to write; a temporary folder by default"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, optimizer = model_with_adam(options.parameters)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ours, plain, same = (Path(folder) / name for name in ("ours.pth", "plain.pth", "same.pth"))

        def save() -> None:
            save_checkpoint(model, ours, optimizer)

        def save_plainly(path: Path = plain) -> None:
            with path.open("wb") as file:
                torch.save({"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
                file.flush()
                os.fsync(file.fileno())

        def save_over() -> None:
            save_plainly(same)

        def clear() -> None:
            for file in (ours, plain):
                file.unlink(missing_ok=True)
            os.sync()

        report("save", run_pairs(save, save_plainly, clear, options.pairs), WRITTEN)
        report(
            "torch.save to the same file instead of a new one",
            run_pairs(save_over, save_plainly, clear, options.pairs),
            WRITTEN,
        )
        same.unlink()
        save()
        save_plainly()
        report(
            "read",
            run_pairs(lambda: read_checkpoint(ours), lambda: torch.load(plain), bool, options.pairs),
            READ,
        )


if __name__ == "__main__":
    main()
