from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import INITIALIZERS, ConstantInit, bias_init_with_prob, initialize
from cfgtrain.errors import UnknownNameError


def net() -> nn.Module:
    model = nn.Module()
    model.conv, model.norm, model.act = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()
    model.head = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    return model


def filled(module: nn.Module, name: str) -> Any:
    """Return the value of a parameter if all its elements are equal, else None."""
    values = module.get_parameter(name).detach().unique()
    return values.item() if len(values) == 1 else None


CONSTANTS: list[tuple[Any, dict[str, float]]] = [
    ({"layer": "Conv2d"}, {"conv.weight": 5, "conv.bias": 0}),
    ({"layer": ["Linear", "Conv2d"], "bias": 2}, {"conv.weight": 5, "conv.bias": 2, "head.1.bias": 2}),
    ({"layer": "_ConvNd"}, {"conv.weight": 5}),
    ({"layer": "_BatchNorm", "bias": 7}, {"norm.weight": 5, "norm.bias": 7}),
    ({"layer": "Linear", "bias_prob": 0.01}, {"head.0.bias": bias_init_with_prob(0.01)}),
    ({}, {}),
    ({"override": {"name": "conv"}}, {"conv.weight": 5, "conv.bias": 0}),
    ({"layer": "Linear", "bias": 2, "override": {"name": "conv"}}, {"head.0.weight": 5, "conv.weight": 5, "conv.bias": 2}),
    ({"layer": "Conv2d", "override": {"type": "Constant", "name": "head", "val": 3, "bias": 4}},
     {"conv.weight": 5, "head.0.weight": 3, "head.1.bias": 4}),
    ({"override": {"name": "head.1"}}, {"head.1.weight": 5, "head.1.bias": 0}),
    ({"override": [{"name": "conv"}, {"type": "Constant", "name": "norm", "val": 9}]}, {"conv.weight": 5, "norm.weight": 9}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "expected"), CONSTANTS)
def test_selected_layers(settings: Any, expected: dict[str, float]) -> None:
    """Layers are selected by class or direct base class, submodules by an override; others are unchanged."""
    model = net()
    before = {name: p.clone() for name, p in model.named_parameters()}
    cfg = {"type": "Constant", "val": 5, **settings}
    initialize(model, cfg)
    assert {name: filled(model, name) for name in expected} == pytest.approx(expected)
    touched = {name.rpartition(".")[0] for name in expected} | (
        {"head.0", "head.1"} if "head" in str(expected) and "head.1'}" not in str(settings) else set()
    )
    for name, p in model.named_parameters():
        if name.rpartition(".")[0] not in touched:
            assert torch.equal(p, before[name]), name
    assert cfg == {"type": "Constant", "val": 5, **settings}


def test_list_is_applied_in_order() -> None:
    """The initializers of a list are applied in order."""
    model = net()
    constants = [
        {"type": "Constant", "val": val, "layer": layer}
        for val, layer in ((1, ["Conv2d", "Linear"]), (2, "Linear"))
    ]
    initialize(model, constants)
    assert (filled(model, "conv.weight"), filled(model, "head.0.weight")) == (1, 2)


@pytest.mark.parametrize("kind", ["Xavier", "Normal", "TruncNormal", "Uniform", "Kaiming", "Caffe2Xavier"])
def test_each_initializer(kind: str) -> None:
    """Every initializer draws the weights of its layers, and of a whole submodule with norm layers."""
    model = net()
    before = model.conv.weight.clone(), model.head[0].weight.clone()
    initialize(model, {"type": kind, "layer": "Conv2d", "bias": 3})
    assert filled(model, "conv.bias") == 3
    assert not torch.equal(model.conv.weight, before[0])
    assert torch.equal(model.head[0].weight, before[1])
    part = nn.Module()
    part.whole = net()
    initialize(part, {"type": kind, "bias": 3, "override": {"name": "whole"}})
    assert filled(part.whole, "head.1.bias") == 3


def saved(tmp_path: Path) -> tuple[str, nn.Module]:
    model = net()
    initialize(model, {"type": "Constant", "val": 8, "layer": ["Conv2d", "Linear"]})
    weights = {f"backbone.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": {**weights, "backbone_2.x": torch.ones(1)}}, tmp_path / "prefixed.pth")
    torch.save(model.state_dict(), tmp_path / "plain.pth")
    return str(tmp_path), model


def test_pretrained_weights(tmp_path: Path) -> None:
    """Weights are loaded from a checkpoint, all of them or those with a prefix."""
    folder, _ = saved(tmp_path)
    for cfg in (
        {"checkpoint": f"{folder}/plain.pth"},
        {"checkpoint": f"{folder}/prefixed.pth", "prefix": "backbone"},
        {"checkpoint": f"{folder}/prefixed.pth", "prefix": "backbone.", "map_location": "cpu"},
    ):
        model = net()
        initialize(model, {"type": "Pretrained", **cfg})
        assert filled(model, "conv.weight") == filled(model, "head.0.weight") == 8
    with pytest.raises(AssertionError, match=r"no weights with the prefix 'back\.'"):
        initialize(net(), {"type": "Pretrained", "checkpoint": f"{folder}/prefixed.pth", "prefix": "back"})


