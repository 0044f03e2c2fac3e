"""Small functions on layers that MMCV exports and cfgtrain itself does not use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.cnn.init.functions import constant_init
from cfgtrain.utils.versions import digit_version

__all__ = [
    "NewEmptyTensorOp",
    "conv3x3",
    "dilated_conv3x3",
    "get_model_parameters_number",
    "last_zero_init",
    "obsolete_torch_version",
]


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution without bias that keeps the size at stride 1 (``mmcv.cnn.resnet``).

    Args:
        in_planes: Channels of the input.
        out_planes: Channels of the output.
        stride: Stride of the kernel, in pixels.
        dilation: Distance between the elements of the kernel, in pixels.
    """
    return nn.Conv2d(in_planes, out_planes, 3, stride, padding=dilation, dilation=dilation, bias=False)


def dilated_conv3x3(in_planes: int, out_planes: int, dilation: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution with bias that keeps the size (``conv3x3`` of ``mmcv.cnn.vgg``).

    Args:
        in_planes: Channels of the input.
        out_planes: Channels of the output.
        dilation: Distance between the elements of the kernel, in pixels.
    """
    return nn.Conv2d(in_planes, out_planes, 3, padding=dilation, dilation=dilation)


def last_zero_init(m: nn.Module) -> None:
    """Set the weights and the bias of a layer to 0, or those of the last one of an ``nn.Sequential``."""
    constant_init(m[-1] if isinstance(m, nn.Sequential) else m, val=0)


def get_model_parameters_number(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def obsolete_torch_version(torch_version: str | tuple[int, ...], version_threshold: tuple[int, ...]) -> bool:
    """Return whether a version of PyTorch is at most the threshold.

    Args:
        torch_version: As text, or as ``digit_version`` returns it.
        version_threshold: Version numbers.
    """
    found = digit_version(torch_version) if isinstance(torch_version, str) else torch_version
    return found[: len(version_threshold)] <= version_threshold


class NewEmptyTensorOp(torch.autograd.Function):
    """Makes an empty tensor of another shape that is part of the graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, new_shape: Sequence[int]) -> Tensor:
        """Return an empty tensor.

        Args:
            ctx: What the backward pass needs.
            x: An empty tensor.
            new_shape: Shape of the result.
        """
        ctx.shape = x.shape
        return x.new_empty(tuple(new_shape))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return an empty gradient."""
        return grads[0].new_empty(ctx.shape), None
