"""The contract that all builders of layers share, and every registered name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain import Config
from cfgtrain.cnn import (
    ACTIVATION_LAYERS,
    CONV_LAYERS,
    DROPOUT_LAYERS,
    NORM_LAYERS,
    PADDING_LAYERS,
    PLUGIN_LAYERS,
    UPSAMPLE_LAYERS,
    build_activation_layer,
    build_attention,
    build_conv_layer,
    build_dropout,
    build_feedforward_network,
    build_norm_layer,
    build_padding_layer,
    build_plugin_layer,
    build_positional_encoding,
    build_transformer_layer,
    build_transformer_layer_sequence,
    build_upsample_layer,
)
from cfgtrain.cnn.bricks import registry as bricks_registry
from cfgtrain.errors import ArgumentTypeError, BuildError, UnknownNameError
from cfgtrain.registry.registry import Registry

IMAGE = (2, 16, 8, 8)  # (N, C, H, W)

# Builder, its registry, and the arguments of the calling code.
BUILDERS: dict[str, tuple[Any, Registry, tuple[Any, ...]]] = {
    "conv": (build_conv_layer, CONV_LAYERS, (16, 4, 3)),
    "norm": (build_norm_layer, NORM_LAYERS, (16,)),
    "activation": (build_activation_layer, ACTIVATION_LAYERS, ()),
    "padding": (build_padding_layer, PADDING_LAYERS, (1,)),
    "upsample": (build_upsample_layer, UPSAMPLE_LAYERS, ()),
    "plugin": (build_plugin_layer, PLUGIN_LAYERS, ()),
    "dropout": (build_dropout, DROPOUT_LAYERS, ()),
    "positional encoding": (build_positional_encoding, bricks_registry.POSITIONAL_ENCODING, ()),
    "attention": (build_attention, bricks_registry.ATTENTION, ()),
    "feed-forward network": (build_feedforward_network, bricks_registry.FEEDFORWARD_NETWORK, ()),
    "transformer layer": (build_transformer_layer, bricks_registry.TRANSFORMER_LAYER, ()),
    "sequence": (build_transformer_layer_sequence, bricks_registry.TRANSFORMER_LAYER_SEQUENCE, ()),
}
KINDS = list(BUILDERS)

TRANSFORMER_LAYER = {
    "attn_cfgs": {"type": "MultiheadAttention", "embed_dims": 16, "num_heads": 4},
    "operation_order": ("self_attn", "norm", "ffn", "norm"),
}

# Registry and name, further arguments in the config, the shape of an input, and that of its output.
NAMES: list[tuple[str, str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ("conv", "Conv1d", {}, (2, 16, 8), (2, 4, 6)),
    *[("conv", name, {}, IMAGE, (2, 4, 6, 6)) for name in ("Conv2d", "Conv", "ConvWS", "ConvAWS")],
    ("conv", "Conv3d", {}, (2, 16, 8, 8, 8), (2, 4, 6, 6, 6)),
    ("conv", "Conv2dAdaptivePadding", {}, IMAGE, (2, 4, 8, 8)),
    *[("conv", name, {}, IMAGE, (2, 4, 10, 10)) for name in ("deconv", "ConvTranspose2d")],
    *[("conv", name, {}, (2, 16, 3, 3, 3), (2, 4, 5, 5, 5)) for name in ("deconv3d", "ConvTranspose3d")],
    *[("norm", name, {}, IMAGE, IMAGE) for name in ("BN", "BN2d", "SyncBN", "IN", "IN2d")],
    *[("norm", name, {}, (2, 16, 8), (2, 16, 8)) for name in ("BN1d", "IN1d")],
    *[("norm", name, {}, (2, 16, 3, 4, 4), (2, 16, 3, 4, 4)) for name in ("BN3d", "IN3d")],
    ("norm", "GN", {"num_groups": 4}, IMAGE, IMAGE),
    ("norm", "LN", {}, (2, 8, 16), (2, 8, 16)),
    *[
        ("activation", name, {}, (2, 3), (2, 3))
        for name in (
            "ReLU", "LeakyReLU", "PReLU", "RReLU", "ReLU6", "ELU", "Sigmoid", "Tanh", "GELU", "SiLU", "Mish",
            "Hardswish", "Swish", "HSigmoid", "HSwish", "Clamp", "Clip",
        )
    ],
    *[("padding", name, {}, IMAGE, (2, 16, 10, 10)) for name in ("zero", "reflect", "replicate")],
    *[("upsample", name, {"scale_factor": 2}, IMAGE, (2, 16, 16, 16)) for name in ("nearest", "bilinear")],
    ("upsample", "deconv", {"in_channels": 16, "out_channels": 4, "kernel_size": 2, "stride": 2}, IMAGE, (2, 4, 16, 16)),
    ("upsample", "deconv3d", {"in_channels": 16, "out_channels": 4, "kernel_size": 2, "stride": 2},
     (2, 16, 3, 3, 3), (2, 4, 6, 6, 6)),
    ("upsample", "pixel_shuffle", {"in_channels": 16, "out_channels": 4, "scale_factor": 2, "upsample_kernel": 3},
     IMAGE, (2, 4, 16, 16)),
    ("upsample", "carafe", {"channels": 16, "scale_factor": 2}, IMAGE, (2, 16, 16, 16)),
    ("plugin", "ConvModule", {"in_channels": 16, "out_channels": 4, "kernel_size": 3}, IMAGE, (2, 4, 6, 6)),
    ("plugin", "ContextBlock", {"in_channels": 16, "ratio": 0.25}, IMAGE, IMAGE),
    ("plugin", "GeneralizedAttention", {"in_channels": 16}, IMAGE, IMAGE),
    ("plugin", "NonLocal1d", {"in_channels": 16}, (2, 16, 8), (2, 16, 8)),
    ("plugin", "NonLocal2d", {"in_channels": 16}, IMAGE, IMAGE),
    ("plugin", "NonLocal3d", {"in_channels": 16}, (2, 16, 2, 4, 4), (2, 16, 2, 4, 4)),
    ("plugin", "CrissCrossAttention", {"in_channels": 16}, IMAGE, IMAGE),
    ("dropout", "Dropout", {}, IMAGE, IMAGE),
    ("dropout", "DropPath", {}, IMAGE, IMAGE),
    ("positional encoding", "SinePositionalEncoding", {"num_feats": 8}, (2, 4, 5), (2, 16, 4, 5)),
    ("positional encoding", "LearnedPositionalEncoding", {"num_feats": 8}, (2, 4, 5), (2, 16, 4, 5)),
    ("attention", "MultiheadAttention", {"embed_dims": 16, "num_heads": 4}, (5, 2, 16), (5, 2, 16)),
    ("feed-forward network", "FFN", {"embed_dims": 16}, (5, 2, 16), (5, 2, 16)),
    ("transformer layer", "BaseTransformerLayer", TRANSFORMER_LAYER, (5, 2, 16), (5, 2, 16)),
    ("sequence", "TransformerLayerSequence",
     {"transformerlayers": {"type": "BaseTransformerLayer", **TRANSFORMER_LAYER}, "num_layers": 2},
     (5, 2, 16), (5, 2, 16)),
]  # fmt: skip


def build(kind: str, cfg: Any) -> nn.Module:
    """Return the layer alone, with the usual arguments of the calling code."""
    builder, _, args = BUILDERS[kind]
    built = builder(cfg, *args)
    return built[1] if isinstance(built, tuple) else built


@pytest.mark.parametrize(("kind", "name", "settings", "shape", "expected"), NAMES)
def test_every_name_is_built(
    kind: str, name: str, settings: dict[str, Any], shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    """Every registered name is built from a config and computes an output of the documented shape."""
    cfg = {"type": name, **settings}
    before = copy.deepcopy(cfg)
    layer = build(kind, cfg)
    assert isinstance(layer, nn.Module)
    assert cfg == before
    assert layer(torch.randn(shape)).shape == expected


def test_every_name_is_tested() -> None:
    """The table above contains every name that cfgtrain registers for layers."""
    for kind in BUILDERS:
        assert set(BUILDERS[kind][1].keys()) == {name for k, name, *_ in NAMES if k == kind}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cfg", ["ReLU", ["ReLU"], 1, nn.ReLU])
def test_a_config_is_a_dict(kind: str, cfg: Any) -> None:
    """What is not a mapping is a TypeError."""
    with pytest.raises(ArgumentTypeError, match="must be a dict with a type, not"):
        build(kind, cfg)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "conv"])
def test_none_is_not_a_config(kind: str) -> None:
    """None is a TypeError for all layers but convolutions."""
    with pytest.raises(TypeError, match="must be a dict with a type, not None"):
        build(kind, None)


def test_none_is_a_conv2d() -> None:
    """The default convolution is PyTorch's Conv2d."""
    assert type(build_conv_layer(None, 3, 8, kernel_size=2)) is nn.Conv2d


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_needs_a_type(kind: str) -> None:
    """A missing type is a KeyError; a misspelled one is recognized."""
    with pytest.raises(KeyError, match='must contain the key "type"'):
        build(kind, {"num_groups": 3})
    with pytest.raises(UnknownNameError, match="Did you mean 'type' instead of 'typ'"):
        build(kind, {"typ": "ReLU"})


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_type(kind: str) -> None:
    """An unknown type is a KeyError that names the registry."""
    with pytest.raises(KeyError, match=f"'FancyThing' is not in the {BUILDERS[kind][1].name} registry"):
        build(kind, {"type": "FancyThing"})


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [("conv", "Conv2D", "Conv2d"), ("norm", "GroupNorm", "GN"), ("activation", "Relu", "ReLU"), ("upsample", "bilinaer", "bilinear")],
)  # fmt: skip
def test_a_misspelled_type_is_suggested(kind: str, wrong: str, right: str) -> None:
    """The error suggests names that look like the unknown one, or lists the registry."""
    with pytest.raises(UnknownNameError, match=right):
        build(kind, {"type": wrong})


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_argument(kind: str) -> None:
    """An argument that the layer does not have is a TypeError that suggests the right one."""
    registry = BUILDERS[kind][1]

    class Layer(nn.Module):
        def __init__(self, first: int = 0, second: int = 0, third: int = 0, fancy: int = 0) -> None:
            super().__init__()

    registry.register_module(module=Layer)
    with pytest.raises(BuildError, match=r"takes no argument 'fancey'\. Did you mean 'fancy'"):
        build(kind, {"type": "Layer", "fancey": 1})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scope", ["cfgtrain", "mmcv"])
