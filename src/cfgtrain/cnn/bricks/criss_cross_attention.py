"""Criss-cross attention."""

from __future__ import annotations

from torch import Tensor, nn

from cfgtrain.arguments import check_integer
from cfgtrain.cnn.bricks.scale import Scale
from cfgtrain.ops.attention import criss_cross_attention
from cfgtrain.registries import PLUGIN_LAYERS

__all__ = ["CrissCrossAttention"]


@PLUGIN_LAYERS.register_module()
class CrissCrossAttention(nn.Module):
    """Adds attention over the column and the row of each pixel (Huang et al., "CCNet", 2019).

    At first the learnable factor ``gamma`` of the attention is 0, so that the input is returned unchanged.

    Args:
        in_channels: C of the input and the output (N, C, H, W). Queries and keys have C // 8 channels, at
            least one.

    Raises:
        ArgumentError: ``in_channels`` is not a positive int.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = check_integer("in_channels", in_channels, 1)
        inner = max(in_channels // 8, 1)
        self.query_conv = nn.Conv2d(in_channels, inner, 1)
        self.key_conv = nn.Conv2d(in_channels, inner, 1)
        self.value_conv = nn.Conv2d(in_channels, in_channels, 1)
        self.gamma = Scale(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W): ``x`` plus ``gamma`` times the attention."""
        attention = criss_cross_attention(self.query_conv(x), self.key_conv(x), self.value_conv(x))
        out: Tensor = self.gamma(attention) + x
        return out

    def __repr__(self) -> str:
        return f"{type(self).__name__}(in_channels={self.in_channels})"
