from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cfgtrain import Config
from cfgtrain.cnn import (
    ACTIVATION_LAYERS,
    CONV_LAYERS,
    NORM_LAYERS,
    PADDING_LAYERS,
    PLUGIN_LAYERS,
    ConvModule,
)
from cfgtrain.cnn.module import BaseModule
from cfgtrain.errors import ArgumentError, ArgumentTypeError, BuildError, UnknownNameError

BN = {"type": "BN"}
ORDERS = [
    ("conv", "norm", "act"), ("conv", "act", "norm"), ("norm", "conv", "act"), ("norm", "act", "conv"),
    ("act", "conv", "norm"), ("act", "norm", "conv"),
]  # fmt: skip


def x() -> Tensor:
    return torch.randn(2, 3, 8, 8)


def test_default() -> None:
    """By default it is a Conv2d with a bias and a ReLU that works in place."""
    module = ConvModule(3, 8, 2)
    assert [name for name, _ in module.named_children()] == ["conv", "activate"]
    assert type(module.conv) is nn.Conv2d
    assert type(module.activate) is nn.ReLU
    assert module.activate.inplace
    assert module.conv.bias is not None
    assert (module.with_norm, module.with_activation, module.with_bias) == (False, True, True)
    assert (module.norm, module.norm_name) == (None, None)
    assert not module.with_explicit_padding
    image = x()
    torch.testing.assert_close(
        module(image), nn.functional.relu(nn.functional.conv2d(image, module.conv.weight, module.conv.bias))
    )


def test_children_and_keys() -> None:
    """The norm has the name of its class; children come in the same order whatever ``order`` says."""
    for order in ORDERS:
        module = ConvModule(3, 8, 3, padding=1, norm_cfg=BN, act_cfg={"type": "PReLU"}, padding_mode="reflect", order=order)  # fmt: skip
        assert [name for name, _ in module.named_children()] == ["padding_layer", "conv", "bn", "activate"]
    assert list(module.state_dict()) == [
        "conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked",
        "activate.weight",
    ]  # fmt: skip
    module = ConvModule(4, 8, 3, norm_cfg={"type": "GN", "num_groups": 4})
    assert (module.norm_name, module.norm) == ("gn", module.gn)
    assert not hasattr(ConvModule(3, 8, 3, act_cfg=None), "activate")


def test_attributes() -> None:
    """The attributes are those of the convolution, and the arguments."""
    cfgs = {"conv_cfg": {"type": "deconv"}, "norm_cfg": {"type": "BN"}, "act_cfg": {"type": "Tanh"}}
    before = copy.deepcopy(cfgs)
    module = ConvModule(4, 8, 3, stride=2, padding=1, dilation=2, groups=2, inplace=False, **cfgs)
    found = {name: getattr(module, name) for name in (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "transposed", "output_padding",
        "groups", "inplace", "with_spectral_norm", "order", "conv_cfg", "norm_cfg", "act_cfg",
    )}  # fmt: skip
    assert found == {
        "in_channels": 4, "out_channels": 8, "kernel_size": (3, 3), "stride": (2, 2), "padding": 1,
        "dilation": (2, 2), "transposed": True, "output_padding": (0, 0), "groups": 2, "inplace": False,
        "with_spectral_norm": False, "order": ("conv", "norm", "act"), **cfgs,
    }  # fmt: skip
    assert cfgs == before


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("with_norm", [True, False])
@pytest.mark.parametrize("with_act", [True, False])
def test_order(order: tuple[str, str, str], with_norm: bool, with_act: bool) -> None:
    """The layers are applied in their order, the norm with the channels there; the input is not changed."""
    module = ConvModule(
        3, 8, 3, norm_cfg=BN if with_norm else None, act_cfg={"type": "LeakyReLU"} if with_act else None, order=order
    )  # fmt: skip
    if with_norm:
        assert module.norm.num_features == (8 if order.index("norm") > order.index("conv") else 3)
        assert module.conv.bias is None
    image = x()
    before = image.clone()
    for activate in (True, False):
        for norm in (True, False):
            expected = image.clone()
            for name in order:
                if name == "conv":
                    expected = nn.functional.conv2d(expected, module.conv.weight, module.conv.bias)
                elif name == "norm" and with_norm and norm:
                    expected = nn.functional.batch_norm(expected, None, None, training=True)
                elif name == "act" and with_act and activate:
                    expected = nn.functional.leaky_relu(expected)
            torch.testing.assert_close(module(image, activate=activate, norm=norm), expected)
            assert torch.equal(image, before)


