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
    """Return the first weight of each linear layer."""
    return [layer.weight[0, 0].item() for layer in model.modules() if isinstance(layer, nn.Linear)]


def test_inner_configs_take_precedence() -> None:
    """The outer config is applied before those of the children, which may be inside plain containers."""
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
def test_container_configs(build: Any) -> None:
    """The config of a container initializes its children, whose own configs take precedence."""
    model = build(nn.Linear(1, 1), Leaf(constant(2)), init_cfg=constant(1))
    model.init_weights()
    assert values(model) == [1, 2]
    assert len(model) == 2
    assert isinstance(model, BaseModule)


def test_custom_init_weights(tmp_path: Path) -> None:
    """An ``init_weights`` that a child overrides is called after the outer configs are applied."""

    class Custom(Leaf):
        def init_weights(self) -> None:
            super().init_weights()
            with torch.no_grad():
                self.fc.weight.data.fill_(9)

    model = Sequential(Custom(constant(2)), Leaf(), init_cfg=constant(1))
    logged = init_log(model, tmp_path)
    assert values(model) == [9, 1]
    assert "Initialized by user-defined `init_weights` in Custom" in logged["0.fc.weight"]


def init_log(model: nn.Module, folder: Path) -> dict[str, str]:
    """Initialize a model, and return the line of the log file for each parameter."""
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


def test_log_of_initialization(tmp_path: Path) -> None:
    """The log files contain the initializer of each parameter with its settings, or that it is unchanged."""
    cfg = {"type": "Normal", "std": 0.1, "layer": "Conv2d", "override": constant(2, name="left")}
    cfg["override"].pop("layer")
    model = Tree(cfg, None, constant(3))
    logged = init_log(model, tmp_path)
    assert set(logged) == {name for name, _ in model.named_parameters()}
    assert logged["left.fc.weight"].startswith("left.fc.weight - (2, 2): ConstantInit: val=2, bias=0")
    assert "ConstantInit: val=3" in logged["right.1.fc.bias"]
    assert "The value is the same before and after calling `init_weights` of Tree" in logged["fc.weight"]


def test_nothing_is_logged_without_initialization(tmp_path: Path) -> None:
    """A model without configs logs nothing."""
    assert init_log(Tree(), tmp_path) == {}


def test_pretrained_applies_to_children(tmp_path: Path) -> None:
    """After pretrained weights are loaded, the children are not initialized, and all are marked as initialized."""
    source = Tree()
    torch.save({"state_dict": source.state_dict()}, tmp_path / "weights.pth")
    model = Tree(
        {"type": "Pretrained", "checkpoint": str(tmp_path / "weights.pth")}, constant(2), constant(3)
    )
    logged = init_log(model, tmp_path)
    assert values(model) == values(source)
    assert "load from" in logged["left.fc.weight"]
    assert model.is_init
    assert model.left.is_init
    assert not hasattr(model.left, "_params_init_info")


def test_second_call_warns() -> None:
    """A second call of init_weights issues a warning and changes nothing."""
    model = Leaf(constant(2))
    model.init_weights()
    nn.init.zeros_(model.fc.weight)
    with pytest.warns(UserWarning, match="init_weights of Leaf has been called more than once"):
        model.init_weights()
    assert values(model) == [0]


def test_new_parameter_during_init_weights() -> None:
    """A parameter that is created in init_weights raises an error, and no temporary attribute is left."""

    class Late(Leaf):
        def init_weights(self) -> None:
            super().init_weights()
            self.late = nn.Linear(1, 1)

    model = Sequential(Late())
    with pytest.raises(AssertionError, match=r"got a new parameter 'late\.weight' during init_weights"):
        model.init_weights()
    assert not hasattr(model[0], "_params_init_info")


def test_update_init_info_outside_of_init_weights() -> None:
    """``update_init_info`` raises an error outside of ``init_weights``."""
    with pytest.raises(AssertionError, match=r"called for Leaf outside of init_weights\(\)"):
        update_init_info(Leaf(), "x")


def test_lazy_and_unusual_parameters() -> None:
    """Parameters without values, and complex and integer parameters, are supported."""
    model = Leaf()
    model.lazy = nn.LazyLinear(2)
    model.wave = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    model.index = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    model.meta = nn.Linear(2, 2, device="meta")
    model.init_weights()
    assert model.is_init


def test_config_is_copied_and_shown() -> None:
    """The config is copied, and shown at the end of the module's repr."""
    cfg = constant(2)
    model = Leaf(cfg)
    cfg["val"] = 3
    assert model.init_cfg == constant(2)
    assert repr(model).endswith(f"init_cfg={constant(2)}")
    assert "init_cfg" not in repr(Leaf())
