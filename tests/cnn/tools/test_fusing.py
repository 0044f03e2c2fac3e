from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
from state_dicts import randomized
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm

from cfgtrain.cnn import VGG, ConvModule, DepthwiseSeparableConvModule, ResNet, fuse_conv_bn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def norms_left(model: nn.Module) -> int:
    return sum(isinstance(layer, NORMS) for layer in model.modules())


def check(model: nn.Module, x: Tensor, left: int) -> None:
    """Assert that fusing changes no output in eval mode and leaves this number of batch normalizations."""
    randomized(model)
    with torch.no_grad():
        expected = model(x)
        names = [name for name, _ in model.named_modules()]
        assert fuse_conv_bn(model) is model
        assert norms_left(model) == left
        assert [name for name, _ in model.named_modules()] == names
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


CONVS: list[tuple[nn.Module, nn.Module, tuple[int, ...]]] = [
    (nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), (2, 4, 5, 5)),
    (nn.Conv2d(4, 6, 3, bias=False, groups=2, stride=2, dilation=2), nn.BatchNorm2d(6, eps=1e-2), (2, 4, 9, 9)),
    (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), nn.SyncBatchNorm(6), (2, 4, 5, 5)),
    (nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6, affine=False), (2, 4, 5)),
    (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3), (1, 2, 3, 4, 5)),
    (nn.ConvTranspose1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), (2, 4, 5)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, bias=False), nn.BatchNorm2d(6), (2, 4, 5, 5)),
    (nn.ConvTranspose3d(2, 4, 2, groups=2), nn.BatchNorm3d(4), (1, 2, 3, 4, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("conv", "norm", "shape"), CONVS, ids=lambda each: str(each)[:20])
def test_pairs_are_fused(conv: nn.Module, norm: nn.Module, shape: tuple[int, ...]) -> None:
    """Every kind of convolution is fused, and the batch normalization becomes an identity."""
    model = nn.Sequential(conv, norm, nn.ReLU())
    check(model, torch.randn(shape), left=0)
    assert isinstance(model[1], nn.Identity)
    assert model[0] is conv
    assert isinstance(conv.bias, nn.Parameter)


@pytest.mark.parametrize(
    "build",
    [lambda: ResNet(18), lambda: ResNet(50, with_cp=True), lambda: VGG(11, with_bn=True)],
    ids=["ResNet18", "ResNet50", "VGG11"],
)
def test_networks_are_fused(build: Any) -> None:
    """Whole networks are fused completely."""
    check(build(), torch.randn(1, 3, 32, 32), left=0)


class PreActivation(nn.Module):
    """The order of the layers in ``forward`` differs from that of their definition."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.layers = nn.ModuleDict({"norm": nn.BatchNorm2d(4), "conv": nn.Conv2d(4, 4, 1)})

    def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
        if scale > 1:
            x = x * scale
        x = self.conv1(self.bn1(x).relu())
        x = self.conv2(self.bn2(x).relu())
        return self.layers["norm"](self.layers["conv"](x))  # type: ignore[no-any-return]


def test_order_is_that_of_the_forward() -> None:
    """conv1 is followed by bn2, and conv by norm; bn1 has no convolution before it."""
    model = PreActivation()
    check(model, torch.randn(2, 4, 3, 3), left=1)
    assert isinstance(model.bn1, nn.BatchNorm2d)


class Custom(nn.Conv2d):
    """Computes its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


class Clamped(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).clamp(min=0)


class Uses(nn.Module):
    """Uses the convolution in a way that forbids fusing."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv, self.bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        if self.how == "output":
            return self.bn(out) + out  # type: ignore[no-any-return]
        if self.how == "weight":
            return self.bn(out) + self.conv.weight.mean()  # type: ignore[no-any-return]
        if self.how == "twice":
            return self.bn(out) + self.conv(x + 1)  # type: ignore[no-any-return]
        return self.bn(self.bn(out))  # type: ignore[no-any-return]


def hooked() -> nn.Conv2d:
    conv = nn.Conv2d(4, 4, 1)
    conv.register_forward_hook(lambda module, args, output: output.abs())
    return conv


UNFUSED: dict[str, nn.Module] = {
    "activation between": nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sigmoid(), nn.BatchNorm2d(4)),
    "norm first": nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)),
    "custom convolution": nn.Sequential(Custom(4, 4, 1), nn.BatchNorm2d(4)),
    "custom norm": nn.Sequential(nn.Conv2d(4, 4, 1), Clamped(4)),
    "no statistics": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
    "hook": nn.Sequential(hooked(), nn.BatchNorm2d(4)),
    "spectral norm": nn.Sequential(spectral_norm(nn.Conv2d(4, 4, 1)), nn.BatchNorm2d(4)),
    "parametrization": nn.Sequential(parametrizations.spectral_norm(nn.Conv2d(4, 4, 1)), nn.BatchNorm2d(4)),
    **{how: Uses(how) for how in ("output", "weight", "twice")},
}


@pytest.mark.parametrize("model", UNFUSED.values(), ids=UNFUSED)
def test_what_would_be_wrong_is_not_fused(model: nn.Module) -> None:
    """Where folding would change the output, the layers stay."""
    check(copy.deepcopy(model), torch.randn(2, 4, 3, 3), left=1)


def test_norm_that_is_applied_twice() -> None:
    """A batch normalization that is called twice stays."""
    check(Uses("norm twice"), torch.randn(2, 4, 3, 3), left=1)


CONV_MODULES: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"order": ("norm", "conv", "act")}, 1),
    ({"order": ("conv", "act", "norm")}, 1),
    ({"order": ("conv", "act", "norm"), "act_cfg": None}, 0),
    ({"order": ("act", "conv", "norm")}, 0),
    ({"bias": False, "padding": 1, "padding_mode": "reflect"}, 0),
    ({"norm_cfg": {"type": "GN", "num_groups": 2}}, 0),
    ({"norm_cfg": {"type": "SyncBN"}}, 0),
    ({"conv_cfg": {"type": "Conv"}}, 0),
    ({"conv_cfg": {"type": "deconv"}}, 0),
    ({"conv_cfg": {"type": "Conv2dAdaptivePadding"}}, 0),
    ({"conv_cfg": {"type": "ConvWS"}}, 1),
    ({"conv_cfg": {"type": "ConvAWS"}}, 1),
    ({"with_spectral_norm": True}, 1),
]


@pytest.mark.parametrize(("args", "left"), CONV_MODULES, ids=lambda each: str(each)[:40])
def test_conv_modules(args: dict[str, Any], left: int) -> None:
    """A ConvModule is fused if its norm directly follows its convolution; then it has no norm."""
    module = ConvModule(4, 4, 3, **{"norm_cfg": {"type": "BN"}, **args})
    check(nn.Sequential(module), torch.randn(2, 4, 5, 5), left)
    is_fused = not left and "GN" not in str(args)
    assert module.with_norm == (not is_fused)
    assert (module.norm is None) == is_fused
    if is_fused:
        assert module.with_bias
        assert module.conv.bias is not None


def test_norm_before_conv_modules() -> None:
    """A first norm has no convolution before it; the equal weights of the other modules are fused."""
    norm_cfg = {"type": "BN"}
    model = nn.Sequential(
        nn.BatchNorm2d(3), ConvModule(3, 5, 3, norm_cfg=norm_cfg), ConvModule(5, 5, 3, norm_cfg=norm_cfg)
    )
    check(model, torch.rand(1, 3, 7, 7), left=1)
    assert isinstance(model[0], nn.BatchNorm2d)
    check(
        nn.Sequential(DepthwiseSeparableConvModule(4, 6, 3, norm_cfg=norm_cfg)),
        torch.rand(1, 4, 7, 7),
        left=0,
    )


def test_shared_modules() -> None:
    """A block that is called twice is fused once; a convolution that two norms follow is not."""
    block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    check(nn.Sequential(block, nn.ReLU(), block), torch.randn(2, 4, 3, 3), left=0)
    conv = nn.Conv2d(4, 4, 1)
    model = nn.Sequential(conv, nn.BatchNorm2d(4), nn.Sequential(conv, nn.BatchNorm2d(4)))
    check(model, torch.randn(2, 4, 3, 3), left=2)


def test_tied_weights() -> None:
    """Another convolution with the same parameter keeps it."""
    first, second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
    second.weight = first.weight
    check(nn.Sequential(first, nn.BatchNorm2d(4), second), torch.randn(2, 4, 3, 3), left=0)


class DataDependent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            x = self.bn(self.conv(x))
        return self.inner(x)  # type: ignore[no-any-return]


def test_forward_that_depends_on_data(caplog: pytest.LogCaptureFixture) -> None:
    """Layers of a module that cannot be traced stay, with a warning; the modules inside it are fused."""
    with caplog.at_level(logging.WARNING):
        check(DataDependent(), torch.ones(2, 4, 3, 3), left=1)
    assert "The layers of DataDependent are not fused, because its forward cannot be traced" in caplog.text


def test_containers() -> None:
    """A container without a forward can be fused, and a single layer is returned as it is."""
    model = nn.ModuleList([nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)), nn.BatchNorm2d(1)]).eval()
    fuse_conv_bn(model)
    assert norms_left(model) == 1
    layer = nn.BatchNorm2d(1)
    assert fuse_conv_bn(layer) is layer


def test_training_mode_warns() -> None:
    """In training mode the result is that of eval mode, with a warning; the mode does not change."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    randomized(model)
    x = torch.randn(1, 1, 3, 3)
    expected = model(x)
    model.train()
    with pytest.warns(UserWarning, match="the model is in training mode"):
        fuse_conv_bn(model)
    assert all(layer.training for layer in model.modules())
    torch.testing.assert_close(model(x), expected)


def test_precision_and_gradients() -> None:
    """Half precision is folded in single precision; a frozen convolution stays frozen."""
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    randomized(model)
    single = fuse_conv_bn(copy.deepcopy(model))
    model.half().requires_grad_(False)
    fuse_conv_bn(model)
    for name in ("0.weight", "0.bias"):
        half = model.get_parameter(name)
        assert half.dtype == torch.float16
        assert not half.requires_grad
        torch.testing.assert_close(half.float(), single.get_parameter(name), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("conv", [nn.Conv2d(4, 6, 3), nn.ConvTranspose2d(4, 6, 3, groups=2)])
def test_channels_last(conv: nn.Module) -> None:
    """Weights in the memory format channels_last are fused."""
    model = nn.Sequential(conv, nn.BatchNorm2d(6)).to(memory_format=torch.channels_last)
    check(model, torch.randn(2, 4, 5, 5).to(memory_format=torch.channels_last), left=0)


def test_layer_under_two_names() -> None:
    """A batch normalization that a module has under two names is replaced under both."""

    class Alias(Uses):
        def __init__(self) -> None:
            super().__init__("once")
            self.norm1 = self.bn

        def forward(self, x: Tensor) -> Tensor:
            return self.norm1(self.conv(x))  # type: ignore[no-any-return]

    model = Alias().eval()
    x = torch.randn(1, 4, 3, 3)
    expected = randomized(model)(x)
    fuse_conv_bn(model)
    assert isinstance(model.bn, nn.Identity)
    assert isinstance(model.norm1, nn.Identity)
    torch.testing.assert_close(model(x), expected)


def test_meta_device() -> None:
    """Nothing is computed on the meta device."""
    with torch.device("meta"):
        model = ResNet(50).eval()
    assert norms_left(fuse_conv_bn(model)) == 0