@pytest.mark.parametrize(
    "order", [["conv", "norm", "act"], ("conv", "norm"), ("conv", "norm", "norm"), ("conv", "norm", "relu"), "conv",
              ("conv", "norm", "act", "act"), ("conv", ["norm"], "act")],
)  # fmt: skip
def test_an_invalid_order(order: Any) -> None:
    """An order is a tuple with each of the three names once."""
    with pytest.raises(AssertionError, match="order must be a tuple with each of 'conv', 'norm' and 'act'"):
        ConvModule(3, 8, 2, order=order)


@pytest.mark.parametrize("name", ["conv_cfg", "norm_cfg", "act_cfg"])
@pytest.mark.parametrize("value", ["conv", ["conv"], 1, nn.ReLU])
def test_a_config_is_a_dict_or_none(name: str, value: Any) -> None:
    """Another value is an error about that argument."""
    with pytest.raises(AssertionError, match=f"{name} must be a dict with a type, or None") as caught:
        ConvModule(3, 8, 2, **{name: value})
    assert isinstance(caught.value, ArgumentTypeError)
    assert caught.value.argument == (name,)


def test_unknown_types() -> None:
    """Unknown types, and activations without a type, are KeyErrors."""
    for name in ("conv_cfg", "norm_cfg", "act_cfg"):
        with pytest.raises(KeyError, match="'softmax' is not in the"):
            ConvModule(3, 8, 2, **{name: {"type": "softmax"}})
        with pytest.raises(KeyError, match='must contain the key "type"'):
            ConvModule(3, 8, 2, **{name: {}})


@pytest.mark.parametrize("norm", [None, "BN", "SyncBN", "IN", "GN"])
@pytest.mark.parametrize("bias", ["auto", True, False])
def test_bias(norm: str | None, bias: Any) -> None:
    """By default only a convolution without norm has a bias; one before a batch or instance norm gives a warning."""
    cfg = {"type": norm, **({"num_groups": 2} if norm == "GN" else {})} if norm else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = ConvModule(3, 8, 2, bias=bias, norm_cfg=cfg)
    has_bias = norm is None if bias == "auto" else bias
    assert (module.conv.bias is not None, module.with_bias) == (has_bias, has_bias)
    expected = ["Unnecessary conv bias before batch/instance norm"] * (
        has_bias and norm in ("BN", "SyncBN", "IN")
    )
    assert [str(each.message) for each in caught] == expected
    assert all(each.category is UserWarning and each.filename == __file__ for each in caught)


def test_an_invalid_bias() -> None:
    """A bias is True, False or auto."""
    with pytest.raises(ArgumentError, match="bias must be True, False or 'auto', not 'none'"):
        ConvModule(3, 8, 2, bias="none")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 3}, "groups must divide in_channels, 4, and out_channels, 6, .* It can be 1 or 2."),
        ({"groups": 0}, "groups must be at least 1"),
        ({"in_channels": "4"}, "in_channels must be an integer"),
        ({"out_channels": -1}, "out_channels must be at least 1"),
        ({"padding": -1, "padding_mode": "reflect"}, "padding must be at least 0"),
        ({"padding_mode": None}, "padding_mode must be a str"),
    ],
)
def test_channels_groups_and_padding_must_fit(settings: dict[str, Any], message: str) -> None:
    """The error names the argument and what would fit."""
    with pytest.raises(ArgumentError, match=message) as caught:
        ConvModule(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **settings})
    assert caught.value.argument == (message.split()[0],)


