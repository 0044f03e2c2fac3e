"""Tests of custom.py and config.py. Run them with `pytest`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from custom import Jitter, SpiralNet, Spirals, WorstClassAccuracy

from cfgtrain import Config
from cfgtrain.train import train


def test_a_sample_has_a_point_and_a_label():
    """The points are in the unit circle, and the same seed gives the same points."""
    dataset, same = Spirals(count=100, seed=0), Spirals(count=100, seed=0)
    sample = dataset[3]
    assert sample["point"].shape == (2,)
    assert np.linalg.norm(sample["point"]) <= 1
    assert sample["gt_label"] in (0, 1)
    assert np.array_equal(dataset.points, same.points)


def test_the_noise_has_the_given_size():
    """Without noise a point stays where it is."""
    still = Jitter(std=0)({"point": np.ones(2, np.float32)})
    moved = Jitter(std=0.1)({"point": np.ones(2, np.float32)})
    assert np.array_equal(still["point"], [1, 1])
    assert 0 < abs(moved["point"] - 1).max() < 1


def test_the_model_returns_a_loss_or_probabilities():
    """The loss has a gradient; the probabilities of a sample add up to 1."""
    model, points = SpiralNet(width=8), torch.zeros(5, 2)
    model(points, torch.zeros(5, dtype=torch.int64))["loss"].backward()
    assert all(each.grad is not None for each in model.parameters())
    probabilities = model(points, return_loss=False)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(5))


def test_the_metric_is_the_accuracy_of_the_worst_class():
    """Of class 0 all are right, of class 1 one of two."""
    metric = WorstClassAccuracy()
    metric.update(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]), {"gt_label": torch.tensor([0, 1, 1])})
    assert metric.compute() == {"worst_class": pytest.approx(0.5)}


def test_a_short_training_saves_a_checkpoint(tmp_path):
    """All parts work together: one epoch of the config."""
    cfg = Config.fromfile(Path(__file__).with_name("config.py"))
    cfg.merge_from_dict({"runner.max_epochs": 1, "work_dir": str(tmp_path)})
    assert train(cfg).runner.epoch == 1
    assert (tmp_path / "epoch_1.pth").exists()
