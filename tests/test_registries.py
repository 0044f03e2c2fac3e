"""The registries of cfgtrain."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from cfgtrain import registries
from cfgtrain.cnn import MODELS
from cfgtrain.registry.registry import Registry

ROOT = Path(__file__).parent.parent
REGISTRIES = {name: each for name, each in vars(registries).items() if isinstance(each, Registry)}


def test_making_the_registries_does_not_import_torch() -> None:
    """Other modules can refer to the registries without loading torch or the modules that fill them."""
    code = "import sys, cfgtrain.registries; print(*sorted(n for n in sys.modules if 'torch' in n or 'cnn' in n))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_registry_is_made_in_one_module() -> None:
    """No other module of cfgtrain or its command line makes a registry."""
    makers = {
        path.relative_to(ROOT).as_posix()
        for top in ("src", "cli")
        for path in (ROOT / top).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Registry"
    }
    assert makers == {"src/cfgtrain/registries.py"}


def test_models_can_be_imported_from_their_package() -> None:
    """``cfgtrain.cnn`` has the registry of models under the name that MMCV gives it."""
    assert MODELS is registries.MODELS


@pytest.mark.parametrize("name", REGISTRIES)
def test_the_home_fills_the_registry(name: str) -> None:
    """Importing the home of a registry leaves it with entries."""
    REGISTRIES[name].fill()
    assert len(REGISTRIES[name]) > 0


@pytest.mark.parametrize("name", REGISTRIES)
def test_what_is_registered_can_be_imported_from_its_package(name: str) -> None:
    """Every class of cfgtrain in a registry is in ``__all__`` of the package that holds its module."""
    REGISTRIES[name].fill()
    own = [each for each in REGISTRIES[name].module_dict.values() if each.__module__.startswith("cfgtrain.")]
    missing = [
        f"{each.__module__}.{each.__name__}"
        for each in own
        if each.__name__ not in importlib.import_module(each.__module__.rpartition(".")[0]).__all__
    ]
    assert missing == []
