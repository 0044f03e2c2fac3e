"""MODELS, and lists of layers."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from cfgtrain.cnn import MODELS, build_model_from_cfg
from cfgtrain.cnn.module import BaseModule, Sequential
from cfgtrain.errors import ArgumentTypeError
from cfgtrain.registry.registry import Registry, build_from_cfg

RELU, LINEAR = {"type": "torch.nn.ReLU"}, {"type": "torch.nn.Linear", "in_features": 2}


def test_models_stand_in_the_scope_of_cfgtrain() -> None:
    """The registry has its place and its build function, which children inherit unless they say otherwise."""
    assert (MODELS.scope, MODELS.build_func) == ("cfgtrain", build_model_from_cfg)
    assert Registry("models", parent=MODELS, scope="new").build_func is build_model_from_cfg
    assert Registry("models", build_from_cfg, MODELS, scope="old").build_func is build_from_cfg


def test_one_config_is_one_model() -> None:
    """A dict is built as anywhere else, from its name in the registry."""
    model = MODELS.build({"type": "LeNet5"}, default_args={"num_classes": 3})
    assert (type(model).__name__, model.num_classes) == ("LeNet5", 3)


@pytest.mark.parametrize(
    ("cfgs", "kinds"),
    [([], []), ([RELU], [nn.ReLU]), ([LINEAR, RELU, LINEAR], [nn.Linear, nn.ReLU, nn.Linear])],
)
def test_a_list_is_a_sequence(cfgs: list[dict[str, Any]], kinds: list[type]) -> None:
    """The models of a list run one after another; none do nothing."""
    model = build_model_from_cfg(
        [{**cfg, **({"out_features": 2} if cfg is LINEAR else {})} for cfg in cfgs], MODELS
    )
    assert type(model) is Sequential
    assert isinstance(model, BaseModule)
    assert isinstance(model, nn.Sequential)
    assert [type(layer) for layer in model] == kinds


def test_defaults_go_to_each() -> None:
    """What the configs of a list leave out is filled in each of them."""
    model = MODELS.build([LINEAR, LINEAR], default_args={"out_features": 2})
    assert [layer.out_features for layer in model] == [2, 2]


@pytest.mark.parametrize("cfg", [(RELU, RELU), "LeNet5", None])
def test_other_types_are_refused(cfg: Any) -> None:
    """A tuple is no list of models, and a name no config."""
    with pytest.raises(ArgumentTypeError, match="is a dict with a type"):
        MODELS.build(cfg)
