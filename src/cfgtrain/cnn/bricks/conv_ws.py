"""Convolutions with standardized weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cfgtrain.errors import ArgumentError
from cfgtrain.registries import CONV_LAYERS

__all__ = ["ConvAWS2d", "ConvWS2d", "conv_ws_2d"]

Size2d = int | tuple[int, int]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


def conv_ws_2d(
    input: Tensor,  # noqa: A002  # the name of torch.nn.functional.conv2d
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size2d = 1,
    padding: Size2d | str = 0,
    dilation: Size2d = 1,
    groups: int = 1,
    eps: float = 1e-5,
) -> Tensor:
    """Convolve with standardized filters (Qiao et al., "Weight Standardization", 2019).

    Args:
        input: (N, C_in, H, W).
        weight: (C_out, C_in / groups, kH, kW). From each of the C_out filters its mean is subtracted, and
            it is divided by its standard deviation plus ``eps``.
        bias: (C_out,).
        stride: As of ``torch.nn.functional.conv2d``.
        padding: Likewise.
        dilation: Likewise.
        groups: Likewise.
        eps: Is added to the standard deviation.

    Returns:
        (N, C_out, H', W').

    Raises:
        ArgumentError: A filter has a single element, which has no standard deviation.
    """
    weight = _standardized(weight, eps)
    return nn.functional.conv2d(input, weight, bias, stride, padding, dilation, groups)


@CONV_LAYERS.register_module("ConvWS")
class ConvWS2d(nn.Conv2d):
    """A ``torch.nn.Conv2d`` with standardized weights (Qiao et al., "Weight Standardization", 2019).

    Args:
        in_channels: C_in of the input (N, C_in, H, W).
        out_channels: C_out of the output (N, C_out, H', W').
        kernel_size: As of ``torch.nn.Conv2d``, like those that follow.
        stride: Step of the kernel in pixels.
        padding: Padding in pixels on each side.
        dilation: Distance of the taps of the kernel in pixels.
        groups: Number of groups of channels.
        bias: Whether a bias is added.
        eps: Is added to the standard deviation of a filter.
        padding_mode: As of ``torch.nn.Conv2d``.

    Raises:
        ArgumentError: A filter has a single element, which has no standard deviation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2d,
        stride: Size2d = 1,
        padding: Size2d | str = 0,
        dilation: Size2d = 1,
        groups: int = 1,
        bias: bool = True,
        eps: float = 1e-5,
        *,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        )
        self.eps = eps
        _check_filter(self.weight)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in the base class
        """Convolve (N, C_in, H, W) to (N, C_out, H', W')."""
        out: Tensor = self._conv_forward(input, _standardized(self.weight, self.eps), self.bias)
        return out


@CONV_LAYERS.register_module("ConvAWS")
class ConvAWS2d(nn.Conv2d):
    """A ``torch.nn.Conv2d`` with standardized weights that are then scaled and shifted.

    From DetectoRS (Qiao et al., "Detecting Objects with Recursive Feature Pyramid and Switchable Atrous
    Convolution", 2020). If a state dict has no scale and shift, as that of a ``Conv2d``, they are set so that
    the layer computes the same as that ``Conv2d``.

    The buffers ``weight_gamma`` and ``weight_beta`` have the shape (C_out, 1, 1, 1).

    Args:
        in_channels: C_in of the input (N, C_in, H, W).
        out_channels: C_out of the output (N, C_out, H', W').
        kernel_size: As of ``torch.nn.Conv2d``, like those that follow.
        stride: Step of the kernel in pixels.
        padding: Padding in pixels on each side.
        dilation: Distance of the taps of the kernel in pixels.
        groups: Number of groups of channels.
        bias: Whether a bias is added.
        padding_mode: As of ``torch.nn.Conv2d``.

    Raises:
        ArgumentError: A filter has a single element, which has no standard deviation.
    """

    weight_gamma: Tensor
    weight_beta: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2d,
        stride: Size2d = 1,
        padding: Size2d | str = 0,
        dilation: Size2d = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        )
        _check_filter(self.weight)
        self.register_buffer("weight_gamma", torch.ones(out_channels, 1, 1, 1))
        self.register_buffer("weight_beta", torch.zeros(out_channels, 1, 1, 1))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in the base class
        """Convolve (N, C_in, H, W) to (N, C_out, H', W')."""
        mean, std = _mean_and_std(self.weight)
        weight = self.weight_gamma * (self.weight - mean) / std + self.weight_beta
        out: Tensor = self._conv_forward(input, weight, self.bias)
        return out

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        weight = state_dict.get(f"{prefix}weight")
        if isinstance(weight, Tensor) and weight.shape == self.weight.shape:
            beta, gamma = _mean_and_std(weight)
            missing = {f"{prefix}weight_gamma": gamma, f"{prefix}weight_beta": beta}
            state_dict = {**missing, **state_dict}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _standardized(weight: Tensor, eps: float) -> Tensor:
    _check_filter(weight)
    std, mean = torch.std_mean(weight, dim=(1, 2, 3), keepdim=True)  # (C_out, 1, 1, 1)
    return (weight - mean) / (std + eps)


def _mean_and_std(weight: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True)  # (C_out, 1, 1, 1)
    return mean, torch.sqrt(variance + 1e-5)


def _check_filter(weight: Tensor) -> None:
    """Raise if a filter has a single element."""
    if weight[0].numel() < 2:
        raise ArgumentError(
            "Weight standardization needs filters of more than one element: "
            "increase the kernel size, or the channels per group.",
            argument="kernel_size",
        )
