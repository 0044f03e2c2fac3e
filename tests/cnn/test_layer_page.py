"""The page with the tables of layers."""

from __future__ import annotations

from pathlib import Path

import pytest

import cfgtrain.cnn
from cfgtrain.registry.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"
REGISTRIES = [name for name, each in vars(cfgtrain.cnn).items() if isinstance(each, Registry)]


@pytest.mark.parametrize("name", REGISTRIES)
def test_every_type_is_on_the_page(name: str) -> None:
    """Each type of the registries of layers is listed with its arguments; scripts/layer_tables.py writes the page."""
    page = PAGE.read_text(encoding="utf-8")
    types = [
        key for key, kind in getattr(cfgtrain.cnn, name).module_dict.items() if "cfgtrain" in kind.__module__
    ]
    assert [key for key in types if f"`{key}`" not in page] == []
    assert f"Registry `{name}`" in page
