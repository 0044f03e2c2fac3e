"""The parts of this project. config.py names them by `type`, after `custom_imports` has imported this file."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cfgtrain.data import DATASETS, PIPELINES, build_pipeline
from cfgtrain.metrics import METRICS, Metric
from cfgtrain.models import MODELS
from cfgtrain.runner import HOOKS, Hook


@DATASETS.register_module()
class Spirals:
    """Points on two spirals that are wound into each other; the label of a point is its spiral.

    Args:
        count: Number of points.
        seed: Seed of the random points; the same seed gives the same points.
        pipeline: Transforms of a sample.
    """

    CLASSES = ("first", "second")  # saved in the checkpoints, and shown by `cfgtrain predict`

    def __init__(self, count, seed, pipeline=()):
        random = np.random.default_rng(seed)
        self.labels = random.integers(0, 2, count)
        radius = random.uniform(0.2, 1.0, count)
        angle = 9 * radius + np.pi * self.labels
        points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        self.points = points.astype(np.float32)  # (count, 2)
        self.pipeline = build_pipeline(pipeline)

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        """Return a sample: a dict, which goes through the pipeline."""
        return self.pipeline({"point": self.points[index].copy(), "gt_label": int(self.labels[index])})

    @staticmethod
    def for_prediction(inputs, cfg, metainfo):
        """Return the dataset of files without labels, for `cfgtrain predict`."""
        return PointFiles(inputs)


class PointFiles:
    """The points in text files, with two numbers in each line.

    Args:
        files: Paths of the files.
    """

    def __init__(self, files):
        points = [(file, point) for file in files for point in np.loadtxt(file, np.float32, ndmin=2)]
        self.files, self.points = zip(*points, strict=True)

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        return {"point": self.points[index]}

    def source(self, index):
        """Return where a sample is from, which is shown with its prediction."""
        return f"{self.files[index]}: {self.points[index]}"


@PIPELINES.register_module()
class Jitter:
    """Moves a point by random noise. It gets the dict of a sample, and returns it.

    Args:
        std: Standard deviation of the noise.
    """

    def __init__(self, std):
        self.std = std

    def __call__(self, results):
        # NumPy's global generator is seeded for each sample, so a resumed run draws the same numbers.
        results["point"] += np.random.normal(0, self.std, 2)
        return results


@MODELS.register_module()
class SpiralNet(nn.Module):
    """Two hidden layers, with the cross entropy as loss.

    Args:
        width: Number of units of a hidden layer.
    """

    def __init__(self, width=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        )

    def forward(self, point, gt_label=None, return_loss=True):
        """Return the losses by name, or the class probabilities; the arguments are the keys of the batch."""
        scores = self.net(point)  # (B, 2)
        if return_loss:
            return {"loss": cross_entropy(scores, gt_label)}
        return scores.softmax(dim=1)

    def train_step(self, batch, optimizer):
        """Return the losses of a batch; the optimizer minimizes `loss`."""
        return self(**batch)


@METRICS.register_module()
class WorstClassAccuracy(Metric):
    """The accuracy, 0 to 1, of the class with the lowest one."""

    def reset(self) -> None:
        """Forget all batches."""
        self.correct, self.total = np.zeros(2), np.zeros(2)

    def update(self, predictions: Tensor, batch: dict[str, Tensor]) -> None:
        """Count the samples of a batch; a metric keeps sums, not samples."""
        labels = np.asarray(self.targets_of(batch))
        hits = np.asarray(predictions).argmax(axis=1) == labels
        self.total += np.bincount(labels, minlength=2)
        self.correct += np.bincount(labels[hits], minlength=2)

    def compute(self) -> dict[str, float]:
        """Return the score by its name, which `save_best` can use."""
        return {"worst_class": float((self.correct / self.total).min())}

    def merge(self, others: Iterable["WorstClassAccuracy"]) -> None:
        """Add the counts of other processes."""
        for other in others:
            self.correct, self.total = self.correct + other.correct, self.total + other.total


@HOOKS.register_module()
class WeightNorm(Hook):
    """Logs the norm of all weights.

    Args:
        interval: Number of iterations between two values.
    """

    def __init__(self, interval=1):
        self.interval = interval

    def after_train_iter(self, runner):
        """Run after each iteration; other stages are before_run, after_train_epoch and more."""
        if self.every_n_iters(runner, self.interval):
            with torch.no_grad():
                weights = torch.cat([each.flatten() for each in runner.model.parameters()])
                runner.log_buffer.update({"weight_norm": weights.norm()})