def test_every_activation() -> None:
    """Every activation can be built; those with ``inplace`` get it unless their config has it."""
    for name in ACTIVATION_LAYERS:
        for inplace in (True, False):
            module = ConvModule(3, 8, 2, act_cfg={"type": name}, inplace=inplace)
            assert getattr(module.activate, "inplace", inplace) is inplace
            assert module(x()).shape == (2, 8, 7, 7)
    assert type(ConvModule(3, 8, 2, act_cfg={"type": "HSwish"}).activate) is nn.Hardswish
    assert not ConvModule(3, 8, 2, act_cfg={"type": "ReLU", "inplace": False}).activate.inplace
    assert ConvModule(3, 8, 2, act_cfg={"type": "ReLU", "inplace": True}, inplace=False).activate.inplace


def test_an_activation_before_the_convolution_is_not_in_place() -> None:
    """It could change the input of the module otherwise."""
    for order in ORDERS:
        module = ConvModule(3, 8, 2, norm_cfg=BN, order=order)
        assert module.activate.inplace is (order.index("act") > order.index("conv"))


def test_every_convolution_and_norm() -> None:
    """Every convolution and norm can be built, with channels and padding of the module."""
    for name in CONV_LAYERS:
        dimensions = 1 if name.endswith("1d") else 3 if name.endswith("3d") else 2
        image = torch.randn(2, 4, *(5,) * dimensions)
        module = ConvModule(4, 8, 3, padding=1, conv_cfg={"type": name})
        assert module(image).shape == (2, 8, *(5,) * dimensions)
    for name in NORM_LAYERS:
        dimensions = 1 if name.endswith("1d") else 3 if name.endswith("3d") else 2
        module = ConvModule(
            4, 8, 1,
            conv_cfg={"type": f"Conv{dimensions}d"},
            norm_cfg={"type": name, **({"num_groups": 2} if name == "GN" else {})},
        )  # fmt: skip
        if name != "LN":  # normalizes the last dimension
            assert module(torch.randn(2, 4, *(5,) * dimensions)).shape == (2, 8, *(5,) * dimensions)


