"""Measure the overhead of the training loops of other libraries per iteration, compared with those of cfgtrain.

``make bench-peers`` installs the libraries to a separate environment and runs this file.

The training is that of ``loop.py``: a tiny MLP, batches in memory, SGD with momentum, a cosine learning rate by
iteration, timing, a log line every 50 iterations and a checkpoint at the end, without validation or progress bar. Each
library is used as its documentation recommends, with its own components. If there is a choice, the cheaper one is
taken. What a library leaves to its user is done as in ``by_hand``. All of them get the same list of batches or an
iterable over it, so no loader is measured. A check ensures that all of them train the same: their final weights must
be those of ``by_hand``.

Every library runs in its own process, where it alternates with the bare loop every 50 iterations, and the processes
alternate as well. Calls and CPU time are computed from the difference between a long and a short run, so that work
done once per run does not count. The result is a table in Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch
from loop import (
    EPOCH,
    INTERVAL,
    VARIANTS,
    Classifier,
    bare,
    batches_of,
    calls_per_iter,
    close,
    mlp,
    sgd,
    text_logger,
    time_alternating,
    write_line,
)
from paired import median_interval
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR


class Batches:
    """A minimal loader with a length; the libraries do not accept a list as a loader."""

    def __init__(self, batches: Any) -> None:
        self.dataset = batches  # MMEngine checks it for an attribute `metainfo`

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dataset)


class EndlessBatches(Batches):
    """Repeats the batches endlessly, like the ``InfiniteSampler`` of MMEngine's ``IterBasedTrainLoop``."""

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(itertools.repeat(self.dataset))


def with_mmengine(batches: list[Any], iters: int, model: Classifier, folder: Path) -> None:
    """Train with MMEngine's ``Runner``, its ``IterBasedTrainLoop`` and its default hooks."""
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Net(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.network

        def forward(self, inputs: Tensor, labels: Tensor, mode: str = "tensor") -> Any:
            scores = self.network(inputs)
            return {"loss": functional.cross_entropy(scores, labels)} if mode == "loss" else scores

    Runner(
        model=Net(),
        work_dir=str(folder),
        train_dataloader=EndlessBatches(batches),
        train_cfg={"by_epoch": False, "max_iters": iters},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
        param_scheduler={"type": "CosineAnnealingLR", "by_epoch": False, "T_max": iters},
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": INTERVAL},
            "checkpoint": {
                "type": "CheckpointHook",
                "by_epoch": False,
            },  # without an interval, only the last one
        },
        log_processor={"by_epoch": False},
        experiment_name=folder.name,  # the default is the start time in seconds, which two runs could share
    ).train()


