"""A project outside the repository, as a new user would start it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODELS = """
from torch import nn
from cfgtrain import Registry
from cfgtrain.cnn import MODELS as PARENT

MODELS = Registry("model", parent=PARENT)


@MODELS.register_module()
class ShopNet(nn.Module):
    def __init__(self, num_classes, width=32):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(1024, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x):
        return self.net(x)
"""
DATA = """
from cfgtrain.data import PIPELINES


@PIPELINES.register_module()
class Mirror:
    def __call__(self, results):
        return {**results, "img": 16 - results["img"]}
"""
CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=["corner_shop.models"])
model = dict(backbone=dict(
    _delete_=True,
    type="corner_shop.ShopNet",
    num_classes=10,
    width=8))
runner = dict(max_epochs=1)
"""


@pytest.fixture
def config(write: Callable[[str, str], Path], configs: Path) -> Path:
    """A project: a package, and a config in a folder next to it."""
    write("corner_shop/__init__.py", "")
    write("corner_shop/models.py", MODELS)
    write("corner_shop/data.py", DATA)
    return write("configs/till.py", CONFIG.format(base=str(configs / "digits" / "lenet5.py")))


@pytest.mark.parametrize("name", ["corner_shop.ShopNet", "ShopNet"])
def test_a_project_trains(name: str, config: Path, run: Callable[..., Any]) -> None:
    """A model in a child registry is found by its scope, the name of the package, or alone: no other project has it."""
    config.write_text(config.read_text().replace("corner_shop.ShopNet", name))
    ran = run("train", config)
    assert (ran.code, ran.err) == (0, ran.err)
    assert "Done in" in ran.out


@pytest.mark.parametrize(
    ("right", "wrong", "texts"),
    [
        ("corner_shop.ShopNet", "corner_shop.ShopNte", ["Did you mean 'corner_shop.ShopNet'?", "model.backbone.type", "till.py:6"]),
        ("corner_shop.ShopNet", "corner_shp.ShopNet", ["no scope and no module 'corner_shp'. Did you mean 'corner_shop.ShopNet'?", "till.py:6"]),
        ("width=8", "widht=8", ["Did you mean 'width'?", "model.backbone.widht", "till.py:8", "in ShopNet(num_classes, width=32)"]),
        ("num_classes=10,", "", ["needs the argument 'num_classes'", "model.backbone", "in ShopNet(num_classes, width=32)"]),
        ("corner_shop.models", "corner_shop.model", ["Did you mean 'corner_shop.models'?", "custom_imports", "till.py:3"]),
        ("corner_shop.models", "corner_shpo.models", ["Did you mean 'corner_shop.models'?", "custom_imports", "till.py:3"]),
        (
            'custom_imports = dict(imports=["corner_shop.models"])', "",
            ["corner_shop/models.py:10 defines it, but was not imported: custom_imports = dict(imports=['corner_shop.models'])"],
        ),
        (
            "runner =", "data = dict(train=dict(pipeline=[dict(type='Mirror')]))\nrunner =",
            ["corner_shop/data.py:6 defines it, but was not imported: custom_imports = dict(imports=['corner_shop.data'])"],
        ),
    ],
)  # fmt: skip
def test_the_error_shows_how_to_fix_a_mistake(
    right: str, wrong: str, texts: list[str], config: Path, run: Callable[..., Any]
) -> None:
    """The error for a wrong name, scope, argument or module has its location and a suggestion."""
    config.write_text(config.read_text().replace(right, wrong, 1))
    ran = run("train", config)
    assert (ran.code, ran.out) == (2, "")
    assert [text for text in texts if text not in ran.err] == []
    assert "Traceback" not in ran.err
