"""A depthwise separable convolution with its normalizations and activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from cfgtrain.cnn.bricks.conv_module import RELU, ConvModule
from cfgtrain.errors import ArgumentError

__all__ = ["DepthwiseSeparableConvModule"]

Cfg = Mapping[str, Any] | None
BranchCfg = Mapping[str, Any] | None | Literal["default"]


class DepthwiseSeparableConvModule(nn.Module):
    """A depthwise convolution and then a pointwise one (Howard et al., "MobileNets", 2017).

    The children ``depthwise_conv`` and ``pointwise_conv`` are ``ConvModule`` layers.

    Args:
        in_channels: C_in of the input (N, C_in, H, W).
        out_channels: C_out of the output (N, C_out, H', W').
        kernel_size: Size of the depthwise kernel in pixels; that of the pointwise convolution is 1.
        stride: Step of the depthwise kernel in pixels.
        padding: Padding of the depthwise convolution in pixels on each side.
        dilation: Distance of the taps of the depthwise kernel in pixels.
        norm_cfg: Config of the normalization after each of them, or None.
        act_cfg: Config of the activation after each of them, or None.
        dw_norm_cfg: Config of the normalization after the depthwise convolution; ``"default"``: ``norm_cfg``.
        dw_act_cfg: Config of the activation after the depthwise convolution; ``"default"``: ``act_cfg``.
        pw_norm_cfg: Config of the normalization after the pointwise convolution; ``"default"``: ``norm_cfg``.
        pw_act_cfg: Config of the activation after the pointwise convolution; ``"default"``: ``act_cfg``.
        **kwargs: Further arguments of both ``ConvModule`` layers, but not ``groups``.

    Raises:
        ArgumentError: ``groups`` is given.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        norm_cfg: Cfg = None,
        act_cfg: Cfg = RELU,
        dw_norm_cfg: BranchCfg = "default",
        dw_act_cfg: BranchCfg = "default",
        pw_norm_cfg: BranchCfg = "default",
        pw_act_cfg: BranchCfg = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if "groups" in kwargs:
            raise ArgumentError(
                "groups must not be given: it is in_channels for the depthwise convolution and 1 for the "
                "pointwise one.",
                argument="groups",
            )
        self.depthwise_conv = ConvModule(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            norm_cfg=norm_cfg if dw_norm_cfg == "default" else dw_norm_cfg,
            act_cfg=act_cfg if dw_act_cfg == "default" else dw_act_cfg,
            **kwargs,
        )
        self.pointwise_conv = ConvModule(
            in_channels,
            out_channels,
            1,
            norm_cfg=norm_cfg if pw_norm_cfg == "default" else pw_norm_cfg,
            act_cfg=act_cfg if pw_act_cfg == "default" else pw_act_cfg,
            **kwargs,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C_in, H, W) to (N, C_out, H', W')."""
        x = self.depthwise_conv(x)  # (N, C_in, H', W')
        out: Tensor = self.pointwise_conv(x)  # (N, C_out, H', W')
        return out
