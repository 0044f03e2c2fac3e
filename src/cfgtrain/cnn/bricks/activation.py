"""Activation layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from cfgtrain.cnn.bricks.builder import build_layer
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import ACTIVATION_LAYERS

__all__ = ["Clamp", "HSigmoid", "HSwish", "Swish", "build_activation_layer"]

for _layer in (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.ReLU6,
    nn.ELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
):
    ACTIVATION_LAYERS.register_module(module=_layer)
ACTIVATION_LAYERS.register_module("HSwish", module=nn.Hardswish)


def build_activation_layer(cfg: Mapping[str, Any]) -> nn.Module:
    """Build an activation layer.

    Args:
        cfg: Config with a ``type`` and the arguments of the layer. Not changed.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping.
        UnknownNameError: The type is not registered, or missing.
        BuildError: The arguments do not fit the layer.
    """
    layer: nn.Module = build_layer(cfg, ACTIVATION_LAYERS)
    return layer


@ACTIVATION_LAYERS.register_module(name=["Clamp", "Clip"])
class Clamp(nn.Module):
    """Limits each element to ``[min, max]``; the shape does not change.

    Args:
        min: Lower limit.
        max: Upper limit.
    """

    def __init__(self, min: float = -1.0, max: float = 1.0) -> None:  # noqa: A002  # the names in configs
        super().__init__()
        self.min = min
        self.max = max

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` of any shape with its elements limited."""
        return x.clamp(self.min, self.max)

    def extra_repr(self) -> str:
        """Return the limits."""
        return f"min={self.min}, max={self.max}"


@ACTIVATION_LAYERS.register_module()
class HSigmoid(nn.Module):
    """Hard sigmoid, ``clamp((x + bias) / divisor, min_value, max_value)``, of any shape.

    The default is ``relu6(x + 3) / 6`` of MobileNetV3 (Howard et al., "Searching for MobileNetV3", 2019).

    Args:
        bias: Is added to the input.
        divisor: Divides the sum; not 0.
        min_value: Lower limit of the output.
        max_value: Upper limit of the output.

    Raises:
        ArgumentError: ``divisor`` is 0.
    """

    def __init__(
        self, bias: float = 3.0, divisor: float = 6.0, min_value: float = 0.0, max_value: float = 1.0
    ) -> None:
        super().__init__()
        if divisor == 0:
            raise ArgumentError("divisor must not be 0.", argument="divisor")
        self.bias = bias
        self.divisor = divisor
        self.min_value = min_value
        self.max_value = max_value

    def forward(self, x: Tensor) -> Tensor:
        """Return the hard sigmoid of ``x``; ``x`` is not changed."""
        return ((x + self.bias) / self.divisor).clamp_(self.min_value, self.max_value)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"bias={self.bias}, divisor={self.divisor}, min_value={self.min_value}, max_value={self.max_value}"


class HSwish(nn.Module):
    """Hard swish, ``x * relu6(x + 3) / 6``, of any shape (Howard et al., "Searching for MobileNetV3", 2019).

    ``type='HSwish'`` in a config is ``torch.nn.Hardswish``, which computes the same.

    Args:
        inplace: Whether the inner ReLU6 works in place. The input is never changed.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.act = nn.ReLU6(inplace)

    def forward(self, x: Tensor) -> Tensor:
        """Return the hard swish of ``x``."""
        gate: Tensor = self.act(x + 3)
        return x * gate / 6


@ACTIVATION_LAYERS.register_module()
class Swish(nn.Module):
    """Swish, ``x * sigmoid(x)``, of any shape (Ramachandran et al., "Searching for Activation Functions", 2017)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the swish of ``x``."""
        return nn.functional.silu(x)