def with_lightning(batches: list[Any], iters: int, model: Classifier, folder: Path) -> None:
    """Train with Lightning's ``Trainer`` and its CSV logger."""
    from lightning import LightningModule, Trainer
    from lightning.pytorch.callbacks import LearningRateMonitor, ThroughputMonitor
    from lightning.pytorch.loggers import CSVLogger

    class Net(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.network

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            loss = functional.cross_entropy(self.network(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = sgd(self)
            scheduler = CosineAnnealingLR(optimizer, self.trainer.max_steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=iters,
        log_every_n_steps=INTERVAL,
        logger=CSVLogger(folder),
        callbacks=[LearningRateMonitor("step"), ThroughputMonitor(lambda batch: len(batch[0]))],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(), Batches(batches))
    trainer.save_checkpoint(folder / "end.ckpt")


def with_ignite(batches: list[Any], iters: int, model: Classifier, folder: Path) -> None:
    """Train with PyTorch-Ignite's ``Engine`` and its handlers."""
    from ignite.engine import Events, create_supervised_trainer
    from ignite.handlers import Checkpoint, CosineAnnealingScheduler, DiskSaver, Timer
    from ignite.metrics import RunningAverage

    network, logger = model.network, text_logger(folder)
    optimizer = sgd(network)
    trainer = create_supervised_trainer(network, optimizer, functional.cross_entropy)
    trainer.add_event_handler(
        Events.ITERATION_STARTED, CosineAnnealingScheduler(optimizer, "lr", 0.01, 0.0, cycle_size=iters)
    )
    RunningAverage(output_transform=lambda loss: loss).attach(trainer, "loss")
    timer = Timer(average=True)
    timer.attach(
        trainer,
        resume=Events.ITERATION_STARTED,
        pause=Events.ITERATION_COMPLETED,
        step=Events.ITERATION_COMPLETED,
    )
    with (folder / "ignite.log.json").open("a") as log:

        @trainer.on(Events.ITERATION_COMPLETED(every=INTERVAL))
        def write(engine: Any) -> None:
            lr, loss = optimizer.param_groups[0]["lr"], torch.tensor(engine.state.metrics["loss"])
            write_line(logger, log, engine.state.iteration, iters, lr, [loss], [timer.value()], [0.0])
            timer.reset()

        saved = {"model": network, "optimizer": optimizer, "trainer": trainer}
        trainer.add_event_handler(
            Events.COMPLETED, Checkpoint(saved, DiskSaver(str(folder), require_empty=False))
        )
        trainer.run(batches, max_iters=iters)
    close(logger)


def with_accelerate(batches: list[Any], iters: int, model: Classifier, folder: Path) -> None:
    """Train with objects prepared by Accelerate, in a loop written by hand."""
    from accelerate import Accelerator

    accelerator, logger = Accelerator(cpu=True), text_logger(folder)
    unwrapped = sgd(model.network)
    network, optimizer, scheduler = accelerator.prepare(
        model.network, unwrapped, CosineAnnealingLR(unwrapped, iters)
    )
    losses: list[Tensor] = []
    times: list[float] = []
    waits: list[float] = []
    network.train()
    done, last = 0, time.perf_counter()
    with (folder / "accelerate.log.json").open("a") as log:
        while done < iters:
            for inputs, labels in batches[: iters - done]:
                waits.append(time.perf_counter() - last)
                optimizer.zero_grad()
                loss = functional.cross_entropy(network(inputs), labels)
                losses.append(loss.detach())
                accelerator.backward(loss)
                optimizer.step()
                scheduler.step()
                done += 1
                now = time.perf_counter()
                times.append(now - last)
                last = now
                if done % INTERVAL == 0:
                    write_line(logger, log, done, iters, scheduler.get_last_lr()[0], losses, times, waits)
                    losses, times, waits = [], [], []
    accelerator.save_state(folder / "end")
    close(logger)


class Loop(NamedTuple):
    """A row of the table: the package whose version is shown, or None, and the training function."""

    package: str | None
    train: Callable[..., None]


LOOPS = {
    "written by hand": Loop(None, VARIANTS["written by hand"]),
    "cfgtrain, `EpochBasedRunner`": Loop("cfgtrain", VARIANTS["EpochBasedRunner"]),
    "cfgtrain, `IterBasedRunner`": Loop("cfgtrain", VARIANTS["IterBasedRunner"]),
    "Accelerate": Loop("accelerate", with_accelerate),
    "PyTorch-Ignite": Loop("pytorch-ignite", with_ignite),
    "MMEngine": Loop("mmengine-lite", with_mmengine),
    "Lightning": Loop("lightning", with_lightning),
}


def prepare_process() -> None:
    """Use one thread, suppress all output, and remove unusual folders from the import path.

    In every step, Accelerate searches the import path for an optional package. The folders of an editable install of
    cfgtrain would make this slower.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folders = (sys.prefix, sys.base_prefix, str(Path(__file__).parent))
    sys.path[:] = [entry for entry in sys.path if entry.startswith(folders)]
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open until the process ends


def end_of(train: Callable[..., None]) -> dict[str, Tensor]:
    """Return the final weights after two epochs of 100 iterations."""
    model = mlp()
    with tempfile.TemporaryDirectory() as folder:
        train(batches_of((64,), 2 * INTERVAL), 4 * INTERVAL, model, Path(folder))
    return model.state_dict()


def extra_calls(name: str) -> dict[str, float]:
    """Return the calls per iteration in addition to those of the bare loop, after checking the final weights.

    Raises:
        AssertionError: The final weights differ from those of the loop written by hand.
    """
    train = LOOPS[name].train
    torch.testing.assert_close(
        end_of(train),
        end_of(VARIANTS["written by hand"]),
        msg=lambda reason: f"{name} trains differently: {reason}",
    )
    floor, found = (calls_per_iter(loop, lines=True) for loop in (bare, train))
    return {event: found[event] - floor[event] for event in floor}


@cache
def epoch() -> list[Any]:
    """Return the batches of all timed runs, created once per process."""
    return batches_of((64,), EPOCH)


def timed_pair(name: str, iters: int) -> tuple[float, float]:
    """Return the microseconds per iteration of the bare loop, and of another loop that alternates with it.

    They are computed from the difference between a run of ``iters`` and a run of 50 iterations.
    """
    train = LOOPS[name].train
    short, long = (time_alternating(train, length, epoch()[:length]) for length in (INTERVAL, iters))
    floor, own = ((more - less) / (iters - INTERVAL) * 1e6 for less, more in zip(short, long, strict=True))
    return floor, own


def measure(names: list[str], iters: int, rounds: int) -> None:
    """Measure the loops and print the table, or the reason why a loop cannot be measured."""
    processes = {
        name: ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=prepare_process)
        for name in names
    }
    calls = {}
    for name, process in processes.items():
        try:
            calls[name] = process.submit(extra_calls, name).result()
        except Exception as error:
            print(f"{name} cannot be measured: {type(error).__name__}: {error}")
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for at in range(rounds + 1):
        for name in calls:
            pair = processes[name].submit(timed_pair, name, iters).result()
            if at > 0:  # the first round is a warm-up
                pairs[name].append(pair)
    for process in processes.values():
        process.shutdown()
    floor = statistics.median(pair[0] for found in pairs.values() for pair in found)
    print(
        f"PyTorch {version('torch')}, Python {sys.version.split()[0]}; {rounds} rounds of {iters} iterations."
    )
    print(f"An iteration of the bare loop takes {floor:.0f} us of CPU time. In addition to it:\n")
    print("| loop | version | Python calls | C calls | CPU time, us (95 %) |")
    print("|---|---|---|---|---|")
    for name, found in calls.items():
        package = LOOPS[name].package
        added = [theirs - ours for ours, theirs in pairs[name]]
        low, high = median_interval(added)
        print(
            f"| {name} | {version(package) if package else ''} | {found['call']:.0f} | {found['c_call']:.0f} "
            f"| {statistics.median(added):.0f} ({low:.0f} to {high:.0f}) |"
        )


def main() -> None:
    """Measure all loops, or those given by ``--only``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--iters", type=int, default=1000, help=f"iterations of the long run; the short one has {INTERVAL}"
    )
    parser.add_argument("--only", nargs="+", default=list(LOOPS), choices=list(LOOPS), metavar="LOOP")
    options = parser.parse_args()
    measure(options.only, options.iters, options.rounds)


if __name__ == "__main__":
    main()
