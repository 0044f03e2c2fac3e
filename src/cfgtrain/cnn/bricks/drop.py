"""Dropout layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.arguments import check_number
from cfgtrain.registries import DROPOUT_LAYERS
from cfgtrain.registry.registry import build_from_cfg

__all__ = ["DropPath", "Dropout", "build_dropout", "drop_path"]


def drop_path(x: Tensor, drop_prob: float = 0.0, training: bool = False) -> Tensor:
    """Set random samples of a batch to zero (Huang et al., "Deep Networks with Stochastic Depth", 2016).

    The other samples are divided by ``1 - drop_prob``, so that the expected value does not change.

    Args:
        x: (N, ...) float; each of the N samples is kept or dropped as a whole.
        drop_prob: Probability from 0 to 1 of dropping a sample.
        training: Whether samples are dropped at all.

    Returns:
        (N, ...) of the dtype of ``x``; ``x`` itself if nothing can be dropped.

    Raises:
        ArgumentError: ``drop_prob`` is not from 0 to 1.
    """
    check_number("drop_prob", drop_prob, 0, 1)
    return _drop_path(x, drop_prob, training)


def _drop_path(x: Tensor, drop_prob: float, training: bool) -> Tensor:
    """Do the same without a check, which ``torch.compile`` cannot trace."""
    if drop_prob == 0 or not training:
        return x
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    if drop_prob == 1:
        return x.masked_fill(torch.ones(shape, dtype=torch.bool, device=x.device), 0)
    keep = 1 - drop_prob
    mask = torch.rand(shape, dtype=x.dtype, device=x.device).add_(keep).floor_()  # (N, 1, ...): 1 keeps
    return x.div(keep) * mask


@DROPOUT_LAYERS.register_module()
class DropPath(nn.Module):
    """Sets random samples of a batch to zero in training; see ``drop_path``.

    From Huang et al., "Deep Networks with Stochastic Depth", 2016.

    Args:
        drop_prob: Probability from 0 to 1 of dropping a sample.

    Raises:
        ArgumentError: ``drop_prob`` is not from 0 to 1.
    """

    def __init__(self, drop_prob: float = 0.1) -> None:
        super().__init__()
        check_number("drop_prob", drop_prob, 0, 1)
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, ...) with random samples set to zero in training, else ``x`` itself."""
        return _drop_path(x, self.drop_prob, self.training)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"drop_prob={self.drop_prob}"


@DROPOUT_LAYERS.register_module()
class Dropout(nn.Dropout):
    """``torch.nn.Dropout`` with MMCV's name of the probability (Srivastava et al., "Dropout", 2014).

    Args:
        drop_prob: Probability from 0 to 1 of setting an element to zero in training.
        inplace: Whether the input is changed.
    """

    def __init__(self, drop_prob: float = 0.5, inplace: bool = False) -> None:
        super().__init__(p=check_number("drop_prob", drop_prob, 0, 1), inplace=inplace)


def build_dropout(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a dropout layer.

    Args:
        cfg: Config with a ``type`` and the arguments of the layer. Not changed.
        default_args: Arguments that ``cfg`` does not have.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping.
        UnknownNameError: The type is not registered, or missing.
        BuildError: The arguments do not fit the layer.
    """
    layer: nn.Module = build_from_cfg(cfg, DROPOUT_LAYERS, default_args)
    return layer
