"""Transformer layers one after another."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cfgtrain.arguments import check_integer
from cfgtrain.cnn.bricks.transformer.builders import build_transformer_layer
from cfgtrain.cnn.bricks.transformer.layer import Masks
from cfgtrain.cnn.module import BaseModule, ModuleList
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import TRANSFORMER_LAYER_SEQUENCE

__all__ = ["TransformerLayerSequence"]


@TRANSFORMER_LAYER_SEQUENCE.register_module()
class TransformerLayerSequence(BaseModule):
    """Transformer layers that are applied one after another: an encoder or a decoder.

    The parameters are ``layers.<i>.*``.

    Args:
        transformerlayers: Config of all layers, or a list with one for each. Not changed.
        num_layers: Number of layers.
        init_cfg: Config of the weight initialization.

    Raises:
        ArgumentError: There is not one config for each layer, or ``num_layers`` is not a positive int.

    Attributes:
        embed_dims, pre_norm: Those of the first layer.
    """

    def __init__(
        self,
        transformerlayers: Mapping[str, Any] | list[Mapping[str, Any]] | None = None,
        num_layers: int | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        number = check_integer("num_layers", num_layers, 1)
        if isinstance(transformerlayers, Mapping):
            transformerlayers = [transformerlayers] * number
        if not isinstance(transformerlayers, list):
            raise ArgumentTypeError(
                f"transformerlayers must be a config, or a list of {number} of them, not {transformerlayers!r}.",
                argument="transformerlayers",
            )
        if len(transformerlayers) != number:
            raise ArgumentError(
                f"transformerlayers has {len(transformerlayers)} configs, but num_layers is {number}.",
                argument="transformerlayers",
            )
        self.num_layers = number
        self.layers = ModuleList(build_transformer_layer(copy.deepcopy(cfg)) for cfg in transformerlayers)
        first: Any = self.layers[0]
        self.embed_dims: int = first.embed_dims
        self.pre_norm: bool = first.pre_norm

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
        """Apply the layers; each gets the result of the one before as its ``query``, and the other arguments.

        See ``BaseTransformerLayer.forward``.

        Returns:
            The shape of ``query``.
        """
        for layer in self.layers:
            query = layer(
                query,
                key,
                value,
                query_pos=query_pos,
                key_pos=key_pos,
                attn_masks=attn_masks,
                query_key_padding_mask=query_key_padding_mask,
                key_padding_mask=key_padding_mask,
                **kwargs,
            )
        return query
