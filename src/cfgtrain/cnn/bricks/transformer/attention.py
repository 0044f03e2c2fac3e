"""Multi-head attention with positional encodings and a shortcut."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.arguments import check_divisor, check_integer, check_number
from cfgtrain.cnn.bricks.drop import build_dropout
from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentTypeError
from cfgtrain.registries import ATTENTION
from cfgtrain.utils.deprecation import deprecated_api_warning

__all__ = ["MultiheadAttention"]

_NO_DROPOUT = {"type": "Dropout", "drop_prob": 0.0}


@ATTENTION.register_module()
class MultiheadAttention(BaseModule):
    """Multi-head attention, to which the input is added (Vaswani et al., "Attention Is All You Need", 2017).

    Queries, keys and values are (L, B, C), or with ``batch_first`` (B, L, C). The parameters are those of the
    ``torch.nn.MultiheadAttention`` ``attn``: ``attn.in_proj_weight``, ``attn.in_proj_bias`` and
    ``attn.out_proj.*``. It is always given (L, B, C), and computes the attention by
    ``torch.nn.functional.scaled_dot_product_attention``.

    Args:
        embed_dims: C.
        num_heads: Number of heads; divides C.
        attn_drop: Probability of setting an attention weight to zero.
        proj_drop: Probability of setting an element of the output of the attention to zero.
        dropout_layer: Config of the dropout of what is added to the input, such as ``DropPath``, or None.
        init_cfg: Config of the weight initialization.
        batch_first: Whether the inputs and the output are (B, L, C) instead of (L, B, C).
        bias: Whether the linear layers have a bias.
        add_bias_kv: Whether a learned vector is appended to the keys and one to the values.
        add_zero_attn: Whether a vector of zeros is appended to the keys and the values.
        kdim: Number of channels of the keys; None: C.
        vdim: Number of channels of the values; None: C.
        device: Device of the parameters.
        dtype: Type of the parameters.
        dropout: Deprecated: sets both ``attn_drop`` and the ``drop_prob`` of ``dropout_layer``.

    Raises:
        ArgumentError: ``num_heads`` does not divide ``embed_dims``, or a probability is not from 0 to 1.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = _NO_DROPOUT,
        init_cfg: Any = None,
        batch_first: bool = False,
        *,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
        dropout: float | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if dropout is not None:
            warnings.warn(
                "The argument 'dropout' of MultiheadAttention is deprecated: use 'attn_drop', and 'drop_prob' in "
                "'dropout_layer'.",
                DeprecationWarning,
                stacklevel=2,
            )
            attn_drop = dropout
            dropout_layer = {**dropout_layer, "drop_prob": dropout} if dropout_layer else None
        check_heads(embed_dims, num_heads)
        check_number("attn_drop", attn_drop, 0, 1)
        check_number("proj_drop", proj_drop, 0, 1)
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.batch_first = batch_first
        self.attn = nn.MultiheadAttention(
            embed_dims,
            num_heads,
            attn_drop,
            bias=bias,
            add_bias_kv=add_bias_kv,
            add_zero_attn=add_zero_attn,
            kdim=kdim,
            vdim=vdim,
            device=device,
            dtype=dtype,
        )
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()

    @deprecated_api_warning({"residual": "identity"}, cls_name="MultiheadAttention")
    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Add the attention to ``identity``.

        Args:
            query: (L, B, C), or with ``batch_first`` (B, L, C), like the other sequences.
            key: (S, B, kdim); None: ``query``.
            value: (S, B, vdim); None: ``key``, without its positional encoding.
            identity: (L, B, C), to which the attention is added; None: ``query``, without its positional encoding.
            query_pos: Positional encoding that is added to the queries, or None.
            key_pos: Positional encoding that is added to the keys; None: ``query_pos`` if it has the shape of the
                keys, else none, with a warning.
            attn_mask: (L, S) or (B * num_heads, L, S). Bool or uint8: where it is not 0, the query does not attend
                to the key. Float: is added to the scores.
            key_padding_mask: (B, S), likewise: bool or uint8, not 0 for keys that no query attends to, or float.
            **kwargs: Not used: the arguments of other attentions in the same layer.

        Returns:
            The shape of ``query``.

        Raises:
            ArgumentTypeError: A mask is neither bool, uint8 nor float.
        """
        key = query if key is None else key
        value = key if value is None else value
        identity = query if identity is None else identity
        if key_pos is None and query_pos is not None:
            key_pos = self._position_of_keys(query_pos, key)
        # PyTorch projects queries, keys and values at once if they are one tensor.
        same = query is key and query_pos is key_pos
        if query_pos is not None:
            query = query + query_pos
        if same:
            key = query
        elif key_pos is not None:
            key = key + key_pos
        attn_mask, key_padding_mask = _masks(attn_mask, key_padding_mask)
        query, key, value = self._sequence_first(query, key, value)
        out = self.attn(query, key, value, key_padding_mask, False, attn_mask)[0]  # (L, B, C)
        if self.batch_first:
            out = out.transpose(0, 1)
        out = self.dropout_layer(self.proj_drop(out))
        return identity + out  # type: ignore[no-any-return]

    def _position_of_keys(self, query_pos: Tensor, key: Tensor) -> Tensor | None:
        """Return the positional encoding of keys for which none is given, with a warning if there is none."""
        if query_pos.shape == key.shape:
            return query_pos
        warnings.warn(
            f"The keys of {type(self).__name__} have no positional encoding: key_pos is missing, and query_pos, "
            f"{tuple(query_pos.shape)}, does not have the shape of the keys, {tuple(key.shape)}.",
            stacklevel=4,
        )
        return None

    def _sequence_first(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (L, B, C) tensors; those that are one tensor stay so."""
        if not self.batch_first:
            return query, key, value
        first = query.transpose(0, 1)  # (L, B, C)
        second = first if key is query else key.transpose(0, 1)  # (S, B, kdim)
        third = first if value is query else second if value is key else value.transpose(0, 1)
        return first, second, third


