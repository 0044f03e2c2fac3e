"""Building the parts of transformers from configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from cfgtrain.registries import (
    ATTENTION,
    FEEDFORWARD_NETWORK,
    POSITIONAL_ENCODING,
    TRANSFORMER_LAYER,
    TRANSFORMER_LAYER_SEQUENCE,
)
from cfgtrain.registry.registry import build_from_cfg

__all__ = [
    "build_attention",
    "build_feedforward_network",
    "build_positional_encoding",
    "build_transformer_layer",
    "build_transformer_layer_sequence",
]

Config = Mapping[str, Any]


def build_positional_encoding(cfg: Config, default_args: Config | None = None) -> nn.Module:
    """Build a positional encoding; see ``cfgtrain.build_from_cfg``."""
    layer: nn.Module = build_from_cfg(cfg, POSITIONAL_ENCODING, default_args)
    return layer


def build_attention(cfg: Config, default_args: Config | None = None) -> nn.Module:
    """Build an attention layer; see ``cfgtrain.build_from_cfg``."""
    layer: nn.Module = build_from_cfg(cfg, ATTENTION, default_args)
    return layer


def build_feedforward_network(cfg: Config, default_args: Config | None = None) -> nn.Module:
    """Build a feed-forward network; see ``cfgtrain.build_from_cfg``."""
    layer: nn.Module = build_from_cfg(cfg, FEEDFORWARD_NETWORK, default_args)
    return layer


def build_transformer_layer(cfg: Config, default_args: Config | None = None) -> nn.Module:
    """Build a layer of a transformer; see ``cfgtrain.build_from_cfg``."""
    layer: nn.Module = build_from_cfg(cfg, TRANSFORMER_LAYER, default_args)
    return layer


def build_transformer_layer_sequence(cfg: Config, default_args: Config | None = None) -> nn.Module:
    """Build a sequence of transformer layers; see ``cfgtrain.build_from_cfg``."""
    layer: nn.Module = build_from_cfg(cfg, TRANSFORMER_LAYER_SEQUENCE, default_args)
    return layer
