"""The global context block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from cfgtrain.arguments import check_choice, check_positive
from cfgtrain.cnn.init.functions import constant_init, kaiming_init
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import PLUGIN_LAYERS

__all__ = ["ContextBlock"]


@PLUGIN_LAYERS.register_module()
class ContextBlock(nn.Module):
    """The block of GCNet (Cao et al., "Non-local Networks Meet Squeeze-Excitation Networks and Beyond", 2019).

    A context of the shape (N, C, 1, 1) is pooled from the input. The input is multiplied by the sigmoid of
    one transformation of it, and another one is added. At first these transformations return 0.

    Args:
        in_channels: C of the input and the output (N, C, H, W).
        ratio: The transformations have int(C * ratio) inner channels, at least one.
        pooling_type: ``"att"`` pools by attention, ``"avg"`` by the mean.
        fusion_types: Which transformations there are: ``"channel_add"``, ``"channel_mul"`` or both.

    Raises:
        ArgumentError: ``ratio`` is not a positive number, or ``pooling_type`` or ``fusion_types`` is invalid.
    """

    _abbr_ = "context_block"

    def __init__(
        self,
        in_channels: int,
        ratio: float,
        pooling_type: Literal["att", "avg"] = "att",
        fusion_types: Sequence[str] = ("channel_add",),
    ) -> None:
        super().__init__()
        check_positive("ratio", ratio)
        check_choice("pooling_type", pooling_type, ("avg", "att"))
        _check_fusion_types(fusion_types)
        self.in_channels = in_channels
        self.ratio = ratio
        self.planes = max(int(in_channels * ratio), 1)
        self.pooling_type = pooling_type
        self.fusion_types = fusion_types
        if pooling_type == "att":
            self.conv_mask = nn.Conv2d(in_channels, 1, 1)
            self.softmax = nn.Softmax(dim=2)
        else:
            self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.channel_add_conv = self._transformation() if "channel_add" in fusion_types else None
        self.channel_mul_conv = self._transformation() if "channel_mul" in fusion_types else None
        self.init_weights()

    def _transformation(self) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(self.in_channels, self.planes, 1),
            nn.LayerNorm([self.planes, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(self.planes, self.in_channels, 1),
        )

    def init_weights(self) -> None:
        """Initialize the attention and the last layers of the transformations, in place."""
        if self.pooling_type == "att":
            kaiming_init(self.conv_mask, mode="fan_in")
        for transformation in (self.channel_add_conv, self.channel_mul_conv):
            if transformation is not None:
                constant_init(transformation[-1], 0)

    def reset_parameters(self) -> None:
        """Call ``init_weights``, under MMCV's name."""
        self.init_weights()

    def spatial_pool(self, x: Tensor) -> Tensor:
        """Return the context (N, C, 1, 1) of (N, C, H, W)."""
        if self.pooling_type == "avg":
            mean: Tensor = self.avg_pool(x)
            return mean
        weights = self.softmax(self.conv_mask(x).flatten(2))  # (N, 1, H * W)
        context: Tensor = x.flatten(2) @ weights.transpose(1, 2)  # (N, C, 1)
        return context.unsqueeze(3)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W): ``x`` times and plus what the context says for each channel."""
        context = self.spatial_pool(x)  # (N, C, 1, 1)
        out = x
        if self.channel_mul_conv is not None:
            out = out * self.channel_mul_conv(context).sigmoid()
        if self.channel_add_conv is not None:
            out = out + self.channel_add_conv(context)
        return out


def _check_fusion_types(fusion_types: object) -> None:
    valid = ("channel_add", "channel_mul")
    if (
        not isinstance(fusion_types, list | tuple)
        or not fusion_types
        or not all(each in valid for each in fusion_types)
    ):
        raise ArgumentError(
            f"fusion_types must contain 'channel_add', 'channel_mul' or both, not {fusion_types!r}.",
            argument="fusion_types",
        )
