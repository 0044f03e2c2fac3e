"""Attention that does not compare all pairs of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["criss_cross_attention"]


def criss_cross_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend from each pixel to those of its column and its row (Huang et al., "CCNet", 2019).

    The weights are the softmax of the dot products with the H + W - 1 pixels; the pixel itself counts once.
    The largest tensor has N * H * W * (H + W) elements.

    Args:
        query: (N, C, H, W) float.
        key: (N, C, H, W).
        value: (N, D, H, W).

    Returns:
        (N, D, H, W): for each pixel, the weighted sum of the values.
    """
    height = query.shape[2]
    by_column = torch.einsum("nchw,nciw->nhwi", query, key)  # (N, H, W, H)
    by_row = torch.einsum("nchw,nchj->nhwj", query, key)  # (N, H, W, W)
    # Each pixel is in its row, so it is left out of its column.
    itself = torch.eye(height, dtype=torch.bool, device=query.device)[:, None, :]  # (H, 1, H)
    by_column = by_column.masked_fill(itself, float("-inf"))
    weights = torch.cat((by_column, by_row), dim=-1).softmax(dim=-1)  # (N, H, W, H + W)
    in_column, in_row = weights[..., :height], weights[..., height:]
    columns = torch.einsum("nhwi,ndiw->ndhw", in_column, value)
    rows = torch.einsum("nhwj,ndhj->ndhw", in_row, value)
    return columns + rows
