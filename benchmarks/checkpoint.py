"""What it costs that a checkpoint is written whole, verified, and read safely.

A model of 100 million parameters with the state of Adam, 1.2 GB, is saved as cfgtrain saves
it and with ``torch.save`` + fsync, and read back as a resumed run reads it and with
``torch.load``.

What a save takes is mostly the system's: memory for the pages of a new file, and the disk.
Before each save therefore all files are removed and their pages given back, and which side
goes first changes from pair to pair, so that neither finds what the other has just freed. A
third line shows what that hides: ``torch.save`` over one file again and again finds the pages
of that file at hand, and loses the only checkpoint when it is cut short.

Wall time is what a run waits for; CPU time of the process, and the bytes and calls by which
it writes and reads, which no noise changes, stand beside it.
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
WRITTEN, READ = ("wchar", "syscw"), ("rchar", "syscr")  # bytes and calls, in the words of the system


class Cost(NamedTuple):
    """Seconds of a clock on the wall and of the processor, and bytes and calls that pass to or from files."""

    wall: float
    cpu: float
    counts: dict[str, int]


def model_with_adam(parameters: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model of so many parameters and an Adam that has stepped once."""
    side = int((parameters / 10) ** 0.5)
    model = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(10)))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return model, optimizer


def transfers() -> dict[str, int]:
    """Return the bytes and calls of this process so far, where the system counts them."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {name: int(count) for name, count in (line.split(": ") for line in lines)}


def cost_of(action: Callable[[], object]) -> Cost:
    """Run something and return what it cost."""
    before, wall, cpu = transfers(), time.perf_counter(), time.process_time()
    action()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(*seconds, {name: count - before[name] for name, count in transfers().items()})


def in_turn(
    a: Callable[[], object], b: Callable[[], object], prepare: Callable[[], object], pairs: int
) -> list[tuple[Cost, Cost]]:
    """Run both once to warm up and then in pairs, A B, B A, A B, ...; ``prepare`` comes before each."""
    found = []
    for number in range(pairs + 1):
        costs = {}
        for action in (a, b) if number % 2 else (b, a):
            prepare()
            costs[action] = cost_of(action)
        found.append((costs[a], costs[b]))
    return found[1:]


def report(name: str, pairs: list[tuple[Cost, Cost]], counted: tuple[str, str]) -> None:
    """Print the ratios, with a verdict where there is a target."""
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
    """Return the medians and their ratio."""
    return f"{compared.a:.2f} s against {compared.b:.2f} s, ratio {compared}"


def main() -> None:
    """Print the ratios."""
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

        report("save", in_turn(save, save_plainly, clear, options.pairs), WRITTEN)
        report(
            "torch.save over one file, not to a new one",
            in_turn(save_over, save_plainly, clear, options.pairs),
            WRITTEN,
        )
        same.unlink()
        save()
        save_plainly()
        report(
            "read",
            in_turn(lambda: read_checkpoint(ours), lambda: torch.load(plain), bool, options.pairs),
            READ,
        )


if __name__ == "__main__":
    main()
