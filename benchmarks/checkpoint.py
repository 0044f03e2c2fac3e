"""What it costs that a checkpoint is written whole, verified, and read safely.

A model of 100 million parameters with the state of Adam, 1.2 GB, is saved as cfgtrain saves
it and with ``torch.save`` + fsync, and read back as a resumed run reads it and with
``torch.load``. Wall time is what a run waits for, as most of it is the disk's; CPU time is
shown beside it.

A run writes each checkpoint to a new file and removes an older one, and so does the
``torch.save`` it is compared with. Writing over the same file again and again is cheaper,
as the system has its pages at hand, and loses the only checkpoint when it is cut short; it
is measured as well.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from paired import Comparison, compare, summary
from torch import nn

from cfgtrain.checkpoint import read_checkpoint, save_checkpoint

TARGETS = {"save": 1.3, "save, against writing over one file": 1.3, "read": 1.2}


def model_with_adam(parameters: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model of so many parameters and an Adam that has stepped once."""
    side = int((parameters / 10) ** 0.5)
    model = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(10)))
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return model, optimizer


def both_clocks(
    a: Callable[[], object], b: Callable[[], object], pairs: int
) -> tuple[Comparison, Comparison]:
    """Compare by wall time and by CPU time of the whole process, in the same runs."""
    cpu_times: list[tuple[float, float]] = []

    def timed(action: Callable[[], object], first: bool) -> float:
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        seconds = time.process_time() - cpu
        cpu_times.append((seconds, 0.0)) if first else cpu_times.append((cpu_times.pop()[0], seconds))
        return time.perf_counter() - wall

    wall = compare(lambda: timed(a, True), lambda: timed(b, False), pairs)
    return wall, summary(cpu_times[1:])  # the first pair only warmed up


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
        ours, plain, older = (Path(folder) / name for name in ("ours.pth", "plain.pth", "older.pth"))

        def save_plainly() -> None:
            with plain.open("wb") as file:
                torch.save({"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
                file.flush()
                os.fsync(file.fileno())

        def save_plainly_anew() -> None:
            plain.rename(older)
            save_plainly()
            older.unlink()

        save_plainly()
        results = {
            "save": both_clocks(
                lambda: save_checkpoint(model, ours, optimizer), save_plainly_anew, options.pairs
            ),
            "save, against writing over one file": both_clocks(
                lambda: save_checkpoint(model, ours, optimizer), save_plainly, options.pairs
            ),
            "read": both_clocks(lambda: read_checkpoint(ours), lambda: torch.load(plain), options.pairs),
        }
    for name, (wall, cpu) in results.items():
        verdict = "met" if wall.ratio <= TARGETS[name] else "MISSED"
        print(
            f"{name}: {wall.a:.2f} s against {wall.b:.2f} s, ratio {wall}, target {TARGETS[name]}: {verdict}; "
            f"CPU ratio {cpu}"
        )


if __name__ == "__main__":
    main()
