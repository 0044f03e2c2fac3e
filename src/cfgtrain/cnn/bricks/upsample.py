"""Upsampling layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from cfgtrain.arguments import check_divisor, check_integer
from cfgtrain.cnn.init.functions import normal_init, xavier_init
from cfgtrain.errors import ArgumentError
from cfgtrain.ops.reassembly import carafe
from cfgtrain.registries import UPSAMPLE_LAYERS
from cfgtrain.registry.registry import construct, resolve_cfg

__all__ = ["CARAFEPack", "PixelShufflePack", "build_upsample_layer"]

UPSAMPLE_LAYERS.register_module("nearest", module=nn.Upsample)
UPSAMPLE_LAYERS.register_module("bilinear", module=nn.Upsample)


def build_upsample_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Build an upsampling layer.

    Args:
        cfg: Config with a ``type`` and further arguments. Not changed. The types ``nearest`` and ``bilinear``
            are the ``mode`` of ``torch.nn.Upsample``.
        *args: Arguments of the layer.
        **kwargs: Likewise; the config must not contain them.

    Raises:
        ArgumentTypeError: ``cfg`` is not a mapping.
        UnknownNameError: The type is not registered, or missing.
        BuildError: The arguments do not fit the layer, or the config has one of the calling code.
    """
    target, settings = resolve_cfg(cfg, UPSAMPLE_LAYERS)
    if target is nn.Upsample and isinstance(cfg["type"], str):
        name = cfg["type"].rpartition(".")[2]  # of a scope
        if name != "Upsample":  # the import path of the class
            settings["mode"] = name
        if isinstance(settings.get("scale_factor"), list):  # from JSON or YAML; PyTorch needs a tuple
            settings["scale_factor"] = tuple(settings["scale_factor"])
    layer: nn.Module = construct(target, settings, cfg, args, kwargs)
    return layer


@UPSAMPLE_LAYERS.register_module("pixel_shuffle")
class PixelShufflePack(nn.Module):
    """A convolution and a pixel shuffle (Shi et al., "Real-Time Single Image and Video Super-Resolution", 2016).

    Args:
        in_channels: C_in of the input (N, C_in, H, W).
        out_channels: C_out of the output (N, C_out, H * scale_factor, W * scale_factor).
        scale_factor: Factor of the height and of the width.
        upsample_kernel: Kernel size of the convolution, which is padded by ``(upsample_kernel - 1) // 2``: with
            an even kernel, the height and the width are one pixel less before they are multiplied.

    Raises:
        ArgumentError: ``scale_factor`` is not a positive int.
    """

    def __init__(self, in_channels: int, out_channels: int, scale_factor: int, upsample_kernel: int) -> None:
        super().__init__()
        check_integer("scale_factor", scale_factor, 1)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.scale_factor = scale_factor
        self.upsample_kernel = upsample_kernel
        self.upsample_conv = nn.Conv2d(
            in_channels,
            out_channels * scale_factor * scale_factor,
            upsample_kernel,
            padding=(upsample_kernel - 1) // 2,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize the convolution in place, according to Glorot & Bengio 2010, with bias 0."""
        xavier_init(self.upsample_conv, distribution="uniform")

    def forward(self, x: Tensor) -> Tensor:
        """Upsample (N, C_in, H, W) to (N, C_out, H * scale_factor, W * scale_factor)."""
        x = self.upsample_conv(x)  # (N, C_out * scale_factor**2, H, W)
        return nn.functional.pixel_shuffle(x, self.scale_factor)


@UPSAMPLE_LAYERS.register_module("carafe")
class CARAFEPack(nn.Module):
    """Content-aware upsampling (Wang et al., "CARAFE: Content-Aware ReAssembly of FEatures", 2019).

    Each pixel of the output is a weighted sum of ``up_kernel`` x ``up_kernel`` pixels of the input. The weights
    are predicted from the input.

    Args:
        channels: C of the input (N, C, H, W) and the output (N, C, H * scale_factor, W * scale_factor).
        scale_factor: Factor of the height and of the width.
        up_kernel: Number of pixels of the weighted sum in each dimension, odd.
        up_group: Number of groups of channels with their own weights; divides C.
        encoder_kernel: Kernel size of the convolution that predicts the weights, odd unless the dilation is even.
        encoder_dilation: Distance of the taps of that kernel in pixels.
        compressed_channels: Number of channels from which the weights are predicted.

    Raises:
        ArgumentError: An argument is not a positive int, or does not fit.
    """

    def __init__(
        self,
        channels: int,
        scale_factor: int,
        up_kernel: int = 5,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
    ) -> None:
        super().__init__()
        check_integer("channels", channels, 1)
        check_integer("scale_factor", scale_factor, 1)
        check_integer("up_kernel", up_kernel, 1)
        check_integer("up_group", up_group, 1)
        if up_kernel % 2 == 0:
            raise ArgumentError(f"up_kernel must be odd, not {up_kernel}.", argument="up_kernel")
        check_divisor("up_group", up_group, channels, f"the {channels} channels")
        if (encoder_kernel - 1) * encoder_dilation % 2:
            raise ArgumentError(
                f"encoder_kernel must be odd with a dilation of {encoder_dilation}, not {encoder_kernel}.",
                argument="encoder_kernel",
            )
        self.channels = channels
        self.scale_factor = scale_factor
        self.up_kernel = up_kernel
        self.up_group = up_group
        self.encoder_kernel = encoder_kernel
        self.encoder_dilation = encoder_dilation
        self.compressed_channels = compressed_channels
        self.channel_compressor = nn.Conv2d(channels, compressed_channels, 1)
        self.content_encoder = nn.Conv2d(
            compressed_channels,
            up_kernel * up_kernel * up_group * scale_factor * scale_factor,
            encoder_kernel,
            padding=(encoder_kernel - 1) * encoder_dilation // 2,
            dilation=encoder_dilation,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize the convolutions in place; at first, the weights of the sums are almost equal."""
        xavier_init(self.channel_compressor, distribution="uniform")
        normal_init(self.content_encoder, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample (N, C, H, W) to (N, C, H * scale_factor, W * scale_factor)."""
        masks = self.content_encoder(self.channel_compressor(x))  # (N, G * K**2 * S**2, H, W)
        masks = nn.functional.pixel_shuffle(masks, self.scale_factor)  # (N, G * K**2, S * H, S * W)
        masks = masks.reshape(
            x.shape[0], self.up_group, self.up_kernel**2, *masks.shape[2:]
        )  # (N, G, K**2, S * H, S * W)
        masks = masks.softmax(dim=2).flatten(1, 2)
        return carafe(x, masks, self.up_kernel, self.up_group, self.scale_factor)
