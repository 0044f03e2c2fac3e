"""Training, validation and test with iterable datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import same

from cfgtrain.checkpoint import read_checkpoint

STREAMS = '''
import random

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from cfgtrain.data import DATASETS, Digits, accuracy


@DATASETS.register_module()
class DigitStream(IterableDataset):
    """Some digits; training images are shuffled and made noisy by the global random generators."""

    divides_itself = True

    def __init__(self, split, pipeline, count=90):
        self.digits = Digits(split, pipeline)
        self.count = count
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def own_share(self):
        worker = get_worker_info()
        return slice(worker.id, None, worker.num_workers) if worker else slice(None)

    def __iter__(self):
        noisy = self.digits.split == "train"
        order = list(range(self.epoch, self.epoch + self.count))[self.own_share()]
        if noisy:
            random.shuffle(order)
        for index in order:
            sample = self.digits[index]
            if noisy:
                sample["img"] = sample["img"] + 0.3 * torch.randn(sample["img"].shape) + np.random.normal()
            yield sample

    def evaluate(self, results, metric="accuracy", logger=None):
        return {metric: accuracy(results, self.digits.labels[: self.count])}


@DATASETS.register_module()
class ShardedDigits(DigitStream):
    """The same, but it is told its share."""

    divides_itself = False
    share = slice(0)

    def shard(self, index, count):
        self.share = slice(index, None, count)

    def own_share(self):
        return self.share


@DATASETS.register_module()
class UnsharedDigits(DigitStream):
    """The same, but it does not say how it is shared."""

    divides_itself = False
'''

CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=["streams"])
model = dict(dropout=0.2)
data = dict(
    samples_per_gpu=16,
    train=dict(type="{dataset}"),
    val=dict(type="DigitStream"),
    test=dict(type="DigitStream"),
    train_dataloader=dict(workers_per_gpu={workers}))
log_config = dict(interval=1)
checkpoint_config = dict(interval=1, by_epoch=False, max_keep_ckpts=-1)
lr_config = dict(_delete_=True, policy="fixed")
evaluation = dict(interval={interval})
workflow = {workflow}
runner = dict(_delete_=True, {runner})
"""

EPOCHS = {
    "runner": "type='EpochBasedRunner', max_epochs=2",
    "interval": 1,
    "workflow": [("train", 1), ("val", 1)],
}
ITERS = {
    "runner": "type='IterBasedRunner', max_iters=12",
    "interval": 4,
    "workflow": [("train", 3), ("val", 2)],
}


@pytest.fixture
def project(write: Callable[[str, str], Path], configs: Path) -> Callable[..., Path]:
    """Write a project whose config trains, validates and tests on iterable datasets."""

    def call(workers: int = 0, dataset: str = "DigitStream", **words: Any) -> Path:
        write("streams.py", STREAMS)
        base = str(configs / "digits" / "lenet5.py")
        text = CONFIG.format(base=base, workers=workers, dataset=dataset, **words)
        return write("small.py", text)

    return call


@pytest.mark.parametrize(
    ("dataset", "workers"), [("DigitStream", 0), ("DigitStream", 1), ("DigitStream", 2), ("ShardedDigits", 2)]
)
@pytest.mark.parametrize("words", [EPOCHS, ITERS], ids=["epoch", "iter"])
def test_iterable_datasets_train_and_resume(
    words: dict[str, Any], dataset: str, workers: int, project: Callable[..., Path], run: Callable[..., Any]
) -> None:
    """A resumed run on iterable datasets ends with the same bits as an uninterrupted one."""
    config = project(workers, dataset, **words)
    whole = run("train", config)
    assert whole.code == 0, whole.err
    assert "on 90 samples, with" in whole.out
    end = read_checkpoint("work_dirs/small/iter_12.pth")
    for done in (1, 4, 6, 8):
        resumed = run(
            "train", config, "--work-dir", f"again_{done}", "--resume", f"work_dirs/small/iter_{done}.pth"
        )
        assert resumed.code == 0, resumed.err
        again = read_checkpoint(f"again_{done}/iter_12.pth")
        assert same(again["state_dict"], end["state_dict"])
        assert same(again["optimizer"], end["optimizer"])
        assert same(again["resume"]["random"], end["resume"]["random"])
        assert again["meta"]["hook_msgs"]["best_score"] == end["meta"]["hook_msgs"]["best_score"]
        assert resumed.out.split("\n")[0] == whole.out.split("\n")[0]  # the test scores


def test_iterable_dataset_that_has_become_shorter(
    project: Callable[..., Path], run: Callable[..., Any]
) -> None:
    """Resuming at a position past the end of the dataset is an error."""
    config = project(**EPOCHS)
    assert run("train", config, "--cfg-options", "runner.max_epochs=1").code == 0
    resumed = run(
        "train", config, "--work-dir", "again", "--resume", "work_dirs/small/iter_4.pth",
        "--cfg-options", "+data.train.count=20",
    )  # fmt: skip
    assert resumed.code == 1
    assert "after 4 batches of its epoch, but the epoch now has only 2" in resumed.err


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("train", ["data.workers_per_gpu=2", "data.train.type=UnsharedDigits", "data.train_dataloader._delete_=True"]),
        ("val", ["+data.val_dataloader.workers_per_gpu=2", "data.val.type=UnsharedDigits"]),
        ("test", ["+data.test_dataloader.workers_per_gpu=2", "data.test.type=UnsharedDigits"]),
    ],
)  # fmt: skip
def test_stream_that_does_not_say_how_it_is_shared(
    part: str, words: list[str], project: Callable[..., Path], run: Callable[..., Any]
) -> None:
    """More than one worker is an error before the run that names the setting and both ways to share a stream."""
    failed = run("train", project(**EPOCHS), "--cfg-options", *words)
    assert failed.code == 2
    assert "UnsharedDigits is a stream" in failed.err
    assert "shard(index, count)" in failed.err
    assert "divides_itself = True" in failed.err
    assert "workers_per_gpu (" in failed.err
    assert not list(Path("work_dirs").rglob("*.pth"))
