from __future__ import annotations

import pytest
import torch
from torch import nn

from cfgtrain.cnn import MODELS, LeNet5
from cfgtrain.errors import ArgumentError

SHAPES = {
    "features.0.weight": (6, 1, 5, 5),
    "features.0.bias": (6,),
    "features.3.weight": (16, 6, 5, 5),
    "features.3.bias": (16,),
    "features.6.weight": (120, 16, 5, 5),
    "features.6.bias": (120,),
    "classifier.0.weight": (84, 120),
    "classifier.0.bias": (84,),
    "classifier.2.weight": (10, 84),
    "classifier.2.bias": (10,),
}


def test_parameter_names() -> None:
    """Names and shapes are those of MMCV, so that its checkpoints can be loaded."""
    found = {name: tuple(value.shape) for name, value in LeNet5(10).state_dict().items()}
    assert found == SHAPES


@pytest.mark.parametrize(("num_classes", "shape"), [(10, (2, 10)), (3, (2, 3)), (-1, (2, 120, 1, 1))])
def test_output_shape(num_classes: int, shape: tuple[int, ...]) -> None:
    """With a classifier the output is scores, without one it is features."""
    assert tuple(LeNet5(num_classes)(torch.zeros(2, 1, 32, 32)).shape) == shape


def test_colors() -> None:
    """The number of channels of the images is an argument."""
    assert tuple(LeNet5(3, in_channels=3)(torch.zeros(2, 3, 32, 32)).shape) == (2, 3)
    with pytest.raises(ArgumentError, match="in_channels"):
        LeNet5(3, in_channels=0)


def test_scores_are_linear() -> None:
    """The last layer is linear: there is no softmax, and scores can be negative."""
    torch.manual_seed(0)
    scores = LeNet5(10)(torch.randn(8, 1, 32, 32))
    assert scores.min() < 0
    assert not torch.allclose(scores.sum(dim=1), torch.ones(8))


def test_build_from_config() -> None:
    """MODELS builds the network by name, and a Sequential from a list."""
    assert isinstance(MODELS.build({"type": "LeNet5", "num_classes": 4}), LeNet5)
    built = MODELS.build([{"type": "LeNet5"}, {"type": "torch.nn.Flatten"}])
    assert isinstance(built, nn.Sequential)
    assert tuple(built(torch.zeros(1, 1, 32, 32)).shape) == (1, 120)
