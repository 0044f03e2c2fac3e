from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import CARAFEPack, ConvTranspose2d, PixelShufflePack, build_upsample_layer
from cfgtrain.errors import ArgumentError
from cfgtrain.ops import carafe

X = (2, 3, 10, 10)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "mmcv.nearest", "cfgtrain.bilinear"])
def test_interpolation(name: str) -> None:
    """The name is the mode, whatever mode the config has, and may have a scope."""
    mode = name.rpartition(".")[2]
    cfg = {"type": name, "scale_factor": 2, "mode": "bicubic"}
    layer = build_upsample_layer(cfg)
    assert (type(layer), layer.mode) == (nn.Upsample, mode)
    x = torch.randn(X)
    assert torch.equal(layer(x), nn.functional.interpolate(x, scale_factor=2, mode=mode))
    assert cfg["mode"] == "bicubic"


def test_the_class_itself_keeps_its_mode() -> None:
    """PyTorch's class as the type, or its import path, has the mode of the config."""
    for kind in (nn.Upsample, "torch.nn.Upsample"):
        assert build_upsample_layer({"type": kind, "scale_factor": 2, "mode": "bicubic"}).mode == "bicubic"


def test_deconvolution() -> None:
    """A transposed convolution gets arguments of the code too."""
    layer = build_upsample_layer({"type": "deconv", "kernel_size": 3, "stride": 2}, 3, out_channels=5)
    assert type(layer) is ConvTranspose2d
    assert layer(torch.randn(X)).shape == (2, 5, 21, 21)


@pytest.mark.parametrize(("kernel", "size"), [(3, 20), (1, 20), (4, 18)])
def test_pixel_shuffle(kernel: int, size: int) -> None:
    """A convolution to S * S * C channels is rearranged to S times the height and width."""
    layer = build_upsample_layer(
        {
            "type": "pixel_shuffle",
            "in_channels": 3,
            "out_channels": 5,
            "scale_factor": 2,
            "upsample_kernel": kernel,
        }
    )
    assert isinstance(layer, PixelShufflePack)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {
        "upsample_conv.weight": (20, 3, kernel, kernel),
        "upsample_conv.bias": (20,),
    }
    x = torch.randn(X)
    out, conv = layer(x), layer.upsample_conv(x)
    assert out.shape == (2, 5, size, size)
    for i in range(2):
        for j in range(2):
            assert torch.equal(out[:, :, i::2, j::2], conv[:, 2 * i + j :: 4])


def test_initial_weights() -> None:
    """The convolutions have the documented distributions, and no bias."""
    torch.manual_seed(0)
    shuffle = PixelShufflePack(64, 64, 2, 3)
    bound = (6 / (64 * 9 + 256 * 9)) ** 0.5
    assert shuffle.upsample_conv.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert not shuffle.upsample_conv.bias.any()
    pack = CARAFEPack(64, 2)
    assert pack.content_encoder.weight.std().item() == pytest.approx(0.001, rel=0.05)
    bound = (6 / (64 + 64)) ** 0.5
    assert pack.channel_compressor.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert not pack.content_encoder.bias.any()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"up_group": 2, "up_kernel": 3},
        {"encoder_kernel": 5, "encoder_dilation": 2},
        {"compressed_channels": 8},
    ],
)
@pytest.mark.parametrize("scale", [2, 3])
def test_carafe(scale: int, settings: dict[str, int]) -> None:
    """The predicted weights of each sum are positive with the sum 1; the sums are those of ``carafe``."""
    layer = build_upsample_layer({"type": "carafe", "channels": 4, "scale_factor": scale, **settings})
    nn.init.normal_(layer.content_encoder.weight)
    x = torch.randn(2, 4, 5, 6)
    kernel, groups = settings.get("up_kernel", 5), settings.get("up_group", 1)
    encoded = nn.functional.pixel_shuffle(layer.content_encoder(layer.channel_compressor(x)), scale)
    per_group = [each.softmax(1) for each in encoded.chunk(groups, 1)]
    expected = carafe(x, torch.cat(per_group, 1), kernel, groups, scale)
    torch.testing.assert_close(layer(x), expected)
    assert layer(x).shape == (2, 4, 5 * scale, 6 * scale)


def test_carafe_of_a_constant_is_constant_inside() -> None:
    """The weights have the sum 1, so a constant image stays the same away from the border."""
    out = CARAFEPack(3, 2)(torch.ones(1, 3, 8, 8))
    torch.testing.assert_close(out[..., 4:-4, 4:-4], torch.ones(1, 3, 8, 8))


def test_names_of_parameters() -> None:
    """The names are those of MMCV, so that its weights can be loaded."""
    assert list(CARAFEPack(4, 2).state_dict()) == [
        "channel_compressor.weight",
        "channel_compressor.bias",
        "content_encoder.weight",
        "content_encoder.bias",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"up_kernel": 4}, "up_kernel must be odd, not 4"),
        ({"up_group": 3}, "up_group must divide the 4 channels, which 3 does not. It can be 1, 2 or 4"),
        ({"scale_factor": 0}, "scale_factor must be at least 1"),
        ({"scale_factor": 1.5}, "scale_factor must be an integer"),
        ({"encoder_kernel": 2}, "encoder_kernel must be odd with a dilation of 1, not 2"),
    ],
)
def test_arguments_of_carafe_must_fit(settings: dict[str, Any], message: str) -> None:
    """Arguments that do not fit are errors when the layer is built, not when it is called."""
    with pytest.raises(ArgumentError, match=message):
        build_upsample_layer({"type": "carafe", "channels": 4, "scale_factor": 2, **settings})


def test_an_even_encoder_kernel_with_an_even_dilation() -> None:
    """The size then stays the same too."""
    assert CARAFEPack(4, 2, encoder_kernel=2, encoder_dilation=2)(torch.rand(1, 4, 5, 6)).shape == (
        1,
        4,
        10,
        12,
    )


def test_scale_factor_of_pixel_shuffle() -> None:
    """It must be an int."""
    with pytest.raises(ArgumentError, match="scale_factor must be an integer"):
        PixelShufflePack(4, 3, 1.5, 3)  # type: ignore[arg-type]


def test_a_list_of_scale_factors() -> None:
    """JSON and YAML give lists, and PyTorch's layer needs a tuple."""
    layer = build_upsample_layer({"type": "nearest", "scale_factor": [2, 3]})
    assert layer(torch.rand(1, 1, 4, 5)).shape == (1, 1, 8, 15)
