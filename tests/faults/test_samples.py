"""Samples that cannot be loaded, and non-finite losses, are reported with their location."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from faults.experiment import Forker, lines, newest, options

WORDS = ["train", "epoch.py", "--work-dir", "run"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_sample_that_raises_is_named(part: str, workers: int, forker: Forker) -> None:
    """The message has the index, the dataset, the source of the sample and the error."""
    text = forker.run(*WORDS, *options(workers), code=1, FAULTS=f"{part}-sample:5:raise")
    told = "Sample 5 of Marks (marks/5.bin) cannot be loaded: ValueError: this one is broken"
    assert told in " ".join(text.split())


@pytest.mark.parametrize(("name", "asked_every"), [("SIGKILL", 5.0), ("SIGSEGV", 0.2)])
def test_a_killed_worker_is_reported_with_its_sample(name: str, asked_every: float, forker: Forker) -> None:
    """The message has the index and the source of the sample that the worker was loading."""
    with Path("parts.py").open("a") as file:
        file.write(
            "\n\nfrom torch.utils.data.dataloader import _MultiProcessingDataLoaderIter as Batches\n"
            f"Batches._try_get_data.__defaults__ = ({asked_every},)\n"
        )
    text = forker.run(*WORDS, *options(2), code=1, FAULTS=f"train-sample:5:{name}")
    assert "The workers were loading:" in text
    assert "Sample 5 of Marks (marks/5.bin)" in text


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_non_finite_loss_stops_the_run(kind: str, workers: int, forker: Forker) -> None:
    """The message has the iteration, the samples of its batch and the last good checkpoint, which is kept."""
    words = ["train", f"{kind}.py", "--work-dir", "run"]
    with Path("parts.py").open("a") as file:
        file.write(
            "\n\nwhole_step = Net.train_step\n\n"
            "def train_step(self, data, optimizer=None):\n"
            "    times['step'] += 1\n"
            "    outputs = whole_step(self, data, optimizer)\n"
            "    if times['step'] == 17:\n"
            "        outputs['loss'] = outputs['loss'] * float('nan')\n"
            "        outputs['log_vars']['loss'] = outputs['loss'].detach()\n"
            "    return outputs\n\n"
            "Net.train_step = train_step\n"
        )
    more = ["+checkpoint_config.max_keep_ckpts=1", "log_config.interval=100", "evaluation=None"]
    text = " ".join(forker.run(*words, *options(workers, *more), code=1).split())
    told = re.search(
        r"The loss is nan at iteration 17 \(epoch 3, batch 5, samples ([\d, ]+)\). The run is stopped",
        text,
    )
    assert told is not None, text
    assert "iter_14.pth" in text.split("The run is stopped")[1]
    assert newest(Path("run"))["resume"]["position"]["iter"] == 14
    if workers == 0:
        read = [int(index) for index in lines("read-train", "first")]
        assert read[2 * 22 + 4 * 4 :][:4] == [int(index) for index in told[1].split(",")]


def test_non_finite_weights_are_not_saved(forker: Forker) -> None:
    """If a step makes the weights non-finite, the last good checkpoint is kept."""
    with Path("parts.py").open("a") as file:
        file.write(
            "\n\nnoted = Probe.after_train_iter\n\n"
            "def ruin(self, runner):\n"
            "    noted(self, runner)\n"
            "    if runner.iter + 1 == 22:\n"
            "        runner.model.layer.weight.data[1, 2] = float('inf')\n\n"
            "Probe.after_train_iter = ruin\n"
        )
    more = ["+checkpoint_config.max_keep_ckpts=1", "evaluation=None"]
    text = " ".join(forker.run(*WORDS, *options(0, *more), code=1).split())
    assert "The weight layer.weight is inf at iteration 22 (epoch 4, batch 4, samples " in text
    assert newest(Path("run"))["resume"]["position"]["iter"] == 14
