from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import same

from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.config import Config
from cfgtrain.train import train

CLASSIFIER = {
    "type": "ImageClassifier",
    "backbone": {"type": "LeNet5"},
    "neck": {"type": "GlobalAveragePooling"},
    "head": {"type": "LinearClsHead", "num_classes": 3, "loss": "FocalLoss"},
    "dropout": 0.1,
    "augments": [{"type": "Mixup"}, {"type": "CutMix"}],
}
TRANSFORMER = {
    "type": "TinyTransformer",
    "vocab_size": 5,
    "block_size": 6,
    "embed_dims": 8,
    "num_layers": 1,
    "num_heads": 2,
    "dropout": 0.2,
}


class Images:
    """Seven images and labels."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "img": torch.full((1, 32, 32), index / 7) + 0.1 * torch.randn(1, 32, 32),
            "gt_label": index % 3,
        }


class Tokens:
    """Seven sequences of tokens."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict[str, Any]:
        tokens = (torch.arange(7) * index) % 5
        return {"inputs": tokens[:-1], "targets": tokens[1:]}


@pytest.mark.parametrize(("model", "data"), [(CLASSIFIER, "Images"), (TRANSFORMER, "Tokens")])
def test_a_resumed_run_has_the_same_bits(
    model: dict[str, Any], data: str, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    """Dropout and mixed batches continue with the random numbers of an unbroken run."""

    def run(name: str, epochs: int) -> dict[str, Any]:
        cfg = Config.fromfile(write("cfg.py", "optimizer = dict(type='SGD', lr=0.1, momentum=0.9)\n"))
        cfg.model = model
        cfg.data = {"samples_per_gpu": 3, "train": {"type": f"{__name__}.{data}"}}
        cfg.runner = {"type": "EpochBasedRunner", "max_epochs": epochs}
        cfg.merge_from_dict(
            {"seed": 1, "device": "cpu", "resume_from": "auto", "work_dir": str(tmp_path / name)}
        )
        train(cfg)
        return dict(read_checkpoint(tmp_path / name / f"epoch_{epochs}.pth", trusted=True))

    run("parts", 1)
    parts, whole = run("parts", 2), run("whole", 2)
    assert same(parts["state_dict"], whole["state_dict"])
    assert same(parts["optimizer"], whole["optimizer"])
