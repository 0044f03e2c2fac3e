"""PyTorch's layers under MMCV's names.

In MMCV 1.x these classes add support for empty batches, which PyTorch's own layers have today: an input
of shape (0, C, H, W) gives an output of shape (0, ...), and the gradients of the parameters are zeros.
"""

from __future__ import annotations

from torch import nn

from cfgtrain.registries import CONV_LAYERS, UPSAMPLE_LAYERS

__all__ = ["Conv2d", "Conv3d", "ConvTranspose2d", "ConvTranspose3d", "Linear", "MaxPool2d", "MaxPool3d"]


@CONV_LAYERS.register_module("Conv")
class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d``: (N, C_in, H, W) to (N, C_out, H', W'). N may be 0."""


@CONV_LAYERS.register_module()
class Conv3d(nn.Conv3d):
    """``torch.nn.Conv3d``: (N, C_in, D, H, W) to (N, C_out, D', H', W'). N may be 0."""


@CONV_LAYERS.register_module(["deconv", "ConvTranspose2d"])
@UPSAMPLE_LAYERS.register_module("deconv")
class ConvTranspose2d(nn.ConvTranspose2d):
    """``torch.nn.ConvTranspose2d``: (N, C_in, H, W) to (N, C_out, H', W'). N may be 0."""


@CONV_LAYERS.register_module(["deconv3d", "ConvTranspose3d"])
@UPSAMPLE_LAYERS.register_module("deconv3d")
class ConvTranspose3d(nn.ConvTranspose3d):
    """``torch.nn.ConvTranspose3d``: (N, C_in, D, H, W) to (N, C_out, D', H', W'). N may be 0."""


class MaxPool2d(nn.MaxPool2d):
    """``torch.nn.MaxPool2d``: (N, C, H, W) to (N, C, H', W'). N may be 0."""


class MaxPool3d(nn.MaxPool3d):
    """``torch.nn.MaxPool3d``: (N, C, D, H, W) to (N, C, D', H', W'). N may be 0."""


class Linear(nn.Linear):
    """``torch.nn.Linear``: (N, ..., C_in) to (N, ..., C_out). N may be 0."""
