"""Tests of MODELS and of building modules from lists of configs."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from cfgtrain.cnn import MODELS, build_model_from_cfg
from cfgtrain.cnn.module import BaseModule, Sequential
from cfgtrain.errors import ArgumentTypeError
from cfgtrain.registry.registry import Registry, build_from_cfg

RELU, LINEAR = {"type": "torch.nn.ReLU"}, {"type": "torch.nn.Linear", "in_features": 2}


def test_scope_and_build_func() -> None:
    """MODELS has a scope and a build function, which children inherit unless they have their own."""
    assert (MODELS.scope, MODELS.build_func) == ("cfgtrain", build_model_from_cfg)
    assert Registry("models", parent=MODELS, scope="new").build_func is build_model_from_cfg
    assert Registry("models", build_from_cfg, MODELS, scope="old").build_func is build_from_cfg


def test_build_from_one_config() -> None:
    """A dict is built from the type that is registered with its name."""
    model = MODELS.build({"type": "LeNet5"}, default_args={"num_classes": 3})
    assert (type(model).__name__, model.num_classes) == ("LeNet5", 3)


@pytest.mark.parametrize(
    ("cfgs", "kinds"),
    [([], []), ([RELU], [nn.ReLU]), ([LINEAR, RELU, LINEAR], [nn.Linear, nn.ReLU, nn.Linear])],
)
def test_build_from_list(cfgs: list[dict[str, Any]], kinds: list[type]) -> None:
    """A list of configs is built as a Sequential, an empty one too."""
    model = build_model_from_cfg(
        [{**cfg, **({"out_features": 2} if cfg is LINEAR else {})} for cfg in cfgs], MODELS
    )
    assert type(model) is Sequential
    assert isinstance(model, BaseModule)
    assert isinstance(model, nn.Sequential)
    assert [type(layer) for layer in model] == kinds


def test_default_args_apply_to_each() -> None:
    """Default arguments are added to each config of a list."""
    model = MODELS.build([LINEAR, LINEAR], default_args={"out_features": 2})
    assert [layer.out_features for layer in model] == [2, 2]


@pytest.mark.parametrize("cfg", [(RELU, RELU), "LeNet5", None])
def test_invalid_configs(cfg: Any) -> None:
    """A tuple or a name raises an error."""
    with pytest.raises(ArgumentTypeError, match="must be a dict with a type"):
        MODELS.build(cfg)
