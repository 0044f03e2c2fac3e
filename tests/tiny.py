"""A model, data and runners so small that a whole training takes milliseconds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cfgtrain.data.builder import build_dataloader
from cfgtrain.data.transforms import Compose
from cfgtrain.metrics.classification import accuracy
from cfgtrain.runner import EpochBasedRunner, Hook, IterBasedRunner

LOGGER = logging.getLogger("cfgtrain.tests")
RUNNERS = {"epoch": EpochBasedRunner, "iter": IterBasedRunner}


class Squares:
    """Gray 6x6 images of three classes; remembers which ones were read."""

    def __init__(self, size: int = 23, pipeline: Sequence[Any] = ()) -> None:
        generator = np.random.default_rng(0)
        self.images = generator.integers(0, 256, (size, 6, 6), dtype=np.uint8)
        self.labels = [int(label) for label in generator.integers(0, 3, size)]
        self.pipeline = Compose(list(pipeline))
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return self.pipeline({"img": self.images[index], "gt_label": self.labels[index]})

    def evaluate(self, results: Sequence[Any], logger: Any = None) -> dict[str, float]:
        return {"acc": accuracy(results, self.labels)}


CROP = {"type": "RandomCrop", "size": 6, "padding": 2}
TO_TENSORS = [
    {"type": "Normalize", "mean": 128, "std": 64},
    {"type": "ImageToTensor", "keys": ["img"]},
]


class TinyNet(nn.Module):
    """One linear layer behind a batch norm and a dropout."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(36)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(36, 3)

    def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
        scores = self.fc(self.dropout(self.norm(img.flatten(1))))  # (B, 3)
        return nn.functional.cross_entropy(scores, gt_label) if return_loss else scores

    def train_step(self, data: dict[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        loss = self(**data)
        return {"loss": loss, "log_vars": {"loss": loss.detach()}, "num_samples": len(data["img"])}

    val_step = train_step


class Scalar(nn.Module):
    """One weight w; the loss of a batch is the mean of w * x."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def train_step(self, data: Tensor, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        loss = (self.w * data).mean()
        return {"loss": loss, "log_vars": {"loss": loss.detach()}, "num_samples": len(data)}

    val_step = train_step


class Recorder(Hook):
    """Calls ``see(stage, runner)`` at every stage and keeps what it returns, unless that is None."""

    def __init__(self, see: Any) -> None:
        self.seen: list[Any] = []
        for stage in Hook.stages:
            setattr(self, stage, lambda runner, stage=stage: self.note(see(stage, runner)))

    def note(self, what: Any) -> None:
        if what is not None:
            self.seen.append(what)


def numbers(count: int) -> list[Tensor]:
    """A loader of ``count`` batches of one sample each: 0, 1, 2, ..."""
    return [torch.tensor([float(i)]) for i in range(count)]


def squares_loader(workers: int = 0, **dataset: Any) -> Any:
    """Five shuffled batches of at most five randomly cropped images."""
    return build_dataloader(Squares(**{"pipeline": [CROP, *TO_TENSORS], **dataset}), 5, workers, seed=3)


def make_runner(kind: str, length: int, model: nn.Module | None = None, **kwargs: Any) -> Any:
    """A runner of ``length`` epochs or iterations, by default of ``Scalar`` with SGD."""
    model = model or Scalar()
    kwargs.setdefault("optimizer", torch.optim.SGD(model.parameters(), lr=0.1))
    return RUNNERS[kind](model=model, logger=LOGGER, **{f"max_{kind}s": length}, **kwargs)


def same(one: Any, other: Any) -> bool:
    """Return whether two values, and all tensors in them, are bit-identical."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
