"""What the loops of other libraries cost per iteration, beside those of cfgtrain.

``make bench-peers`` installs the libraries into an environment of their own and runs this file.

The training is that of ``loop.py``: a tiny MLP, batches in memory, SGD with momentum, a cosine
learning rate by iteration, timing, a log line every 50 iterations and a checkpoint at the end; no
validation, no progress bar. Each library does it the way its documentation tells, with the parts
that it brings for it; where that leaves a choice, the cheaper one is taken, and what a library
leaves to its user is done as in ``by_hand``. All are given the same list of batches, or what
iterates over it: no loader is measured. That all train the same is checked: they end with the
weights that ``by_hand`` ends with.

Every library has a process of its own, in which it takes turns with the bare loop every 50
iterations, and the processes take turns. Calls and CPU time are what a long run has more than a short one, so what
happens once in a run does not count. The table is in Markdown.
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
    in_turns,
    mlp,
    sgd,
    text_logger,
    write_line,
)
from paired import median_interval
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR


class Batches:
    """What the libraries want for a loader: it has a length, and a list is something else to them."""

    def __init__(self, batches: Any) -> None:
        self.dataset = batches  # MMEngine looks whether it has `metainfo`

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dataset)


class EndlessBatches(Batches):
    """The same again and again, as from the ``InfiniteSampler`` of MMEngine's loops by iteration."""

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
            "checkpoint": {"type": "CheckpointHook", "by_epoch": False},  # without an interval: the last one
        },
        log_processor={"by_epoch": False},
        experiment_name=folder.name,  # else it is the second of the start, which two runs here can share
    ).train()


def with_lightning(batches: list[Any], iters: int, model: Classifier, folder: Path) -> None:
    """Train with Lightning's ``Trainer``, which logs to a CSV file."""
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
    """Train with an ``Engine`` of PyTorch-Ignite and its handlers."""
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
    """Train with what Accelerate prepares, in a loop that its user writes."""
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
    """A row of the table: the package whose version is shown, if any, and the training."""

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
    """Use one thread, let no library write to the screen, and look for modules where a user's Python does.

    Accelerate searches the import path in every step for a package that it could use; the folders
    of a cfgtrain that can be edited are not to make that slower.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    places = (sys.prefix, sys.base_prefix, str(Path(__file__).parent))
    sys.path[:] = [entry for entry in sys.path if entry.startswith(places)]
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process lives


def end_of(train: Callable[..., None]) -> dict[str, Tensor]:
    """Return the weights after two epochs of 100 iterations."""
    model = mlp()
    with tempfile.TemporaryDirectory() as folder:
        train(batches_of((64,), 2 * INTERVAL), 4 * INTERVAL, model, Path(folder))
    return model.state_dict()


def extra_calls(name: str) -> dict[str, float]:
    """Return the calls per iteration more than the bare loop's, after a look at what is trained.

    Raises:
        ValueError: The loop ends with other weights than the one written by hand.
    """
    train = LOOPS[name].train
    torch.testing.assert_close(
        end_of(train),
        end_of(VARIANTS["written by hand"]),
        msg=lambda why: f"{name} trains something else: {why}",
    )
    floor, found = (calls_per_iter(loop, lines=True) for loop in (bare, train))
    return {event: found[event] - floor[event] for event in floor}


@cache
def epoch() -> list[Any]:
    """Return the batches of all runs that are timed, made once in a process."""
    return batches_of((64,), EPOCH)


def timed_pair(name: str, iters: int) -> tuple[float, float]:
    """Return the microseconds of an iteration of the bare loop, and of another in turns with it.

    They are what a run has more than one of 50 iterations.
    """
    train = LOOPS[name].train
    short, long = (in_turns(train, length, epoch()[:length]) for length in (INTERVAL, iters))
    floor, own = ((more - less) / (iters - INTERVAL) * 1e6 for less, more in zip(short, long, strict=True))
    return floor, own


def measure(names: list[str], iters: int, rounds: int) -> None:
    """Print the table, and why a loop is not in it."""
    processes = {
        name: ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=prepare_process)
        for name in names
    }
    calls = {}
    for name, process in processes.items():
        try:
            calls[name] = process.submit(extra_calls, name).result()
        except Exception as error:
            print(f"{name} is not measured: {type(error).__name__}: {error}")
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for at in range(rounds + 1):
        for name in calls:
            pair = processes[name].submit(timed_pair, name, iters).result()
            if at > 0:  # the first round only warms up
                pairs[name].append(pair)
    for process in processes.values():
        process.shutdown()
    floor = statistics.median(pair[0] for found in pairs.values() for pair in found)
    print(
        f"PyTorch {version('torch')}, Python {sys.version.split()[0]}; {rounds} rounds of {iters} iterations."
    )
    print(f"An iteration of the bare loop takes {floor:.0f} us of CPU time. More than it:\n")
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
    """Measure all loops, or those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--iters", type=int, default=1000, help=f"of the long run; the short one has {INTERVAL}"
    )
    parser.add_argument("--only", nargs="+", default=list(LOOPS), choices=list(LOOPS), metavar="LOOP")
    options = parser.parse_args()
    measure(options.only, options.iters, options.rounds)


if __name__ == "__main__":
    main()
