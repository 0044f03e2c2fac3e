"""The feed-forward network of a transformer layer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from cfgtrain.arguments import check_integer, check_number
from cfgtrain.cnn.bricks.activation import build_activation_layer
from cfgtrain.cnn.bricks.drop import build_dropout
from cfgtrain.cnn.module import BaseModule
from cfgtrain.registries import FEEDFORWARD_NETWORK
from cfgtrain.suggestions import suggest
from cfgtrain.utils.deprecation import deprecated_api_warning

__all__ = ["FFN"]

RELU = {"type": "ReLU", "inplace": True}  # the default activation
_NAMES = (
    "embed_dims",
    "feedforward_channels",
    "num_fcs",
    "act_cfg",
    "ffn_drop",
    "dropout_layer",
    "add_identity",
)


@FEEDFORWARD_NETWORK.register_module()
class FFN(BaseModule):
    """Linear layers applied to each vector of a sequence (Vaswani et al., "Attention Is All You Need", 2017).

    The parameters are, with two linear layers, ``layers.0.0.*`` and ``layers.1.*``. All activations are the same
    module ``activate``, so the parameters of one that has any appear under several names.

    Args:
        embed_dims: C of the input and the output (..., C).
        feedforward_channels: Number of channels between the linear layers.
        num_fcs: Number of linear layers, at least 2.
        act_cfg: Config of the activation after each linear layer but the last.
        ffn_drop: Probability of setting an element of the output of a linear layer to zero.
        dropout_layer: Config of the dropout of what is added to the input, such as ``DropPath``, or None.
        add_identity: Whether the input is added to the output.
        init_cfg: Config of the weight initialization.
        **kwargs: Not used, with a warning. ``dropout`` and ``add_residual`` are deprecated names of ``ffn_drop``
            and ``add_identity``.

    Raises:
        ArgumentError: ``num_fcs`` is less than 2, or ``ffn_drop`` not from 0 to 1.
    """

    @deprecated_api_warning({"dropout": "ffn_drop", "add_residual": "add_identity"}, cls_name="FFN")
    def __init__(
        self,
        embed_dims: int = 256,
        feedforward_channels: int = 1024,
        num_fcs: int = 2,
        act_cfg: Mapping[str, Any] = RELU,
        ffn_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        add_identity: bool = True,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        for name in kwargs:
            warnings.warn(f"FFN does not use the argument {name!r}.{suggest(name, _NAMES)}", stacklevel=3)
        check_integer("embed_dims", embed_dims, 1)
        check_integer("feedforward_channels", feedforward_channels, 1)
        check_integer("num_fcs", num_fcs, 2)
        check_number("ffn_drop", ffn_drop, 0, 1)
        self.embed_dims = embed_dims
        self.feedforward_channels = feedforward_channels
        self.num_fcs = num_fcs
        self.act_cfg = act_cfg
        self.activate = build_activation_layer(act_cfg)
        layers: list[nn.Module] = []
        channels = embed_dims
        for _ in range(num_fcs - 1):
            linear = nn.Linear(channels, feedforward_channels)
            layers.append(nn.Sequential(linear, self.activate, nn.Dropout(ffn_drop)))
            channels = feedforward_channels
        layers += [nn.Linear(channels, embed_dims), nn.Dropout(ffn_drop)]
        self.layers = nn.Sequential(*layers)
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()
        self.add_identity = add_identity

    def tensor_parallel_plan(self) -> dict[str, str]:
        """Return how processes that compute this network together divide its layers.

        There is no plan for more than two layers, and for activations with parameters, of which a process would have
        the gradients of its features only.
        """
        if self.num_fcs > 2 or any(True for _ in self.activate.parameters()):
            return {}
        return {"layers.0.0": "colwise", "layers.1": "rowwise"}

    @deprecated_api_warning({"residual": "identity"}, cls_name="FFN")
    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        """Apply the layers.

        Args:
            x: (..., C), such as (B, L, C).
            identity: (..., C), to which the result is added; None: ``x``. Not used without ``add_identity``.

        Returns:
            (..., C).
        """
        out: Tensor = self.dropout_layer(self.layers(x))
        if not self.add_identity:
            return out
        return (x if identity is None else identity) + out
