"""Compare the runner with a hand-written loop when two processes train with DistributedDataParallel.

Two processes on this machine communicate by gloo and train the tiny MLP of ``loop.py``. The reference is a bare loop
around torch's ``DistributedDataParallel``: forward, ``zero_grad``, ``backward`` and ``step``. It is compared with

- itself, which shows the noise;
- the same loop with a learning rate policy, timing and logs, written by hand;
- ``EpochBasedRunner`` and ``IterBasedRunner`` with hooks that do the same, and with the coordinator by which processes
  agree on where they stop.

The budget of a runner is 1.10 of the CPU time of the bare loop. Both loops train in the same two processes and
the same process group, and alternate every 200 iterations, so that both get the same noise. The CPU time of a part is
that of all threads of both processes, those of gloo and autograd included; that of the main threads alone is shown
too, since it varies less. The thread of the coordinator also runs while the other loop trains; its time is counted as the
runner's only. The start of the run and its first part are not counted.

What noise does not affect is counted: calls of functions per iteration, collectives and how many numbers they
transfer, and the operators with ``precision='bf16'`` and ``compile``.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loop
import precision
import torch
from loop import INTERVAL, Classifier, batches_of, mlp, train_on, verdict
from paired import Alternating, summary
from torch import distributed as dist
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from cfgtrain.parallel import MMDistributedDataParallel
from cfgtrain.parallel.coordinator import Coordinator
from cfgtrain.parallel.launch import process_group

PROCESSES = 2
MAX_RATIO = 1.10  # of the CPU time of the bare loop
PART = 4 * INTERVAL  # iterations


class ByHand(DistributedDataParallel):
    """A distributed network with a ``train_step``, for the loops written by hand."""

    def __init__(self, model: Classifier) -> None:
        super().__init__(model.network)

    def train_step(self, batch: Any, optimizer: Any = None) -> dict[str, Any]:
        """Return the loss of a batch of inputs (B, ...) and class indices (B,)."""
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        return {"loss": loss, "log_vars": {"loss": loss.detach()}}


def variants(coordinator: Coordinator) -> dict[str, Callable[..., None]]:
    """Return the loops by name; their arguments are those of the loops in ``loop.py``."""

    def bare(batches: Any, iters: int, model: Classifier, folder: Path) -> None:
        loop.bare(batches, iters, ByHand(model), folder)

    def by_hand(batches: Any, iters: int, model: Classifier, folder: Path) -> None:
        loop.by_hand(batches, iters, ByHand(model), folder)

    def runner(kind: str) -> Callable[..., None]:
        def train(batches: Any, iters: int, model: Classifier, folder: Path) -> None:
            wrapped = MMDistributedDataParallel(model)
            loop.with_runner(kind, batches, iters, wrapped, folder, coordinator=coordinator)

        return train

    return {
        "bare loop": bare,
        "written by hand": by_hand,
        "EpochBasedRunner": runner("epoch"),
        "IterBasedRunner": runner("iter"),
    }


class Clock:
    """Reads the CPU seconds of this process: of all threads, of the main thread, and of the coordinator's thread."""

    def __init__(self) -> None:
        thread = next(each for each in threading.enumerate() if each.name == "cfgtrain-coordinator")
        self._coordinator = time.pthread_getcpuclockid(thread.ident or 0)

    def __call__(self) -> tuple[float, float, float]:
        """Return the three times."""
        return time.process_time(), time.thread_time(), time.clock_gettime(self._coordinator)


def timed(train: Callable[..., None], clock: Clock, pairs: int) -> list[list[tuple[float, float]]]:
    """Return pairs of CPU seconds of a loop and of the bare loop, summed over the processes.

    Returns:
        Those of all threads, and those of the main threads.
    """
    other = ByHand(mlp())
    optimizer = loop.sgd(other)
    batches = batches_of((64,), PART)
    # The first part is a warm-up; the end of the last is not seen in a run that is counted in iterations.
    turns = Alternating(batches * (pairs + 2), PART, lambda part: train_on(part, other, optimizer), clock)
    with tempfile.TemporaryDirectory() as folder:
        train(turns, len(turns), mlp(), Path(folder))
    rows = []
    for before, between, after in turns.readings[1 : pairs + 1]:
        bare, own = (
            [y - x for x, y in zip(*ends, strict=True)] for ends in ((before, between), (between, after))
        )
        rows.append([own[0], bare[0] - bare[2], own[1], bare[1]])
    seconds = torch.tensor(rows, dtype=torch.float64)
    dist.all_reduce(seconds)
    return [[(row[at], row[at + 1]) for row in seconds.tolist()] for at in (0, 2)]


