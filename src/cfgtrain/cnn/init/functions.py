"""Functions that initialize the weight and the bias of one layer, in place.

If the layer has no weight or no bias, that part is skipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError

__all__ = [
    "bias_init_with_prob",
    "caffe2_xavier_init",
    "constant_init",
    "kaiming_init",
    "normal_init",
    "trunc_normal_init",
    "uniform_init",
    "xavier_init",
]

Distribution = Literal["uniform", "normal"]


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Set the weight of a layer to ``val`` and its bias to ``bias``."""
    _init(module, bias, lambda weight: nn.init.constant_(weight, val))


def xavier_init(
    module: nn.Module, gain: float = 1, bias: float = 0, distribution: Distribution = "normal"
) -> None:
    """Initialize a layer according to Glorot & Bengio 2010, "Understanding the difficulty of training ...".

    Args:
        module: The layer.
        gain: Scaling factor.
        bias: Value of the bias.
        distribution: ``"normal"`` or ``"uniform"``.

    Raises:
        ArgumentError: The distribution is unknown.
    """
    draw = nn.init.xavier_uniform_ if is_uniform(distribution) else nn.init.xavier_normal_
    _init(module, bias, lambda weight: draw(weight, gain=gain))


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Draw the weight of a layer from a normal distribution, and set its bias to ``bias``."""
    _init(module, bias, lambda weight: nn.init.normal_(weight, mean, std))


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Draw the weight of a layer from a normal distribution truncated to [``a``, ``b``], and set its bias."""
    _init(module, bias, lambda weight: nn.init.trunc_normal_(weight, mean, std, a, b))


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Draw the weight of a layer from a uniform distribution from ``a`` to ``b``, and set its bias."""
    _init(module, bias, lambda weight: nn.init.uniform_(weight, a, b))


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: Literal["fan_in", "fan_out"] = "fan_out",
    nonlinearity: str = "relu",
    bias: float = 0,
    distribution: Distribution = "normal",
) -> None:
    """Initialize a layer according to He et al. 2015, "Delving deep into rectifiers".

    Args:
        module: The layer.
        a: Negative slope of ``leaky_relu``.
        mode: ``"fan_in"`` preserves the variance in the forward pass, ``"fan_out"`` in the backward pass.
        nonlinearity: Name of the activation function after the layer, as in ``nn.init.calculate_gain``.
        bias: Value of the bias.
        distribution: ``"normal"`` or ``"uniform"``.

    Raises:
        ArgumentError: The distribution is unknown.
    """
    draw: Callable[..., Any] = (
        nn.init.kaiming_uniform_ if is_uniform(distribution) else nn.init.kaiming_normal_
    )
    _init(module, bias, lambda weight: draw(weight, a=a, mode=mode, nonlinearity=nonlinearity))


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Initialize a layer like Caffe2's XavierFill, which is a special case of ``kaiming_init``."""
    kaiming_init(module, 1, "fan_in", "leaky_relu", bias, "uniform")


def bias_init_with_prob(prior_prob: float) -> float:
    """Return the bias for which a sigmoid returns ``prior_prob``, 0 < p < 1 (RetinaNet, Lin et al. 2017).

    Raises:
        ArgumentError: ``prior_prob`` is not between 0 and 1.
    """
    check_probability("prior_prob", prior_prob)
    return float(-math.log((1 - prior_prob) / prior_prob))


def _init(module: nn.Module, bias: float, draw: Callable[[Tensor], Any]) -> None:
    weight, layer_bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(weight, Tensor):
        draw(weight)
    if isinstance(layer_bias, Tensor):
        nn.init.constant_(layer_bias, bias)


def is_uniform(distribution: str) -> bool:
    """Return whether a distribution is the uniform one, rather than the normal one."""
    check_choice("distribution", distribution, ("uniform", "normal"))
    return distribution == "uniform"


def check_probability(name: str, value: float) -> None:
    """Raise an ArgumentError if a probability, the argument ``name``, is not between 0 and 1."""
    if not 0 < value < 1:
        raise ArgumentError(f"{name} must be between 0 and 1, not {value}.", argument=name)
