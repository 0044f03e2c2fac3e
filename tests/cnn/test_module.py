from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cfgtrain.cnn import update_init_info
from cfgtrain.runner import BaseModule, ModuleDict, ModuleList, Sequential


def constant(val: float, **more: Any) -> dict[str, Any]:
    return {"type": "Constant", "val": val, "layer": "Linear", **more}


class Leaf(BaseModule):
    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.fc = nn.Linear(2, 2)


class Tree(BaseModule):
    def __init__(self, init_cfg: Any = None, left: Any = None, right: Any = None) -> None:
        super().__init__(init_cfg)
        self.fc, self.left, self.right = nn.Linear(2, 2), Leaf(left), nn.Sequential(nn.ReLU(), Leaf(right))


def values(model: nn.Module) -> list[float]:
    """The first weight of each linear layer."""
    return [layer.weight[0, 0].item() for layer in model.modules() if isinstance(layer, nn.Linear)]


def test_inner_configs_win() -> None:
    """The outer config comes first, those of the parts over it, plain containers looked through."""
    model = Tree(constant(1), constant(2), constant(3))
    assert not model.is_init
    model.init_weights()
    assert values(model) == [1, 2, 3]
    assert model.is_init
    assert model.right[1].is_init
    assert not hasattr(model, "_params_init_info")
    model = Tree(constant(1))
    model.init_weights()
    assert values(model) == [1, 1, 1]


@pytest.mark.parametrize(
    "build",
    [
        lambda *parts, init_cfg: Sequential(*parts, init_cfg=init_cfg),
        lambda *parts, init_cfg: ModuleList(parts, init_cfg=init_cfg),
        lambda *parts, init_cfg: ModuleDict(dict(zip("ab", parts, strict=True)), init_cfg=init_cfg),
    ],
    ids=["Sequential", "ModuleList", "ModuleDict"],
)
def test_containers_have_configs(build: Any) -> None:
    """Containers initialize their parts, whose own configs win."""
    model = build(nn.Linear(1, 1), Leaf(constant(2)), init_cfg=constant(1))
    model.init_weights()
    assert values(model) == [1, 2]
    assert len(model) == 2
    assert isinstance(model, BaseModule)


def test_method_of_ones_own_wins(tmp_path: Path) -> None:
    """An ``init_weights`` that a part overrides is called, after the configs outside."""

    class Own(Leaf):
        def init_weights(self) -> None:
            super().init_weights()
            with torch.no_grad():
                self.fc.weight.data.fill_(9)

    model = Sequential(Own(constant(2)), Leaf(), init_cfg=constant(1))
    told = log_of(model, tmp_path)
    assert values(model) == [9, 1]
    assert "Initialized by user-defined `init_weights` in Own" in told["0.fc.weight"]


def log_of(model: nn.Module, folder: Path) -> dict[str, str]:
    """What the file of a log says of each parameter."""
    logger = logging.getLogger("cfgtrain")
    handler = logging.FileHandler(folder / "run.log")
    logger.addHandler(handler)
    try:
        model.init_weights()
    finally:
        logger.removeHandler(handler)
        handler.close()
    lines = (folder / "run.log").read_text().splitlines()
    return {line.split(" - ")[0]: line for line in lines if " - " in line}


def test_log_says_how_each_parameter_was_initialized(tmp_path: Path) -> None:
    """The log files name the initializer of each parameter, with its settings, and those left alone."""
    cfg = {"type": "Normal", "std": 0.1, "layer": "Conv2d", "override": constant(2, name="left")}
    cfg["override"].pop("layer")
    model = Tree(cfg, None, constant(3))
    told = log_of(model, tmp_path)
    assert set(told) == {name for name, _ in model.named_parameters()}
    assert told["left.fc.weight"].startswith("left.fc.weight - (2, 2): ConstantInit: val=2, bias=0")
    assert "ConstantInit: val=3" in told["right.1.fc.bias"]
    assert "The value is the same before and after calling `init_weights` of Tree" in told["fc.weight"]


def test_nothing_is_logged_where_nothing_happened(tmp_path: Path) -> None:
    """A model without configs leaves the log alone."""
    assert log_of(Tree(), tmp_path) == {}


def test_pretrained_is_for_the_whole(tmp_path: Path) -> None:
    """After pretrained weights the parts do not initialize themselves, and everything is marked as done."""
    source = Tree()
    torch.save({"state_dict": source.state_dict()}, tmp_path / "weights.pth")
    model = Tree(
        {"type": "Pretrained", "checkpoint": str(tmp_path / "weights.pth")}, constant(2), constant(3)
    )
    told = log_of(model, tmp_path)
    assert values(model) == values(source)
    assert "load from" in told["left.fc.weight"]
    assert model.is_init
    assert model.left.is_init
    assert not hasattr(model.left, "_params_init_info")


def test_second_time_is_a_warning() -> None:
    """Weights are initialized once."""
    model = Leaf(constant(2))
    model.init_weights()
    nn.init.zeros_(model.fc.weight)
    with pytest.warns(UserWarning, match="init_weights of Leaf has been called more than once"):
        model.init_weights()
    assert values(model) == [0]


def test_parameters_are_made_in_the_constructor() -> None:
    """A parameter that appears while weights are initialized is an error, and nothing is left behind."""

    class Late(Leaf):
        def init_weights(self) -> None:
            super().init_weights()
            self.late = nn.Linear(1, 1)

    model = Sequential(Late())
    with pytest.raises(AssertionError, match=r"got a new parameter 'late\.weight' during init_weights"):
        model.init_weights()
    assert not hasattr(model[0], "_params_init_info")


def test_info_belongs_to_an_initialization() -> None:
    """``update_init_info`` is for use within ``init_weights``."""
    with pytest.raises(AssertionError, match="No init_weights of Leaf is under way"):
        update_init_info(Leaf(), "x")


def test_lazy_and_unusual_parameters() -> None:
    """Parameters without values, of complex or of integer type are no obstacle."""
    model = Leaf()
    model.lazy = nn.LazyLinear(2)
    model.wave = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    model.index = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    model.meta = nn.Linear(2, 2, device="meta")
    model.init_weights()
    assert model.is_init


def test_config_is_a_copy_and_is_shown() -> None:
    """The config is not shared with the caller, and the module's text ends with it."""
    cfg = constant(2)
    model = Leaf(cfg)
    cfg["val"] = 3
    assert model.init_cfg == constant(2)
    assert repr(model).endswith(f"init_cfg={constant(2)}")
    assert "init_cfg" not in repr(Leaf())
