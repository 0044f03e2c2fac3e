"""The page with the tables of layers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import cfgtrain.cnn
from cfgtrain.registry.registry import Registry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "layers.md"
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


def test_the_tables_are_up_to_date() -> None:
    """The arguments and descriptions of the package's own classes are those of the code; if not, run the script."""
    script: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "layer_tables.py"))
    registered = {
        kind for name in REGISTRIES for kind in getattr(cfgtrain.cnn, name).module_dict.values()
    } | set(script["UNREGISTERED"])
    own = [kind for kind in registered if getattr(kind.__init__, "__module__", "").startswith("cfgtrain.")]
    assert len(own) > 30
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    # The types, which the row begins with, are tested above.
    ends = {line.partition(" | ")[2] for line in lines}
    assert [kind for kind in own if script["row"](kind, [""]).partition(" | ")[2] not in ends] == []
