from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.cnn import ConvModule, build_plugin_layer
from cfgtrain.cnn.bricks.plugin import infer_abbr
from cfgtrain.errors import BuildError

ABBREVIATIONS = {
    "ConvModule": ({"in_channels": 16, "out_channels": 4, "kernel_size": 1}, "conv_block"),
    "ContextBlock": ({"in_channels": 16, "ratio": 0.25}, "context_block"),
    "GeneralizedAttention": ({"in_channels": 16}, "gen_attention_block"),
    "NonLocal2d": ({"in_channels": 16}, "nonlocal_block"),
    "CrissCrossAttention": ({"in_channels": 16}, "criss_cross_attention"),
}


@pytest.mark.parametrize("name", ABBREVIATIONS)
@pytest.mark.parametrize("postfix", ["", "_test", 1])
def test_names_of_plugins(name: str, postfix: int | str) -> None:
    """The name is the abbreviation of the class and the postfix; the channels may come from the code."""
    settings, abbreviation = ABBREVIATIONS[name]
    rest = {key: value for key, value in settings.items() if key != "in_channels"}
    found, layer = build_plugin_layer({"type": name, **rest}, postfix, in_channels=16)
    assert found == f"{abbreviation}{postfix}"
    assert type(layer).__name__ == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("FancyBlock", "fancy_block"),
        ("HTTPServer", "http_server"),
        ("SEBlock", "se_block"),
        ("ResNet50V2", "res_net50_v2"),
        ("Block", "block"),
        ("my_block", "my_block"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    """The name of a class is turned into snake case; ``_abbr_`` takes precedence."""
    assert infer_abbr(type(name, (), {})) == expected
    assert infer_abbr(type(name, (), {"_abbr_": "short"})) == "short"


def test_wrong_arguments() -> None:
    """The class must be a class, the postfix an int or a str, and no argument given twice."""
    with pytest.raises(TypeError, match="must be a class"):
        infer_abbr(0)  # type: ignore[arg-type]
    postfix: Any = []
    with pytest.raises(AssertionError, match="postfix must be an int or a str"):
        build_plugin_layer({"type": "ContextBlock"}, postfix)
    with pytest.raises(BuildError, match="gets the argument 'in_channels' from the code"):
        build_plugin_layer({"type": "ContextBlock", "in_channels": 3, "ratio": 1}, in_channels=3)


def test_a_function_as_type() -> None:
    """The name is that of the class of the layer that a function returns."""
    assert build_plugin_layer({"type": lambda: ConvModule(1, 1, 1)})[0] == "conv_block"
