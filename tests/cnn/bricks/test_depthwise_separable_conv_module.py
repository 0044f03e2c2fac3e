from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import DepthwiseSeparableConvModule
from cfgtrain.errors import ArgumentError

BN, RELU, SIGMOID = {"type": "BN"}, {"type": "ReLU"}, {"type": "Sigmoid"}


def test_default() -> None:
    """The depthwise convolution has a filter for each channel, the pointwise one has the kernel size 1."""
    module = DepthwiseSeparableConvModule(3, 8, 3, stride=2, padding=1, dilation=2)
    depthwise, pointwise = module.depthwise_conv, module.pointwise_conv
    assert (depthwise.conv.groups, depthwise.out_channels, depthwise.kernel_size) == (3, 3, (3, 3))
    assert (depthwise.stride, depthwise.padding, depthwise.dilation) == ((2, 2), 1, (2, 2))
    assert (pointwise.conv.groups, pointwise.out_channels, pointwise.kernel_size) == (1, 8, (1, 1))
    assert (pointwise.stride, pointwise.padding) == ((1, 1), 0)
    for branch in (depthwise, pointwise):
        assert (branch.with_norm, type(branch.activate)) == (False, nn.ReLU)
    x = torch.randn(2, 3, 9, 9)
    assert torch.equal(module(x), pointwise(depthwise(x)))
    assert module(x).shape == (2, 8, 4, 4)
    assert list(module.state_dict()) == [
        "depthwise_conv.conv.weight", "depthwise_conv.conv.bias", "pointwise_conv.conv.weight", "pointwise_conv.conv.bias",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "norms", "activations"),
    [
        ({"norm_cfg": BN}, (True, True), (nn.ReLU, nn.ReLU)),
        ({"dw_norm_cfg": BN}, (True, False), (nn.ReLU, nn.ReLU)),
        ({"pw_norm_cfg": BN}, (False, True), (nn.ReLU, nn.ReLU)),
        ({"norm_cfg": BN, "pw_norm_cfg": None}, (True, False), (nn.ReLU, nn.ReLU)),
        ({"act_cfg": SIGMOID}, (False, False), (nn.Sigmoid, nn.Sigmoid)),
        ({"dw_act_cfg": SIGMOID}, (False, False), (nn.Sigmoid, nn.ReLU)),
        ({"pw_act_cfg": SIGMOID}, (False, False), (nn.ReLU, nn.Sigmoid)),
        ({"act_cfg": None, "dw_act_cfg": RELU}, (False, False), (nn.ReLU, None)),
    ],
)
def test_norms_and_activations(settings: Any, norms: Any, activations: Any) -> None:
    """Each branch has its own norm and activation, or those of both."""
    module = DepthwiseSeparableConvModule(3, 8, 2, **settings)
    branches = (module.depthwise_conv, module.pointwise_conv)
    assert tuple(branch.with_norm for branch in branches) == norms
    assert (
        tuple(type(branch.activate) if branch.with_activation else None for branch in branches) == activations
    )
    assert module(torch.randn(1, 3, 4, 4)).shape == (1, 8, 3, 3)


def test_arguments_of_both() -> None:
    """Other arguments go to both branches; groups must not be given."""
    order = ("norm", "conv", "act")
    module = DepthwiseSeparableConvModule(
        3, 8, 3, padding=1, padding_mode="reflect", bias=False, order=order, inplace=False
    )
    for branch in (module.depthwise_conv, module.pointwise_conv):
        assert branch.with_explicit_padding
        assert (branch.with_bias, branch.order, branch.inplace) == (False, order, False)
    assert module(torch.randn(1, 3, 4, 4)).shape == (1, 8, 4, 4)
    with pytest.raises(AssertionError, match="groups must not be given") as caught:
        DepthwiseSeparableConvModule(4, 8, 2, groups=2)
    assert isinstance(caught.value, ArgumentError)
