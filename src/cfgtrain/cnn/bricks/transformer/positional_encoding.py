"""Positional encodings of images."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.arguments import check_integer
from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import POSITIONAL_ENCODING

__all__ = ["LearnedPositionalEncoding", "SinePositionalEncoding"]

_UNIFORM = {"type": "Uniform", "layer": "Embedding"}


@POSITIONAL_ENCODING.register_module()
class SinePositionalEncoding(BaseModule):
    """Sines and cosines of the row and the column.

    From Carion et al., "End-to-End Object Detection with Transformers", 2020. Channel 2i is
    sin(p / temperature^(2i / num_feats)) and channel 2i + 1 its cosine; p is the row in the first ``num_feats``
    channels, and the column in the others. Rows and columns are counted from 1, padding left out.

    Args:
        num_feats: Number of channels for the row, and for the column; even.
        temperature: Ratio of the longest wavelength to the shortest.
        normalize: Whether rows and columns are divided by their number and multiplied by ``scale``.
        scale: See ``normalize``.
        eps: Is added to the number of rows and of columns.
        offset: Is added to rows and columns, with ``normalize`` only.
        init_cfg: Config of the weight initialization; there are no parameters.

    Raises:
        ArgumentError: ``num_feats`` is not a positive even int.
    """

    def __init__(
        self,
        num_feats: int,
        temperature: float = 10000,
        normalize: bool = False,
        scale: float = 2 * math.pi,
        eps: float = 1e-6,
        offset: float = 0.0,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        check_integer("num_feats", num_feats, 1)
        if num_feats % 2:
            raise ArgumentError(
                f"num_feats must be even, since sines and cosines alternate, not {num_feats}.",
                hint=f"It can be {num_feats - 1 or 2} or {num_feats + 1}."
                if num_feats > 1
                else "It can be 2.",
                argument="num_feats",
            )
        self.num_feats = num_feats
        self.temperature = temperature
        self.normalize = normalize
        self.scale = scale
        self.eps = eps
        self.offset = offset

    def forward(self, mask: Tensor) -> Tensor:
        """Return the encoding, (B, 2 * num_feats, H, W) float32.

        Args:
            mask: (B, H, W), bool or a number: not 0 where the image is padding.
        """
        inside = mask == 0  # (B, H, W)
        rows = inside.cumsum(1, dtype=torch.float32)
        columns = inside.cumsum(2, dtype=torch.float32)
        if self.normalize:
            rows = (rows + self.offset) / (rows[:, -1:, :] + self.eps) * self.scale
            columns = (columns + self.offset) / (columns[:, :, -1:] + self.eps) * self.scale
        steps = torch.arange(0, self.num_feats, 2, dtype=torch.float32, device=mask.device)
        periods = self.temperature ** (steps / self.num_feats)  # (num_feats / 2)
        encoding = torch.cat((_waves(rows, periods), _waves(columns, periods)), dim=3)
        return encoding.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"num_feats={self.num_feats}, temperature={self.temperature}, normalize={self.normalize}, "
            f"scale={self.scale}, eps={self.eps}, offset={self.offset}"
        )


def _waves(position: Tensor, periods: Tensor) -> Tensor:
    """Return the alternating sines and cosines of (B, H, W) positions, (B, H, W, 2 * len(periods))."""
    phase = position[..., None] / periods  # (B, H, W, num_feats / 2)
    return torch.stack((phase.sin(), phase.cos()), dim=-1).flatten(3)


@POSITIONAL_ENCODING.register_module()
class LearnedPositionalEncoding(BaseModule):
    """A learned vector for each row and each column.

    From Carion et al., "End-to-End Object Detection with Transformers", 2020. The first ``num_feats`` channels are
    the vector of the column, the others that of the row. The parameters are ``row_embed.weight`` and
    ``col_embed.weight``.

    Args:
        num_feats: Number of channels for the row, and for the column.
        row_num_embed: The largest H.
        col_num_embed: The largest W.
        init_cfg: Config of the weight initialization; by default a uniform distribution from 0 to 1.

    Raises:
        ArgumentError: An argument is not a positive int.
    """

    def __init__(
        self, num_feats: int, row_num_embed: int = 50, col_num_embed: int = 50, init_cfg: Any = _UNIFORM
    ) -> None:
        super().__init__(init_cfg)
        self.num_feats = check_integer("num_feats", num_feats, 1)
        self.row_num_embed = check_integer("row_num_embed", row_num_embed, 1)
        self.col_num_embed = check_integer("col_num_embed", col_num_embed, 1)
        self.row_embed = nn.Embedding(row_num_embed, num_feats)
        self.col_embed = nn.Embedding(col_num_embed, num_feats)

    def forward(self, mask: Tensor) -> Tensor:
        """Return the encoding, (B, 2 * num_feats, H, W).

        Args:
            mask: (B, H, W); only its shape is used.

        Raises:
            ArgumentError: H or W is too large.
        """
        batch, height, width = mask.shape
        if height > self.row_num_embed or width > self.col_num_embed:
            raise ArgumentError(
                f"The mask has {height} rows and {width} columns, but there are vectors for {self.row_num_embed} "
                f"rows and {self.col_num_embed} columns: set row_num_embed and col_num_embed.",
                argument="mask",
            )
        columns = self.col_embed.weight[:width].expand(height, -1, -1)  # (H, W, num_feats)
        rows = self.row_embed.weight[:height, None].expand(-1, width, -1)  # (H, W, num_feats)
        encoding = torch.cat((columns, rows), dim=2).permute(2, 0, 1)  # (2 * num_feats, H, W)
        return encoding.expand(batch, -1, -1, -1)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"num_feats={self.num_feats}, row_num_embed={self.row_num_embed}, col_num_embed={self.col_num_embed}"
