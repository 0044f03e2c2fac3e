from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import (
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)

# For a layer with 200 inputs and 100 outputs: the standard deviation of the weights, and their bound.
DRAWS: list[tuple[Any, dict[str, Any], float, float]] = [
    (xavier_init, {}, math.sqrt(2 / 300), math.inf),
    (xavier_init, {"gain": 2, "distribution": "uniform"}, 2 * math.sqrt(2 / 300), 2 * math.sqrt(6 / 300)),
    (normal_init, {"std": 0.5}, 0.5, math.inf),
    (trunc_normal_init, {"std": 10, "a": -1, "b": 1}, 1 / math.sqrt(3), 1),
    (uniform_init, {"a": -2, "b": 2}, 2 / math.sqrt(3), 2),
    (kaiming_init, {}, math.sqrt(2 / 100), math.inf),
    (kaiming_init, {"mode": "fan_in", "distribution": "uniform"}, math.sqrt(2 / 200), math.sqrt(6 / 200)),
    (caffe2_xavier_init, {}, math.sqrt(1 / 200), math.sqrt(3 / 200)),
]


@pytest.mark.parametrize(("function", "args", "std", "bound"), DRAWS)
def test_weights_are_drawn(function: Any, args: dict[str, Any], std: float, bound: float) -> None:
    """Weights have mean 0, the standard deviation of the formula and its bounds; the bias is set."""
    torch.manual_seed(0)
    layer = nn.Linear(200, 100)
    function(layer, **args, bias=0.5)
    assert abs(layer.weight.mean().item()) < 0.03 * std + 0.01
    assert layer.weight.std().item() == pytest.approx(std, rel=0.03)
    assert layer.weight.abs().max().item() <= bound
    assert torch.all(layer.bias == 0.5)


def test_mean() -> None:
    """A normal distribution can have a mean."""
    layer = nn.Linear(200, 100)
    normal_init(layer, mean=3, std=0.1)
    assert layer.weight.mean().item() == pytest.approx(3, abs=0.01)


def test_layers_without_parameters() -> None:
    """Layers without a bias, without a weight or without both are supported."""
    layer = nn.Linear(2, 2, bias=False)
    constant_init(layer, 3)
    assert torch.all(layer.weight == 3)
    for module in (nn.ReLU(), nn.BatchNorm2d(2, affine=False)):
        for function in (normal_init, uniform_init, kaiming_init, caffe2_xavier_init):
            function(module)


def test_bias_init_with_prob() -> None:
    """The sigmoid of the bias is the probability."""
    assert 1 / (1 + math.exp(-bias_init_with_prob(0.01))) == pytest.approx(0.01)


@pytest.mark.parametrize("probability", [0, 1, -0.5, 2])
def test_bias_init_without_a_finite_bias(probability: float) -> None:
    """A probability that is not between 0 and 1 is an error."""
    with pytest.raises(ValueError, match="prior_prob must be between 0 and 1"):
        bias_init_with_prob(probability)


def normal_cdf(x: Any) -> Any:
    return (1 + torch.erf(x / math.sqrt(2))) / 2


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0.0, 1.0, -2.0, 2.0), (1.0, 2.0, -1.0, 4.0), (0.5, 0.1, 0.4, 0.55)]
)
def test_truncated_normal_distribution(mean: float, std: float, a: float, b: float) -> None:
    """The distribution is that of the formula, within the bound of a Kolmogorov-Smirnov test, p = 0.01."""
    torch.manual_seed(0)
    layer = nn.Linear(200, 100)
    trunc_normal_init(layer, mean, std, a, b)
    values = layer.weight.detach().double().flatten().sort().values
    assert a <= values[0] <= values[-1] <= b
    low, high = (normal_cdf(torch.tensor((end - mean) / std).double()) for end in (a, b))
    expected = (normal_cdf((values - mean) / std) - low) / (high - low)
    observed = torch.arange(1, len(values) + 1) / len(values)
    assert (expected - observed).abs().max().item() < 1.63 / math.sqrt(len(values))


def test_normal_kurtosis() -> None:
    """Normal weights have the third and fourth moment of a normal distribution, uniform ones of a uniform."""
    torch.manual_seed(0)
    layer = nn.Linear(300, 200)
    for function, kurtosis in (
        (normal_init, 3.0),
        (xavier_init, 3.0),
        (kaiming_init, 3.0),
        (uniform_init, 1.8),
    ):
        function(layer)
        values = layer.weight.detach().double()
        z = (values - values.mean()) / values.std()
        assert abs((z**3).mean().item()) < 0.05
        assert (z**4).mean().item() == pytest.approx(kurtosis, abs=0.1)


@pytest.mark.parametrize("function", [xavier_init, kaiming_init, caffe2_xavier_init])
def test_layers_without_a_fan(function: Any) -> None:
    """The weight of a normalization layer has no fan, which is an error of PyTorch."""
    with pytest.raises(ValueError, match="Fan in and fan out"):
        function(nn.BatchNorm2d(2))


@pytest.mark.parametrize("function", [xavier_init, kaiming_init])
def test_unknown_distribution(function: Any) -> None:
    """An unknown distribution raises an error."""
    with pytest.raises(AssertionError, match="'uniform' or 'normal', not 'gauss'"):
        function(nn.Linear(1, 1), distribution="gauss")
