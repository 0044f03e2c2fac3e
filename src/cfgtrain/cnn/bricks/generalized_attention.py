"""Generalized attention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from cfgtrain.arguments import check_integer
from cfgtrain.cnn.init.functions import caffe2_xavier_init
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import PLUGIN_LAYERS

__all__ = ["GeneralizedAttention"]

WAVE_LENGTH = 1000.0  # of the slowest sine of the position embedding


@PLUGIN_LAYERS.register_module()
class GeneralizedAttention(nn.Module):
    """Attention whose weights are a sum of up to four terms, added to the input.

    From Zhu et al., "An Empirical Study of Spatial Attention Mechanisms in Deep Networks", 2019. The terms are,
    for a query and a key pixel, the dot products of

    1. the content of the query and the content of the key,
    2. the content of the query and the relative position,
    3. a learned vector and the content of the key,
    4. a learned vector and the relative position.

    At first the learned factor ``gamma`` of the attention is 0, so that the input is returned unchanged.

    Args:
        in_channels: C of the input and the output (N, C, H, W).
        spatial_range: Distance in pixels, in each dimension, of the keys that a query attends to; -1 for all.
        num_heads: Number of heads, each with C // ``num_heads`` channels.
        position_embedding_dim: Number of channels of the embedding of relative positions, a multiple of 4; -1
            for C.
        position_magnitude: Factor of the relative positions.
        kv_stride: Every how many pixels in each dimension there is a key.
        q_stride: Every how many pixels there is a query; the attention is interpolated in between.
        attention_type: A digit for each term, ``"1"`` if it is used and ``"0"`` if not.

    Raises:
        ArgumentError: An argument is invalid.
    """

    _abbr_ = "gen_attention_block"

    def __init__(
        self,
        in_channels: int,
        spatial_range: int = -1,
        num_heads: int = 9,
        position_embedding_dim: int = -1,
        position_magnitude: float = 1,
        kv_stride: int = 2,
        q_stride: int = 1,
        attention_type: str = "1111",
    ) -> None:
        super().__init__()
        check_integer("num_heads", num_heads, 1, in_channels)
        check_integer("spatial_range", spatial_range, -1)
        check_integer("position_embedding_dim", position_embedding_dim, -1)
        check_integer("kv_stride", kv_stride, 1)
        check_integer("q_stride", q_stride, 1)
        _check_attention_type(attention_type)
        self.in_channels = in_channels
        self.spatial_range = spatial_range
        self.num_heads = num_heads
        self.position_embedding_dim = position_embedding_dim if position_embedding_dim > 0 else in_channels
        self.position_magnitude = position_magnitude
        self.kv_stride = kv_stride
        self.q_stride = q_stride
        self.attention_type = [digit == "1" for digit in attention_type]
        self.qk_embed_dim = self.v_dim = in_channels // num_heads
        inner = self.qk_embed_dim * num_heads
        content, query_position, key_bias, position_bias = self.attention_type
        if content or query_position:
            self.query_conv = nn.Conv2d(in_channels, inner, 1, bias=False)
        if content or key_bias:
            self.key_conv = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.value_conv = nn.Conv2d(in_channels, inner, 1, bias=False)
        if query_position or position_bias:
            self._check_position_embedding()
            self.appr_geom_fc_x = nn.Linear(self.position_embedding_dim // 2, inner, bias=False)
            self.appr_geom_fc_y = nn.Linear(self.position_embedding_dim // 2, inner, bias=False)
        bound = 1 / math.sqrt(2 * self.qk_embed_dim)
        if key_bias:
            self.appr_bias = nn.Parameter(torch.empty(inner).uniform_(-bound, bound))
        if position_bias:
            self.geom_bias = nn.Parameter(torch.empty(inner).uniform_(-bound, bound))
        self.proj_conv = nn.Conv2d(inner, in_channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.q_downsample = nn.AvgPool2d(1, q_stride) if q_stride > 1 else None
        self.kv_downsample = nn.AvgPool2d(1, kv_stride) if kv_stride > 1 else None
        self.init_weights()

    def _check_position_embedding(self) -> None:
        if self.position_embedding_dim % 4:
            raise ArgumentError(
                "position_embedding_dim, by default in_channels, must be a multiple of 4, "
                f"not {self.position_embedding_dim}.",
                argument="position_embedding_dim",
            )

    def init_weights(self) -> None:
        """Initialize the convolutions and linear layers in place, like Caffe2's XavierFill."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                caffe2_xavier_init(module)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W): ``x`` plus ``gamma`` times the attention."""
        at_queries = x if self.q_downsample is None else self.q_downsample(x)  # (N, C, h, w)
        at_keys = x if self.kv_downsample is None else self.kv_downsample(x)  # (N, C, k, l)
        queries, keys = at_queries.shape[2:], at_keys.shape[2:]
        content, query_position, key_bias, position_bias = self.attention_type
        query = self._heads(self.query_conv(at_queries)) if content or query_position else None
        value = self._heads(self.value_conv(at_keys))  # (N, M, k * l, D)
        mask = None  # is added to the energy, or bool
        if query_position or position_bias:
            mask = self._position_energy(query, queries, keys)
        elif self.spatial_range >= 0:
            forbidden = self.local_constraint_map(queries, keys, x.device)  # (h, w, k, l)
            mask = ~forbidden.flatten(2).flatten(0, 1)  # (h * w, k * l)
        elif not content:
            queries = torch.Size((1, 1))  # all queries have the same weights
        if content or key_bias:
            key = self._heads(self.key_conv(at_keys))  # (N, M, k * l, D)
            vector = self._sum(query if content else None, self.appr_bias if key_bias else None)
            vector = vector.expand(x.shape[0], -1, queries.numel(), -1)  # (N, M, h * w, D)
            out = scaled_dot_product_attention(vector, key, value, attn_mask=mask, scale=1.0)
        else:
            out = torch.softmax(mask, dim=-1) @ value  # type: ignore[arg-type]  # another term is used
        inner = self.num_heads * self.v_dim
        out = out.transpose(2, 3).reshape(x.shape[0], inner, *queries)  # (N, M * D, h, w)
        out = self.proj_conv(out)  # (N, C, h, w)
        if self.q_downsample is not None:
            out = interpolate(out, size=x.shape[2:], mode="bilinear", align_corners=False)
        return torch.add(x, self.gamma * out)

    def _heads(self, x: Tensor) -> Tensor:
        """Return (N, M, H * W, D) for (N, M * D, H, W)."""
        return x.reshape(x.shape[0], self.num_heads, self.v_dim, x.shape[2] * x.shape[3]).transpose(2, 3)

    def _sum(self, query: Tensor | None, bias: Tensor | None) -> Tensor:
        """Return the sum of what is given of a query (N, M, h * w, D) and a bias, which gives (1, M, 1, D)."""
        if bias is None:
            return query  # type: ignore[return-value]  # one of them is given
        vector = bias.view(1, self.num_heads, 1, self.qk_embed_dim)
        return vector if query is None else query + vector

    def _position_energy(self, query: Tensor | None, queries: torch.Size, keys: torch.Size) -> Tensor:
        """Return the terms with relative positions, (N or 1, M, h * w, k * l), minus infinity out of range."""
        _, query_position, _, position_bias = self.attention_type
        vector = self._sum(query if query_position else None, self.geom_bias if position_bias else None)
        # (N, M, h, w, D), or (1, M, 1, 1, D) if it does not depend on the query
        vector = vector.reshape(
            vector.shape[0], self.num_heads, *(queries if query_position else (1, 1)), self.qk_embed_dim
        )
        device = vector.device
        rows = self._embedding(self.appr_geom_fc_y, queries[0], keys[0], device)  # (h, k, M, D)
        columns = self._embedding(self.appr_geom_fc_x, queries[1], keys[1], device)  # (w, l, M, D)
        by_row = torch.einsum("nmhwd,hkmd->nmhwk", vector, rows)
        by_column = torch.einsum("nmhwd,wlmd->nmhwl", vector, columns)
        if self.spatial_range >= 0:
            out_of_range = ~self._in_range(queries[0], keys[0], device)[:, None]  # (h, 1, k)
            by_row = by_row.masked_fill(out_of_range, float("-inf"))
            out_of_range = ~self._in_range(queries[1], keys[1], device)  # (w, l)
            by_column = by_column.masked_fill(out_of_range, float("-inf"))
        energy = by_row.unsqueeze(5) + by_column.unsqueeze(4)  # (N or 1, M, h, w, k, l)
        return energy.flatten(4).flatten(2, 3)

    def _embedding(self, layer: nn.Linear, queries: int, keys: int, device: torch.device) -> Tensor:
        """Return the embedding of the relative positions in one dimension, (queries, keys, M, D)."""
        at_query = torch.arange(queries, device=device) * self.q_stride  # pixels
        at_key = torch.arange(keys, device=device) * self.kv_stride
        distance = (at_query[:, None] - at_key) * self.position_magnitude  # (queries, keys)
        steps = torch.arange(self.position_embedding_dim // 4, device=device)
        wave_lengths = WAVE_LENGTH ** (4 / self.position_embedding_dim * steps)
        phase = distance[..., None] / wave_lengths  # (queries, keys, dim / 4)
        waves = torch.cat((phase.sin(), phase.cos()), dim=-1).to(layer.weight.dtype)
        embedding: Tensor = layer(waves) / math.sqrt(2)  # (queries, keys, M * D)
        return embedding.reshape(queries, keys, self.num_heads, -1)

    def local_constraint_map(self, queries: torch.Size, keys: torch.Size, device: torch.device) -> Tensor:
        """Return whether each key is out of the range of each query, (h, w, k, l), bool."""
        rows = self._in_range(queries[0], keys[0], device)  # (h, k)
        columns = self._in_range(queries[1], keys[1], device)  # (w, l)
        return torch.logical_not(rows[:, None, :, None] & columns[None, :, None, :])

    def _in_range(self, queries: int, keys: int, device: torch.device) -> Tensor:
        """Return whether each key is in the range of each query in one dimension, (queries, keys), bool."""
        at_query = torch.arange(queries, device=device)[:, None] * self.q_stride  # pixels
        key = torch.arange(keys, device=device)
        first = (at_query - self.spatial_range).div(self.kv_stride, rounding_mode="floor")
        last = (at_query + self.spatial_range + 1).div(self.kv_stride, rounding_mode="floor")
        return torch.logical_and(first <= key, key <= last)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # MMCV saves the map as a parameter; here it follows from the arguments.
        kept = {key: value for key, value in state_dict.items() if key != f"{prefix}local_constraint_map"}
        super()._load_from_state_dict(kept, prefix, *args, **kwargs)


def _check_attention_type(attention_type: object) -> None:
    if (
        not isinstance(attention_type, str)
        or len(attention_type) != 4
        or set(attention_type) not in ({"1"}, {"0", "1"})
    ):
        raise ArgumentError(
            f"attention_type must be four digits 0 or 1 in a str, such as '1111', not all 0, not {attention_type!r}.",
            argument="attention_type",
        )
