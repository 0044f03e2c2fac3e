"""Train for a million iterations, and check that the memory use does not grow.

A tiny model is trained by ``IterBasedRunner`` with the hooks of a typical training: learning rate schedule, optimizer,
timer, text and JSON log, and EMA of the weights. The memory is measured at regular intervals. The first tenth of the
measurements is ignored, since caches are filled during that time.

    python scripts/soak.py                      # 10^6 iterations, a few minutes
    python scripts/soak.py --iters 100000 --runner epoch
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgtrain.runner import EpochBasedRunner, Hook, IterBasedRunner

MAX_GROWTH_KB = 4096


class Net(nn.Module):
    """A minimal model for a runner."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(4))

    def train_step(self, batch: torch.Tensor, optimizer: Any) -> dict[str, Any]:
        """Return the squared distance of ``w`` from a batch (4,) as the loss."""
        loss = (self.w - batch).square().sum()
        return {"loss": loss, "log_vars": {"loss": loss.detach(), "norm": 1.0}, "num_samples": 1}


class Memory(Hook):
    """Records the resident memory and the number of Python objects, a hundred times in a run."""

    def __init__(self, iters: int) -> None:
        self.interval = max(1, iters // 100)
        self.samples: list[tuple[int, int, int]] = []

    def after_train_iter(self, runner: Any) -> None:
        """Measure after a garbage collection, so that only referenced objects count."""
        if self.every_n_iters(runner, self.interval):
            gc.collect()
            self.samples.append((runner.iter + 1, resident_kb(), len(gc.get_objects())))


def resident_kb() -> int:
    """Return the resident memory of this process in KB (Linux only)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit("/proc/self/status does not contain the memory of the process on this system.")


def main() -> None:
    """Run the training, print the measurements, and exit with 1 if the memory use grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iters", type=int, default=1_000_000)
    parser.add_argument("--runner", choices=["iter", "epoch"], default="iter")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logger = logging.getLogger("soak")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    batches = list(torch.randn(1000, 4))
    model = Net()
    by_epoch = options.runner == "epoch"
    length = {"max_epochs": -(-options.iters // len(batches))} if by_epoch else {"max_iters": options.iters}
    with tempfile.TemporaryDirectory() as folder:
        runner = (EpochBasedRunner if by_epoch else IterBasedRunner)(
            model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
            work_dir=folder,
            logger=logger,
            meta={},
            **length,
        )
        runner.register_training_hooks(
            {"policy": "CosineAnnealing", "min_lr": 0, "by_epoch": False},
            {"grad_clip": {"max_norm": 1.0}},
            {"interval": max(1, (length.get("max_epochs") or options.iters) // 10), "max_keep_ckpts": 1},
            {"interval": 50, "hooks": [{"type": "TextLoggerHook"}]},
            custom_hooks_config=[{"type": "EMAHook"}],
        )
        memory = Memory(options.iters)
        runner.register_hook(memory, "LOWEST")
        started = time.perf_counter()
        runner.run([batches], [("train", 1)])
    seconds = time.perf_counter() - started
    settled = memory.samples[len(memory.samples) // 10 :]
    print(f"{runner.iter:,} iterations in {seconds:.0f} s, {seconds / runner.iter * 1e6:.0f} us each")
    for at, kb, objects in settled[:: max(1, len(settled) // 10)]:
        print(f"  after {at:>9,}: {kb:,} KB, {objects:,} objects")
    growth, new_objects = settled[-1][1] - settled[0][1], settled[-1][2] - settled[0][2]
    print(f"From iteration {settled[0][0]:,} on: {growth:+,} KB, {new_objects:+,} objects")
    sys.exit(growth > MAX_GROWTH_KB or new_objects > 100)


if __name__ == "__main__":
    main()
