"""A layer of a transformer."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cfgtrain.cnn.bricks.norm import build_norm_layer
from cfgtrain.cnn.bricks.transformer.builders import build_attention, build_feedforward_network
from cfgtrain.cnn.bricks.transformer.ffn import RELU
from cfgtrain.cnn.module import BaseModule, ModuleList
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.origin import location
from cfgtrain.registries import TRANSFORMER_LAYER
from cfgtrain.suggestions import one_of, suggest

__all__ = ["BaseTransformerLayer"]

Config = Mapping[str, Any]
Masks = Tensor | Sequence[Tensor | None] | None

_OPERATIONS = ("self_attn", "norm", "ffn", "cross_attn")
_ATTENTIONS = ("self_attn", "cross_attn")
_LN = {"type": "LN"}
# The default network, without embed_dims: the layer adds its own.
_FFN = {"type": "FFN", "feedforward_channels": 1024, "num_fcs": 2, "ffn_drop": 0.0, "act_cfg": RELU}
_DEPRECATED = {
    "feedforward_channels": "feedforward_channels",
    "ffn_dropout": "ffn_drop",
    "ffn_num_fcs": "num_fcs",
}


@TRANSFORMER_LAYER.register_module()
class BaseTransformerLayer(BaseModule):
    """A layer of a transformer: attentions, normalizations and feed-forward networks in any order.

    An encoder layer of Vaswani et al., "Attention Is All You Need", 2017, has the order
    ``('self_attn', 'norm', 'ffn', 'norm')``, a decoder layer
    ``('self_attn', 'norm', 'cross_attn', 'norm', 'ffn', 'norm')``. If ``'norm'`` is first, the layer normalizes the
    input of each operation and adds its result to what was not normalized (Xiong et al., "On Layer Normalization in
    the Transformer Architecture", 2020). As in MMCV, this is the result of the last attention, or the input of the
    layer if there has not been any: the result of a feed-forward network does not replace it, so that in such a layer
    a feed-forward network is the last operation.

    Sequences are (L, B, C), or with ``batch_first`` (B, L, C). The parameters are ``attentions.<i>.*``,
    ``ffns.<i>.*`` and ``norms.<i>.*``.

    Args:
        attn_cfgs: Config of all attentions, or a list with one for each.
        ffn_cfgs: Config of all feed-forward networks, or a list with one for each. The type is ``FFN`` and
            ``embed_dims`` that of the layer if a config does not have them.
        operation_order: Names of the operations in their order: ``'self_attn'``, ``'cross_attn'``, ``'norm'`` and
            ``'ffn'``, with at least one attention.
        norm_cfg: Config of the normalizations.
        init_cfg: Config of the weight initialization.
        batch_first: Whether the sequences are (B, L, C); passed to the attentions.
        **kwargs: Deprecated: ``feedforward_channels``, ``ffn_dropout`` and ``ffn_num_fcs``, which replace
            ``feedforward_channels``, ``ffn_drop`` and ``num_fcs`` in ``ffn_cfgs``. Others are not used, with a
            warning. No config is changed.

    Raises:
        ArgumentError: The order has an unknown operation or no attention, there is not one config for each
            operation, or the configs do not agree on ``embed_dims`` or ``batch_first``.

    Attributes:
        attentions, ffns, norms: The operations of each kind, in their order.
        embed_dims: C, that of the first attention.
        pre_norm: Whether the first operation is a normalization.
        num_attn: Number of attentions.
    """

    def __init__(
        self,
        attn_cfgs: Config | Sequence[Config] | None = None,
        ffn_cfgs: Config | Sequence[Config] = _FFN,
        operation_order: Sequence[str] | None = None,
        norm_cfg: Config = _LN,
        init_cfg: Any = None,
        batch_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        order = _check_order(operation_order)
        self.operation_order = order
        self.batch_first = batch_first
        self.pre_norm = order[0] == "norm"
        names = [name for name in order if name in _ATTENTIONS]
        self.num_attn = len(names)
        self.attentions = ModuleList()
        for name, cfg in zip(names, _each("attn_cfgs", attn_cfgs, len(names), "attentions"), strict=True):
            self.attentions.append(_build_attention(cfg, batch_first, name))
        self.embed_dims: int = self.attentions[0].embed_dims  # type: ignore[assignment]  # an int, not a module
        _check_attentions(self.attentions, attn_cfgs)

        ffn_cfgs = _with_deprecated(ffn_cfgs, kwargs)
        self.ffns = ModuleList()
        for cfg in _each("ffn_cfgs", ffn_cfgs, order.count("ffn"), "feed-forward networks"):
            self.ffns.append(_build_ffn(cfg, self.embed_dims))
        self.norms = ModuleList()
        for _ in range(order.count("norm")):
            self.norms.append(build_norm_layer(norm_cfg, self.embed_dims)[1])

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_masks: Masks = None,
        query_key_padding_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Apply the operations.

        Args:
            query: (L, B, C), or with ``batch_first`` (B, L, C), like the other sequences.
            key: (S, B, C) keys of the cross-attentions.
            value: (S, B, C) values of the cross-attentions; None: ``key``.
            query_pos: Positional encoding of ``query``, or None.
            key_pos: Positional encoding of ``key``, or None.
            attn_masks: A list with a mask or None for each attention, in their order; or one mask for all of them,
                with a warning if there are several; or None. See ``MultiheadAttention``.
            query_key_padding_mask: (B, L) mask for the keys of the self-attentions, or None.
            key_padding_mask: (B, S) mask for the keys of the cross-attentions, or None.
            **kwargs: Further arguments of the attentions.

        Returns:
            The shape of ``query``.

        Raises:
            ArgumentError: There is not one mask for each attention.
        """
        masks = iter(self._masks(attn_masks))
        attentions, ffns, norms = iter(self.attentions), iter(self.ffns), iter(self.norms)
        identity = query
        for name in self.operation_order:
            shortcut = identity if self.pre_norm else None
            if name == "norm":
                query = next(norms)(query)
            elif name == "ffn":
                query = next(ffns)(query, shortcut)
            else:
                own = name == "self_attn"
                query = identity = next(attentions)(
                    query,
                    query if own else key,
                    query if own else value,
                    shortcut,
                    query_pos=query_pos,
                    key_pos=query_pos if own else key_pos,
                    attn_mask=next(masks),
                    key_padding_mask=query_key_padding_mask if own else key_padding_mask,
                    **kwargs,
                )
        return query

    def _masks(self, attn_masks: Masks) -> Sequence[Tensor | None]:
        """Return a mask or None for each attention."""
        if attn_masks is None:
            return [None] * self.num_attn
        if isinstance(attn_masks, Tensor):
            if self.num_attn > 1:
                warnings.warn(
                    f"{type(self).__name__} uses the same attn_mask for all its {self.num_attn} attentions.",
                    stacklevel=3,
                )
            return [attn_masks] * self.num_attn
        if len(attn_masks) != self.num_attn:
            raise ArgumentError(
                f"attn_masks must have a mask or None for each of the {self.num_attn} attentions, "
                f"not {len(attn_masks)} of them.",
                argument="attn_masks",
            )
        return attn_masks


def _check_order(order: Any) -> tuple[str, ...]:
    if not isinstance(order, Sequence) or isinstance(order, str):
        raise ArgumentTypeError(
            f"operation_order must be a list of operations, {one_of(_OPERATIONS)}, not {order!r}.",
            argument="operation_order",
        )
    for i, name in enumerate(order):
        if name not in _OPERATIONS:
            raise ArgumentError(
                f"operation_order[{i}] must be {one_of(_OPERATIONS)}, not {name!r}.",
                near=(str(name), _OPERATIONS),
                argument="operation_order",
            )
    if not any(name in _ATTENTIONS for name in order):
        raise ArgumentError(
            f"operation_order must contain 'self_attn' or 'cross_attn', not only {list(order)}.",
            argument="operation_order",
        )
    return tuple(order)


def _each(name: str, cfgs: Any, count: int, kind: str) -> list[Any]:
    """Return a config for each of some operations, copied."""
    if isinstance(cfgs, Mapping):
        return [copy.deepcopy(cfgs) for _ in range(count)]
    if not isinstance(cfgs, Sequence) or isinstance(cfgs, str):
        raise ArgumentTypeError(
            f"{name} must be a config, or a list of them for the {count} {kind} in operation_order, not {cfgs!r}.",
            argument=name,
        )
    if len(cfgs) != count:
        raise ArgumentError(
            f"{name} has {len(cfgs)} configs, but operation_order has {count} {kind}.", argument=name
        )
    return [copy.deepcopy(cfg) for cfg in cfgs]


def _build_attention(cfg: Any, batch_first: bool, name: str) -> Any:
    given = cfg.get("batch_first", batch_first) if isinstance(cfg, Mapping) else batch_first
    if given != batch_first:
        raise ArgumentError(
            f"batch_first of an attention must be that of its layer, {batch_first}, not {given!r}.",
            hint="Give it to the layer alone.",
            argument=("attn_cfgs", "batch_first"),
            **location(cfg, "batch_first"),
        )
    attention: Any = build_attention(cfg, {"batch_first": batch_first})
    attention.operation_name = name
    return attention


def _check_attentions(attentions: Sequence[Any] | ModuleList, cfgs: Any) -> None:
    """Raise if the attentions do not have the same number of channels."""
    found = [getattr(attention, "embed_dims", None) for attention in attentions]
    for i, dims in enumerate(found):
        if dims is not None and dims != found[0]:
            raise ArgumentError(
                f"embed_dims of attn_cfgs[{i}] must be that of the first attention, {found[0]}, not {dims}.",
                argument="attn_cfgs",
                **location(cfgs[i], "embed_dims"),
            )


def _build_ffn(cfg: Any, embed_dims: int) -> Any:
    dims = cfg.get("embed_dims", embed_dims) if isinstance(cfg, Mapping) else embed_dims
    if dims != embed_dims:
        raise ArgumentError(
            f"embed_dims in ffn_cfgs must be that of the attention, {embed_dims}, not {dims!r}.",
            hint="Without it, it is filled in.",
            argument=("ffn_cfgs", "embed_dims"),
            **location(cfg, "embed_dims"),
        )
    return build_feedforward_network(cfg, {"type": "FFN", "embed_dims": embed_dims})


def _with_deprecated(ffn_cfgs: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return the configs of the feed-forward networks with deprecated arguments of the layer."""
    new: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name not in _DEPRECATED:
            known = ("attn_cfgs", "ffn_cfgs", "operation_order", "norm_cfg", "init_cfg", "batch_first")
            warnings.warn(
                f"BaseTransformerLayer does not use the argument {name!r}.{suggest(name, known)}",
                stacklevel=3,
            )
            continue
        message = f"The argument {name!r} of BaseTransformerLayer is deprecated: use {_DEPRECATED[name]!r} in 'ffn_cfgs'."
        warnings.warn(message, DeprecationWarning, stacklevel=3)
        new[_DEPRECATED[name]] = value
    if not new:
        return ffn_cfgs
    if isinstance(ffn_cfgs, Mapping):
        return {**ffn_cfgs, **new}
    return [{**cfg, **new} for cfg in ffn_cfgs]