WRONG: list[tuple[Any, type[Exception], str]] = [
    ("Kaiming", TypeError, "init_cfg must be a dict or a list"),
    ([1], TypeError, "init_cfg must be a dict or a list"),
    ({"type": "Constnt", "val": 1}, UnknownNameError, "Did you mean 'Constant'"),
    ({"type": "Normal", "bias": "1"}, TypeError, "bias must be a number"),
    ({"type": "Normal", "bias_prob": 1}, TypeError, "bias_prob must be a float"),
    ({"type": "Normal", "bias_prob": 1.5}, ValueError, "bias_prob must be between 0 and 1, not 1.5"),
    ({"type": "Normal", "layer": 1}, TypeError, "layer must be a class name"),
    ({"type": "Normal", "override": "conv"}, TypeError, "override must be a dict"),
    ({"type": "Normal", "override": {"type": "Normal"}}, ValueError, 'must contain the key "name"'),
    ({"type": "Normal", "override": {"name": "conv", "std": 1}}, ValueError, 'requires the key "type"'),
    (
        {"type": "Normal", "override": {"name": "cnv"}},
        RuntimeError,
        "no submodule 'cnv' to initialize. Did you mean 'conv'",
    ),
    ({"type": "Normal", "override": {"name": ""}}, RuntimeError, "no submodule ''"),
]


@pytest.mark.parametrize(("cfg", "error", "text"), WRONG)
def test_invalid_configs(cfg: Any, error: type[Exception], text: str) -> None:
    """Invalid configs raise the type of error that MMCV raises."""
    with pytest.raises(error, match=text):
        initialize(net(), cfg)


def test_missing_checkpoint(tmp_path: Path) -> None:
    """A checkpoint that does not exist raises the type of error that MMCV raises."""
    for more in ({}, {"prefix": "backbone"}):
        with pytest.raises(FileNotFoundError):
            initialize(net(), {"type": "Pretrained", "checkpoint": str(tmp_path / "no.pth"), **more})


def test_type_may_be_a_class() -> None:
    """The type of an initializer may be its class."""
    model = net()
    initialize(model, {"type": ConstantInit, "val": 2, "layer": "Conv2d"})
    assert filled(model, "conv.weight") == 2


def test_pretrained_weights_with_override(tmp_path: Path) -> None:
    """After weights are loaded, an override can initialize a part again."""
    folder, _ = saved(tmp_path)
    override = {"type": "Constant", "name": "head", "val": 3}
    model = net()
    initialize(model, {"type": "Pretrained", "checkpoint": f"{folder}/plain.pth", "override": override})
    assert filled(model, "conv.weight") == 8
    assert filled(model, "head.1.weight") == 3


def test_missing_layer_warns(caplog: pytest.LogCaptureFixture) -> None:
    """A layer name that matches nothing logs a warning with a suggestion."""
    initialize(net(), {"type": "Normal", "layer": "Conv2D"})
    assert "found no layer ['Conv2D'] in Module. Did you mean 'Conv2d'?" in caplog.text


@pytest.mark.parametrize(
    ("cfg", "info"),
    [
        ({"type": "Constant", "val": 1}, "ConstantInit: val=1, bias=0"),
        ({"type": "Xavier"}, "XavierInit: gain=1, distribution=normal, bias=0"),
        ({"type": "Normal"}, "NormalInit: mean=0, std=1, bias=0"),
        ({"type": "TruncNormal"}, "TruncNormalInit: a=-2, b=2, mean=0, std=1, bias=0"),
        ({"type": "Uniform"}, "UniformInit: a=0.0, b=1.0, bias=0"),
        (
            {"type": "Kaiming"},
            "KaimingInit: a=0, mode=fan_out, nonlinearity=relu, distribution=normal, bias=0",
        ),
        ({"type": "Pretrained", "checkpoint": "x.pth"}, "PretrainedInit: load from x.pth"),
    ],
)
def test_descriptions(cfg: Any, info: str) -> None:
    """The description for the log has the settings in MMCV's order."""
    assert INITIALIZERS.build(cfg)._get_init_info() == info


def test_description_of_a_subclass() -> None:
    """A subclass may describe itself, as initializers written for MMCV do."""

    @INITIALIZERS.register_module()
    class Two(ConstantInit):
        def __init__(self) -> None:
            super().__init__(val=2, layer="Conv2d")

        def _get_init_info(self) -> str:
            return "Two: always 2"

    model = net()
    model._params_init_info = {each: {} for each in model.parameters()}  # type: ignore[assignment]
    initialize(model, {"type": "Two"})
    assert model._params_init_info[model.conv.weight]["init_info"] == "Two: always 2"  # type: ignore[index]


def test_custom_initializer() -> None:
    """A registered class can be used as an initializer."""

    @INITIALIZERS.register_module()
    class Ones:
        def __call__(self, module: nn.Module) -> None:
            nn.init.ones_(module.conv.weight)

    model = net()
    initialize(model, {"type": "Ones"})
    assert filled(model, "conv.weight") == 1
