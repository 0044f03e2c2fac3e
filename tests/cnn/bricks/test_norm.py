from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain import Config
from cfgtrain.cnn import LayerNorm2d, build_norm_layer, infer_abbr, is_norm
from cfgtrain.errors import ArgumentError, BuildError

CLASSES = {
    "BN": (nn.BatchNorm2d, "bn"),
    "BN1d": (nn.BatchNorm1d, "bn"),
    "BN2d": (nn.BatchNorm2d, "bn"),
    "BN3d": (nn.BatchNorm3d, "bn"),
    "SyncBN": (nn.SyncBatchNorm, "bn"),
    "GN": (nn.GroupNorm, "gn"),
    "LN": (nn.LayerNorm, "ln"),
    "IN": (nn.InstanceNorm2d, "in"),
    "IN1d": (nn.InstanceNorm1d, "in"),
    "IN2d": (nn.InstanceNorm2d, "in"),
    "IN3d": (nn.InstanceNorm3d, "in"),
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("postfix", ["", 1, "_test"])
def test_layer_and_name(name: str, postfix: int | str) -> None:
    """The layer has the right class and channels; its name is the abbreviation and the postfix."""
    cls, abbreviation = CLASSES[name]
    settings = {"num_groups": 2} if name == "GN" else {}
    found, layer = build_norm_layer({"type": name, **settings}, 4, postfix)
    assert found == f"{abbreviation}{postfix}"
    assert type(layer) is cls
    if name == "GN":
        assert (layer.num_channels, layer.num_groups) == (4, 2)
    elif name == "LN":
        assert layer.normalized_shape == (4,)
    else:
        assert layer.num_features == 4
    assert layer.eps == 1e-5
    assert all(parameter.requires_grad for parameter in layer.parameters())


def test_settings() -> None:
    """``eps`` and ``requires_grad`` can be in the config; the shape of LN may be a tuple."""
    cfg = {"type": "BN", "eps": 1e-3, "requires_grad": False, "momentum": 0.5}
    before = dict(cfg)
    layer = build_norm_layer(cfg, 3)[1]
    assert (layer.eps, layer.momentum) == (1e-3, 0.5)
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    assert cfg == before
    assert build_norm_layer({"type": "LN"}, (3, 4, 4))[1].normalized_shape == (3, 4, 4)


@pytest.mark.parametrize("postfix", [[1, 2], None, 1.5])
def test_postfix_is_an_int_or_a_str(postfix: Any) -> None:
    """Another postfix is an error."""
    with pytest.raises(AssertionError, match="postfix must be an int or a str"):
        build_norm_layer({"type": "BN"}, 3, postfix)


def test_groups_are_checked(tmp_path: Path) -> None:
    """A missing or invalid number of groups is an error with the place and what would fit."""
    file = tmp_path / "config.py"
    file.write_text("norm = dict(type='GN', num_groups=4)\nother = dict(type='GN')\n")
    cfg = Config.fromfile(file)
    with pytest.raises(AssertionError, match=r"(?s)num_groups is missing.*other \(.*config\.py:2"):
        build_norm_layer(cfg.other, 3)
    with pytest.raises(ValueError, match=r"(?s)must divide the 6 channels, which 4 does not") as caught:
        build_norm_layer(cfg.norm, 6)
    assert "It can be 1, 2, 3 or 6." in str(caught.value)
    assert "norm.num_groups" in str(caught.value)
    with pytest.raises(ArgumentError, match="num_groups is 0"):
        build_norm_layer({"type": "GN", "num_groups": 0}, 6)


def test_the_number_of_channels_comes_from_the_code() -> None:
    """A config with the number of channels is an error."""
    with pytest.raises(BuildError, match="gets the argument 'num_features' from the code"):
        build_norm_layer({"type": "BN", "num_features": 3}, 3)
    with pytest.raises(BuildError, match="gets the argument 'num_channels' from the code"):
        build_norm_layer({"type": "GN", "num_groups": 1, "num_channels": 3}, 3)


def test_a_norm_without_eps() -> None:
    """A custom class needs neither ``eps`` nor a number of groups."""

    class Plain(nn.Module):
        def __init__(self, channels: int, num_groups: int = 2) -> None:
            super().__init__()
            self.channels = channels

    name, layer = build_norm_layer({"type": Plain}, 5)
    assert (name, layer.channels) == ("norm_layer", 5)


def test_abbreviations_of_own_classes() -> None:
    """The abbreviation comes from ``_abbr_``, the base class or a word in the name, in this order."""

    class Own:
        _abbr_ = "own"

    class InstanceLike(nn.BatchNorm2d):
        pass

    classes = {
        name: type(name, (), {}) for name in ("MyBatchThing", "GroupThing", "mylayer", "InstanceX", "Fancy")
    }
    assert infer_abbr(Own) == "own"
    assert infer_abbr(InstanceLike) == "bn"
    assert [infer_abbr(each) for each in classes.values()] == ["bn", "gn", "ln", "in", "norm_layer"]
    with pytest.raises(TypeError, match="must be a class"):
        infer_abbr("BN")  # type: ignore[arg-type]


def test_is_norm() -> None:
    """The families of batch, instance, group, layer and RMS normalization are; others are not."""
    norms = [
        nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.BatchNorm3d(3), nn.SyncBatchNorm(3), nn.InstanceNorm1d(3),
        nn.InstanceNorm2d(3), nn.InstanceNorm3d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3), LayerNorm2d(3),
        nn.RMSNorm(3),
    ]  # fmt: skip
    assert all(is_norm(each) for each in norms)
    assert not any(is_norm(each) for each in (nn.Conv2d(3, 8, 1), nn.LocalResponseNorm(3), nn.ReLU()))
    assert not is_norm(nn.BatchNorm2d(3), exclude=nn.BatchNorm2d)
    assert not is_norm(nn.BatchNorm2d(3), exclude=(nn.GroupNorm, nn.BatchNorm2d))
    assert is_norm(nn.BatchNorm2d(3), exclude=(nn.GroupNorm,))
    for wrong in ("BN", ["BN"], [nn.BatchNorm2d], (nn.BatchNorm2d, "GN")):
        with pytest.raises(TypeError, match="exclude must be a class or a tuple of classes"):
            is_norm(nn.BatchNorm2d(3), exclude=wrong)  # type: ignore[arg-type]


def test_layer_norm_of_images() -> None:
    """LayerNorm2d normalizes the channels of each pixel; a config names it by its import path."""
    name, layer = build_norm_layer({"type": "cfgtrain.cnn.LayerNorm2d"}, 5)
    assert (name, type(layer)) == ("ln", LayerNorm2d)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 5, 3, 4)
    centered = x - x.mean(1, keepdim=True)
    expected = centered / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    expected = expected * layer.weight[:, None, None] + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("value", [None, "no", 0])
def test_invalid_requires_grad(value: Any, tmp_path: Path) -> None:
    """Anything but a bool is an error with its place in the config."""
    (tmp_path / "config.py").write_text(f"norm = dict(type='BN',\n requires_grad={value!r})")
    with pytest.raises(TypeError, match=r"(?s)requires_grad must be True or False, not .*config\.py:2"):
        build_norm_layer(Config.fromfile(tmp_path / "config.py").norm, 4)
