"""A convolution with its normalization and activation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import spectral_norm

from cfgtrain.arguments import check_divisor, check_integer
from cfgtrain.cnn.bricks.builder import check_cfg
from cfgtrain.cnn.bricks.conv import build_conv_layer
from cfgtrain.cnn.bricks.norm import build_norm_layer
from cfgtrain.cnn.bricks.padding import explicit_padding_layer
from cfgtrain.cnn.init.functions import constant_init, kaiming_init
from cfgtrain.errors import ArgumentError
from cfgtrain.introspection.signatures import parameters_of
from cfgtrain.registries import ACTIVATION_LAYERS, PLUGIN_LAYERS
from cfgtrain.registry.registry import construct, resolve_cfg

__all__ = ["ConvModule"]

RELU = {"type": "ReLU"}  # the default activation

Size = int | tuple[int, ...]
Cfg = Mapping[str, Any] | None


@PLUGIN_LAYERS.register_module()
class ConvModule(nn.Module):
    """A convolution, a normalization and an activation, in any order.

    The layers are the children ``conv``, the normalization under the name that ``build_norm_layer`` gives
    it, such as ``bn``, and ``activate``. The weights are initialized when it is built; see ``init_weights``.

    Args:
        in_channels: C_in of the input, (N, C_in, H, W) for a 2-D convolution.
        out_channels: C_out of the output, (N, C_out, H', W').
        kernel_size: Size of the kernel in pixels, an int or one for each dimension.
        stride: Step of the kernel in pixels, likewise.
        padding: Padding in pixels on both sides, likewise, or ``"same"`` or ``"valid"``.
        dilation: Distance of the taps of the kernel in pixels, likewise.
        groups: Number of groups of channels.
        bias: Whether the convolution has a bias; ``"auto"``: only if there is no normalization.
        conv_cfg: Config of the convolution; None for ``Conv2d``. Not changed, like those that follow.
        norm_cfg: Config of the normalization, or None.
        act_cfg: Config of the activation, or None.
        inplace: Whether the activation works in place if it can, ``act_cfg`` does not say, and the
            convolution comes before it, so that the input of the module is never changed.
        with_spectral_norm: Whether the weight of the convolution is divided by its spectral norm (Miyato et
            al., "Spectral Normalization for Generative Adversarial Networks", 2018).
        padding_mode: ``"zeros"`` or ``"circular"``, which the convolution itself performs, or a name of the
            padding layers, such as ``"reflect"``: a layer of its own, the child ``padding_layer``.
        order: The order of ``"conv"``, ``"norm"`` and ``"act"``, a tuple.

    Raises:
        ArgumentError: ``order`` or ``bias`` is invalid, or ``groups`` does not divide the channels.
        ArgumentTypeError: A config is not a mapping.
        UnknownNameError: A type or the padding mode is unknown.

    Attributes:
        with_norm, with_activation, with_bias, with_explicit_padding: Whether there is such a part.
        norm_name: Name of the normalization among the children, or None.
    """

    _abbr_ = "conv_block"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool | Literal["auto"] = "auto",
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = None,
        act_cfg: Cfg = RELU,
        inplace: bool = True,
        with_spectral_norm: bool = False,
        padding_mode: str = "zeros",
        order: tuple[str, str, str] = ("conv", "norm", "act"),
    ) -> None:
        super().__init__()
        for name, cfg in (("conv_cfg", conv_cfg), ("norm_cfg", norm_cfg), ("act_cfg", act_cfg)):
            check_cfg(name, cfg)
        _check_order(order)
        _check_channels(in_channels, out_channels, groups)
        if isinstance(bias, str) and bias != "auto":
            raise ArgumentError(f"bias must be True, False or 'auto', not {bias!r}.", argument="bias")
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self.inplace = inplace
        self.with_spectral_norm = with_spectral_norm
        self.with_explicit_padding = padding_mode not in ("zeros", "circular")
        self.order = order
        self.with_norm = norm_cfg is not None
        self.with_activation = act_cfg is not None
        self.with_bias = not self.with_norm if bias == "auto" else bool(bias)

        # Not every convolution has a padding mode, so it is only passed if it is needed.
        mode = {"padding_mode": padding_mode} if padding_mode == "circular" else {}
        conv: Any = build_conv_layer(
            conv_cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0 if self.with_explicit_padding else padding,
            dilation=dilation,
            groups=groups,
            bias=self.with_bias,
            **mode,
        )
        if self.with_explicit_padding:
            self.padding_layer = explicit_padding_layer(padding_mode, padding, conv)
        self.conv: nn.Module = spectral_norm(conv) if with_spectral_norm else conv
        self.in_channels: int = conv.in_channels
        self.out_channels: int = conv.out_channels
        self.kernel_size: Size = conv.kernel_size
        self.stride: Size = conv.stride
        self.padding = padding
        self.dilation: Size = conv.dilation
        self.transposed: bool = conv.transposed
        self.output_padding: Size = conv.output_padding
        self.groups: int = conv.groups

        self.norm_name: str | None = None
        if norm_cfg is not None:
            norm_channels = out_channels if order.index("norm") > order.index("conv") else in_channels
            self.norm_name, norm = build_norm_layer(norm_cfg, norm_channels)
            self.add_module(self.norm_name, norm)
            if self.with_bias and isinstance(norm, _BatchNorm | _InstanceNorm):
                warnings.warn("Unnecessary conv bias before batch/instance norm", stacklevel=2)
        if act_cfg is not None:
            self.activate = _build_activation(act_cfg, inplace and order.index("act") > order.index("conv"))
        self.init_weights()

    @property
    def norm(self) -> nn.Module | None:
        """The normalization layer, or None."""
        return None if self.norm_name is None else getattr(self, self.norm_name)

    def init_weights(self) -> None:
        """Initialize the weights, in place.

        The convolution is initialized according to He et al. 2015 for its activation, unless it has an
        ``init_weights`` of its own; the normalization with weight 1 and bias 0.
        """
        if not hasattr(self.conv, "init_weights"):
            leaky = self.with_activation and isinstance(self.activate, nn.LeakyReLU)
            slope = self.activate.negative_slope if leaky else 0
            _kaiming_init(self.conv, slope, "leaky_relu" if leaky else "relu")
        if self.norm is not None:
            constant_init(self.norm, 1, bias=0)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """Apply the layers in the order of ``order``.

        Args:
            x: (N, C_in, H, W) for a 2-D convolution.
            activate: Whether the activation is applied, if there is one.
            norm: Whether the normalization is applied, if there is one.

        Returns:
            (N, C_out, H', W').
        """
        for layer in self.order:
            if layer == "conv":
                if self.with_explicit_padding:
                    x = self.padding_layer(x)
                x = self.conv(x)
            elif layer == "norm" and norm and self.norm is not None:
                x = self.norm(x)
            elif layer == "act" and activate and self.with_activation:
                x = self.activate(x)
        return x


def _check_order(order: object) -> None:
    layers = ("conv", "norm", "act")
    if not isinstance(order, tuple) or len(order) != 3 or any(order.count(each) != 1 for each in layers):
        raise ArgumentError(
            f"order must be a tuple with each of 'conv', 'norm' and 'act', not {order!r}.", argument="order"
        )


def _check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    check_integer("in_channels", in_channels, 1)
    check_integer("out_channels", out_channels, 1)
    check_integer("groups", groups, 1)
    meaning = f"in_channels, {in_channels}, and out_channels, {out_channels}"
    check_divisor("groups", groups, math.gcd(in_channels, out_channels), meaning)


def _build_activation(act_cfg: Mapping[str, Any], inplace: bool) -> Any:
    """Build an activation, which works in place if it can and its config does not say otherwise."""
    target, settings = resolve_cfg(act_cfg, ACTIVATION_LAYERS)
    parameters = parameters_of(target)
    if parameters is not None and "inplace" in parameters.names:
        settings.setdefault("inplace", inplace)
    return construct(target, settings, act_cfg)


def _kaiming_init(conv: nn.Module, slope: float, nonlinearity: Literal["relu", "leaky_relu"]) -> None:
    """Initialize the weight of a convolution, or that from which the spectral norm computes it."""
    weight = conv._parameters.get("weight_orig")
    if weight is None:
        kaiming_init(conv, a=slope, nonlinearity=nonlinearity)
        return
    nn.init.kaiming_normal_(weight, a=slope, mode="fan_out", nonlinearity=nonlinearity)
    if isinstance(conv.bias, Tensor):
        nn.init.zeros_(conv.bias)