CONVS = {
    1: (nn.Conv1d, nn.functional.conv1d),
    2: (nn.Conv2d, nn.functional.conv2d),
    3: (nn.Conv3d, nn.functional.conv3d),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate", "zero"])
@pytest.mark.parametrize("kind", ["int", "each", "same", "valid"])
def test_padding_modes(mode: str, dimensions: int, kind: str) -> None:
    """Each mode is that of PyTorch's convolution, for 1 to 3 dimensions and each way to give the padding."""
    padding: Any = {"int": 1, "each": (0, 1, 2)[-dimensions:]}.get(kind, kind)
    kernel, dilation = ((3, 2, 4)[-dimensions:], 1) if kind in ("same", "valid") else (3, 1)
    module = ConvModule(
        2, 4, kernel, padding=padding, dilation=dilation, conv_cfg={"type": f"Conv{dimensions}d"}, act_cfg=None, padding_mode=mode
    )  # fmt: skip
    explicit = mode not in ("zeros", "circular")
    assert module.with_explicit_padding is explicit
    assert hasattr(module, "padding_layer") is explicit
    assert module.padding == padding
    torch_mode: Any = "zeros" if mode == "zero" else mode
    plain = CONVS[dimensions][0](2, 4, kernel, padding=padding, dilation=dilation, padding_mode=torch_mode)
    plain.load_state_dict(module.conv.state_dict())
    image = torch.randn(2, 2, *(6, 5, 7)[-dimensions:])
    torch.testing.assert_close(module(image), plain(image))


def test_explicit_padding_of_images() -> None:
    """The layers for images are those that are registered, and get one number if the sides are equal."""
    module = ConvModule(3, 8, 3, padding=1, padding_mode="reflect")
    assert type(module.padding_layer) is nn.ReflectionPad2d
    assert module.conv.padding == (0, 0)
    given = []

    class Own(nn.Module):
        def __init__(self, padding: Any) -> None:
            super().__init__()
            given.append(padding)

    PADDING_LAYERS.register_module("own", module=Own)
    ConvModule(3, 8, 3, padding=2, padding_mode="own")
    ConvModule(3, 8, 3, padding=(1, 2), padding_mode="own")
    assert given == [2, (2, 2, 1, 1)]


def test_explicit_padding_comes_directly_before_the_convolution() -> None:
    """A norm before the convolution does not see the padding."""
    module = ConvModule(3, 8, 3, padding=1, norm_cfg=BN, padding_mode="zero", order=("norm", "conv", "act"))
    image = x() + 5
    expected = nn.functional.relu(
        nn.functional.conv2d(
            nn.functional.pad(nn.functional.batch_norm(image, None, None, training=True), (1,) * 4),
            module.conv.weight,
        )
    )
    torch.testing.assert_close(module(image), expected)


def test_wrong_padding() -> None:
    """An unknown mode is a KeyError, and a padding that does not fit the dimensions an error."""
    with pytest.raises(KeyError, match="'non_exists' is not in the padding layer registry") as caught:
        ConvModule(3, 8, 3, padding=1, padding_mode="non_exists")
    assert caught.value.argument == ("padding_mode",)
    with pytest.raises(ArgumentError, match="padding must be 2 integers"):
        ConvModule(3, 8, 3, padding=(1, 2, 3), padding_mode="reflect")
    with pytest.raises(ArgumentError, match="padding='same' needs a stride of 1"):
        ConvModule(3, 8, 3, stride=2, padding="same", padding_mode="reflect")


def test_errors_have_the_place_in_the_config(tmp_path: Path) -> None:
    """A module built from a config names the key of what is wrong in it."""
    file = tmp_path / "config.py"
    file.write_text(
        "a = dict(type='ConvModule', in_channels=3, out_channels=8, kernel_size=3,\n"
        "         act_cfg=dict(type='LeakyReLU',\n"
        "                      slope=2))\n"
        "b = dict(type='ConvModule', in_channels=3, out_channels=8, kernel_size=3,\n"
        "         padding_mode='refelct')\n"
        "c = dict(type='ConvModule', in_channels=3, out_channels=8, kernel_size=3,\n"
        "         norm_cfg=dict(type='BNN'))\n"
    )
    cfg = Config.fromfile(file)
    with pytest.raises(BuildError, match=r"a\.act_cfg\.slope .*config\.py:3"):
        PLUGIN_LAYERS.build(cfg.a)
    with pytest.raises(UnknownNameError, match="Did you mean 'reflect'") as caught:
        PLUGIN_LAYERS.build(cfg.b)
    assert f"b.padding_mode ({file}:5)" in caught.value.__notes__[0]
    with pytest.raises(UnknownNameError, match=r"c\.norm_cfg\.type .*config\.py:7"):
        PLUGIN_LAYERS.build(cfg.c)


def test_spectral_norm() -> None:
    """The weight is divided by its largest singular value, before the first step of training too."""
    module = ConvModule(3, 8, 3, padding=1, with_spectral_norm=True)
    assert module.with_spectral_norm
    assert "conv.weight_orig" in module.state_dict()
    for _ in range(200):  # steps of the power iteration
        out = module(x())
    assert out.shape == (2, 8, 8, 8)
    largest = torch.linalg.matrix_norm(module.conv.weight.flatten(1), 2).item()
    assert largest == pytest.approx(1, abs=1e-3)


def test_spectral_norm_can_be_initialized_again() -> None:
    """A later ``init_weights`` changes the parameter, though the weight is computed from it by then."""
    module = ConvModule(64, 64, 3, with_spectral_norm=True, bias=True)
    module(torch.randn(1, 64, 4, 4))
    nn.init.constant_(module.conv.weight_orig, 7)
    nn.init.constant_(module.conv.bias, 7)
    module.init_weights()
    assert module.conv.weight_orig.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert not module.conv.bias.any()


@pytest.mark.parametrize(
    ("act", "gain"), [({"type": "ReLU"}, 2), ({"type": "Tanh"}, 2), ({"type": "LeakyReLU"}, 2 / (1 + 0.01**2)),
                      ({"type": "LeakyReLU", "negative_slope": 0.5}, 2 / 1.25), (None, 2)],
)  # fmt: skip
@pytest.mark.parametrize("spectral", [False, True])
def test_initial_weights(act: Any, gain: float, spectral: bool) -> None:
    """They are those of He et al. for the activation; biases are 0; the norm has weight 1 and bias 0."""
    torch.manual_seed(0)
    module = ConvModule(64, 64, 3, act_cfg=act, bias=True, norm_cfg={"type": "GN", "num_groups": 2}, with_spectral_norm=spectral)  # fmt: skip
    weight = module.conv.weight_orig if spectral else module.conv.weight
    assert weight.std().item() == pytest.approx((gain / (64 * 9)) ** 0.5, rel=0.02)
    assert not module.conv.bias.any()
    assert torch.all(module.norm.weight == 1)
    assert not module.norm.bias.any()
    ConvModule(3, 8, 3, norm_cfg={"type": "IN"})  # has no weight


def test_a_convolution_with_its_own_initialization() -> None:
    """A convolution with ``init_weights`` is left alone; custom classes need no padding mode."""

    class Own(nn.Module):
        transposed, output_padding = False, (0, 0)

        def __init__(
            self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
            dilation: int = 1, groups: int = 1, bias: bool = True,
        ) -> None:  # fmt: skip
            super().__init__()
            self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
            self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
            self.conv0 = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=bias)
            self.init_weights()

        def forward(self, x: Tensor) -> Tensor:
            return self.conv0(x)

        def init_weights(self) -> None:
            nn.init.constant_(self.conv0.weight, 0)

    CONV_LAYERS.register_module("OwnConv", module=Own)
    module = ConvModule(3, 8, 2, conv_cfg={"type": "OwnConv"}, act_cfg=None)
    assert not module.conv.conv0.weight.any()
    assert module(x()).shape == (2, 8, 7, 7)
    reflect = ConvModule(3, 8, 3, padding=(1, 2), conv_cfg={"type": "OwnConv"}, padding_mode="reflect")
    assert reflect(x()).shape == (2, 8, 8, 10)
    with pytest.raises(BuildError, match="takes no argument 'padding_mode'"):
        ConvModule(3, 8, 3, conv_cfg={"type": "OwnConv"}, padding_mode="circular")


def test_inside_a_module_with_an_init_cfg() -> None:
    """The initialization of the ConvModule takes precedence over the ``init_cfg`` of the module around it."""

    class Net(BaseModule):
        def __init__(self, init_cfg: Any) -> None:
            super().__init__(init_cfg)
            self.block = ConvModule(64, 64, 3, norm_cfg=BN)
            self.conv = nn.Conv2d(3, 3, 1)

    net = Net({"type": "Constant", "layer": ["Conv2d", "BatchNorm2d"], "val": 5})
    net.init_weights()
    assert torch.all(net.conv.weight == 5)
    assert net.block.conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert torch.all(net.block.bn.weight == 1)


def test_a_frozen_norm() -> None:
    """``requires_grad`` in the config of the norm applies to its parameters."""
    module = ConvModule(3, 8, 3, norm_cfg={"type": "BN", "requires_grad": False})
    assert not any(parameter.requires_grad for parameter in module.bn.parameters())
    assert module.conv.weight.requires_grad
