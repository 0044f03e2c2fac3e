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

    def __init__(self, split, pipeline, count=90):
        self.digits = Digits(split, pipeline)
        self.count = count
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        noisy = self.digits.split == "train"
        order = list(range(self.epoch, self.epoch + self.count))
        if noisy:
            random.shuffle(order)
        worker = get_worker_info()
        for index in order[worker.id :: worker.num_workers] if worker else order:
            sample = self.digits[index]
            if noisy:
                sample["img"] = sample["img"] + 0.3 * torch.randn(sample["img"].shape) + np.random.normal()
            yield sample

    def evaluate(self, results, metric="accuracy", logger=None):
        return {metric: accuracy(results, self.digits.labels[: self.count])}
'''

CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=["streams"])
model = dict(dropout=0.2)
data = dict(
    samples_per_gpu=16,
    train=dict(type="DigitStream"),
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

    def call(workers: int = 0, **words: Any) -> Path:
        write("streams.py", STREAMS)
        text = CONFIG.format(base=str(configs / "digits" / "lenet5.py"), workers=workers, **words)
        return write("small.py", text)

    return call


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("words", [EPOCHS, ITERS], ids=["epoch", "iter"])
def test_iterable_datasets_train_and_resume(
    words: dict[str, Any], workers: int, project: Callable[..., Path], run: Callable[..., Any]
) -> None:
    """A resumed run on iterable datasets ends with the same bits as an uninterrupted one."""
    config = project(workers, **words)
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