def check_heads(embed_dims: int, num_heads: int, *inside: str) -> None:
    """Raise if heads cannot share the channels evenly.

    Args:
        embed_dims: Number of channels.
        num_heads: Number of heads.
        *inside: Key path of the argument that contains these two, for the location in a config.

    Raises:
        ArgumentError: They are not positive ints, or ``num_heads`` does not divide ``embed_dims``.
    """
    check_integer("embed_dims", embed_dims, 1)
    check_integer("num_heads", num_heads, 1)
    check_divisor("num_heads", num_heads, embed_dims, f"embed_dims, {embed_dims}", (*inside, "num_heads"))


def _masks(attn_mask: Tensor | None, key_padding_mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Return masks that PyTorch takes: two bool or two float ones."""
    attn_mask = _bool_or_float("attn_mask", attn_mask)
    key_padding_mask = _bool_or_float("key_padding_mask", key_padding_mask)
    if attn_mask is not None and key_padding_mask is not None and attn_mask.dtype != key_padding_mask.dtype:
        if attn_mask.dtype == torch.bool:
            attn_mask = _additive(attn_mask, key_padding_mask.dtype)
        elif key_padding_mask.dtype == torch.bool:
            key_padding_mask = _additive(key_padding_mask, attn_mask.dtype)
    return attn_mask, key_padding_mask


def _bool_or_float(name: str, mask: Tensor | None) -> Tensor | None:
    if mask is None or mask.dtype == torch.bool or mask.is_floating_point():
        return mask
    if mask.dtype == torch.uint8:
        return mask.bool()
    raise ArgumentTypeError(f"{name} must be bool, uint8 or float, not {mask.dtype}.", argument=name)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a float mask, which is added to the scores, for a bool mask."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))