def test_a_scoped_name(kind: str, scope: str) -> None:
    """A name may have the scope of cfgtrain or of MMCV, or that of a child registry."""
    registry = BUILDERS[kind][1]

    class ScopedLayer(nn.Identity):
        pass

    registry.register_module(module=ScopedLayer)
    child = Registry(registry.name, parent=registry, scope="project")
    child.register_module("Other", module=ScopedLayer)
    assert type(build(kind, {"type": f"{scope}.ScopedLayer"})) is ScopedLayer
    assert type(build(kind, {"type": "project.Other"})) is ScopedLayer


@pytest.mark.parametrize(
    "kind_of_type", ["torch.nn.Identity", nn.Identity, lambda *args, **kwargs: nn.Identity()]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_class_function_or_import_path(kind: str, kind_of_type: Any) -> None:
    """A type may be an import path, a class or a function, in every registry."""
    assert type(build(kind, {"type": kind_of_type})) is nn.Identity


@pytest.mark.parametrize("kind", ["conv", "padding", "upsample"])
def test_a_config_cannot_override_the_calling_code(kind: str) -> None:
    """An argument from both the config and the calling code is a TypeError, positional or not."""
    builder = BUILDERS[kind][0]
    cases: dict[str, tuple[str, str, Any]] = {
        "conv": ("Conv2d", "in_channels", (3, 8, 3)),
        "padding": ("zero", "padding", (1,)),
        "upsample": ("nearest", "size", (8,)),
    }
    name, argument, args = cases[kind]
    with pytest.raises(TypeError, match=f"gets the argument '{argument}' from the code that builds it"):
        builder({"type": name, argument: 3}, *args)
    with pytest.raises(BuildError, match=f"gets the argument '{argument}' from the code that builds it"):
        builder({"type": name, argument: 3}, **{argument: 1})


def test_arguments_of_inherited_constructors() -> None:
    """A class that passes all arguments to its base class gets positional ones too."""

    class Passing(nn.Conv2d):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    layer = build_conv_layer({"type": Passing, "bias": False}, 3, 8, 3, stride=2)
    assert (layer.in_channels, layer.out_channels, layer.stride, layer.bias) == (3, 8, (2, 2), None)


def test_default_args() -> None:
    """The builders without arguments of their own take default arguments, which a config overrides."""
    default = {"type": "Dropout", "drop_prob": 0.1}
    assert build_dropout({}, default).p == 0.1
    assert build_dropout({"drop_prob": 0.3}, default).p == 0.3
    assert build_dropout({"type": "DropPath"}, {"drop_prob": 0.2}).drop_prob == 0.2
    layer = build_attention({"type": nn.Identity}, default_args={"type": "none"})
    assert type(layer) is nn.Identity


def test_errors_have_the_place_in_the_config(tmp_path: Path) -> None:
    """An error names the file, the line and the key path of the wrong value, however deep it is."""
    file = tmp_path / "config.py"
    file.write_text(
        "model = dict(\n    norm=dict(type='BM'),\n    act=dict(\n        type='ReLU',\n        inplce=True))\n"
    )
    model = Config.fromfile(file).model
    with pytest.raises(UnknownNameError, match=r"model\.norm\.type .*config\.py:2"):
        build_norm_layer(model.norm, 3)
    with pytest.raises(BuildError, match=r"model\.act\.inplce .*config\.py:5"):
        build_activation_layer(model.act)


def test_exceptions_of_constructors_name_the_layer() -> None:
    """An exception of a constructor keeps its type and says what was being built."""
    with pytest.raises(ValueError, match="divisible by groups") as caught:
        build_conv_layer({"type": "Conv2d", "groups": 2}, 3, 8, 3)
    assert caught.value.__notes__ == ["while building Conv2d from a config"]


def test_registries_have_the_import_path_of_mmcv() -> None:
    """``cfgtrain.cnn.bricks.registry`` has all registries of layers."""
    from cfgtrain import registries

    assert len(bricks_registry.__all__) == 12
    for name in bricks_registry.__all__:
        assert getattr(bricks_registry, name) is getattr(registries, name)


def test_names_of_mmcv() -> None:
    """What MMCV's ``cnn`` and ``cnn.bricks`` export for layers can be imported from the same places."""
    from cfgtrain import cnn
    from cfgtrain.cnn import bricks

    names = [
        "ConvModule",
        "DepthwiseSeparableConvModule",
        "build_activation_layer",
        "build_conv_layer",
        "build_norm_layer",
        "build_padding_layer",
        "build_upsample_layer",
        "build_plugin_layer",
        "is_norm",
        "NonLocal1d",
        "NonLocal2d",
        "NonLocal3d",
        "ContextBlock",
        "GeneralizedAttention",
        "HSigmoid",
        "Swish",
        "HSwish",
        "Scale",
        "CONV_LAYERS",
        "NORM_LAYERS",
        "ACTIVATION_LAYERS",
        "PADDING_LAYERS",
        "UPSAMPLE_LAYERS",
        "PLUGIN_LAYERS",
        "conv_ws_2d",
        "ConvAWS2d",
        "ConvWS2d",
        "Linear",
        "Conv2d",
        "Conv3d",
        "ConvTranspose2d",
        "ConvTranspose3d",
        "MaxPool2d",
        "MaxPool3d",
        "Conv2dAdaptivePadding",
        "Dropout",
        "DropPath",
    ]
    for name in names:
        assert getattr(cnn, name) is getattr(bricks, name)
    assert {"MODELS", "build_model_from_cfg", "initialize", "INITIALIZERS"} <= set(cnn.__all__)