def collectives(train: Callable[..., None]) -> Counter[tuple[str, int]]:
    """Return the collectives of two iterations on a ResNet-18: their kinds and numbers of elements."""
    return Counter(
        (event.name.removeprefix("gloo:"), sum(map(_count, event.input_shapes)))
        for event in loop.profiled(train).events() or ()
        if event.name.startswith("gloo:")
    )


def _count(shape: Any) -> int:
    return torch.Size(shape).numel() if shape else 0


def report_calls(loops: dict[str, Callable[..., None]], show: Callable[[str], None]) -> bool:
    """Print the calls per iteration."""
    floor = loop.calls_per_iter(loops["bare loop"], lines=False)
    show("Calls per iteration, of Python functions + of C functions called from Python:")
    show(f"  {'bare loop':<18} {floor['call']:.0f} + {floor['c_call']:.0f}")
    for name in list(loops)[1:]:
        found = loop.calls_per_iter(loops[name], lines=False)
        more = {event: found[event] - floor[event] for event in floor}
        show(f"  {name:<18} {more['call']:.0f} + {more['c_call']:.0f} more")
    return True


def report_collectives(loops: dict[str, Callable[..., None]], show: Callable[[str], None]) -> bool:
    """Print the collectives; return whether all loops have the same."""
    floor = collectives(loops["bare loop"])
    values = sum(size * count for (_, size), count in floor.items())
    show(
        f"Collectives of two iterations on a ResNet-18 at 32x32: {floor.total()} in the bare loop, of {values} numbers "
        f"({4 * values / 1e6:.1f} MB in float32)"
    )
    same = True
    for name in list(loops)[1:]:
        counts = collectives(loops[name])
        different = {key: (floor[key], counts[key]) for key in floor | counts if floor[key] != counts[key]}
        same = same and not different
        show(f"  {name:<18} {different or 'the same'}")
    return same


def report_operators(backend: str, show: Callable[[str], None]) -> bool:
    """Print the operators with keys for precision and speed; return whether those of the runner are the same."""
    show("Operators of two iterations of a small convolutional network:")
    same = True
    for keys in ((), ("bf16",), ("compile",), ("channels_last",), ("compile", "bf16")):
        torch.compiler.reset()
        hand = precision.by_hand(keys, backend, DistributedDataParallel)
        torch.compiler.reset()
        ours = precision.with_runner(keys, backend, MMDistributedDataParallel)
        different = {key: (hand[key], ours[key]) for key in hand | ours if hand[key] != ours[key]}
        same = same and not different
        show(
            f"  {' + '.join(keys) or 'float32':<31} {hand.total()} by hand, {ours.total()} with a runner: "
            f"{different or 'the same'}"
        )
    return same


def report_time(loops: dict[str, Callable[..., None]], pairs: int, show: Callable[[str], None]) -> bool:
    """Print the ratios of the CPU times; return whether they are within the budget."""
    show(
        f"CPU time of {PROCESSES} processes relative to the bare loop, median of {pairs} pairs of {PART} iterations each:"
    )
    clock = Clock()
    is_within = True
    for name, train in loops.items():
        whole, main = map(summary, timed(train, clock, pairs))
        us = whole.b / PART / PROCESSES * 1e6
        met = whole.ratio <= MAX_RATIO
        is_within = is_within and (met or "Runner" not in name)
        budget = f"; budget {MAX_RATIO:.2f}: {verdict(met)}" if "Runner" in name else ""
        show(
            f"  {name:<18} {whole}; main threads {main}; bare loop {us:.0f} us per process and iteration{budget}"
        )
    return is_within


def work(rank: int, port: int, options: argparse.Namespace) -> None:
    """Measure in one of the processes; that of rank 0 prints.

    Raises:
        SystemExit: A budget is missed.
    """
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)

    def show(line: str) -> None:
        if rank == 0:
            print(line, flush=True)

    with process_group("pytorch", "cpu") as coordinator:
        if coordinator is None:
            raise RuntimeError("There is no process group.")
        loops = variants(coordinator)
        reports = {
            "calls": lambda: report_calls(loops, show),
            "collectives": lambda: report_collectives(loops, show),
            "operators": lambda: report_operators(options.backend, show),
            "time": lambda: report_time(loops, options.pairs, show),
        }
        results = [report() for name, report in reports.items() if name in options.only]
    if not all(results):
        sys.exit(1)


def main() -> None:
    """Start the processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--backend", default="aot_eager", help="of torch.compile; aot_eager by default")
    names = ["calls", "collectives", "operators", "time"]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="REPORT")
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        torch.multiprocessing.spawn(work, (port, options), PROCESSES)
    except torch.multiprocessing.ProcessExitedException as error:
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
