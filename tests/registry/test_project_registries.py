"""Registries of projects that were written for MMCV, found from the registries of cfgtrain."""

from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.errors import UnknownNameError
from cfgtrain.registries import DATASETS, MODELS
from cfgtrain.registry.registry import Registry


def register(registry: Registry, name: str) -> Any:
    """Register a new class, and return it."""
    return registry.register_module(module=type(name, (), {}))


def test_a_name_of_a_root_registry_of_a_project_is_found() -> None:
    """MMCV has no registry of datasets, so projects have their own, called dataset or datasets."""
    for name in ("dataset", "datasets"):
        own = Registry(name, scope=f"shop_{name}")  # held, as registries are forgotten with their modules
        kind = register(own, f"Shop_{name}")
        assert DATASETS.resolve(f"Shop_{name}") is kind
        assert f"Shop_{name}" not in DATASETS


def test_a_name_of_a_child_registry_of_a_project_is_found() -> None:
    """The children of MMCV's registry of models are searched too."""
    kind = register(Registry("models", parent=MODELS, scope="shop"), "ShopReader")
    assert isinstance(MODELS.build({"type": "ShopReader"}), kind)


def test_an_own_name_comes_first() -> None:
    """A name that the registry has is never looked up elsewhere."""
    own = Registry("dataset", scope="shop")
    assert register(own, "Digits") is own.get("Digits")
    assert DATASETS.resolve("Digits").__module__.startswith("cfgtrain.")


def test_a_name_that_two_projects_use_differently_needs_a_scope() -> None:
    """The message says how to write it."""
    for scope in ("shop", "mill"):
        register(Registry("models", parent=MODELS, scope=scope), "Reader")
    with pytest.raises(UnknownNameError, match=r"With its scope it is '(shop|mill)\.Reader'"):
        MODELS.resolve("Reader")


def test_other_registries_are_not_searched() -> None:
    """A registry of something else is not, and a project's own registry does not look elsewhere."""
    kept = Registry("parser", scope="shop")
    register(kept, "Parser")
    with pytest.raises(UnknownNameError):
        DATASETS.resolve("Parser")
    other = Registry("parser", scope="mill")
    with pytest.raises(UnknownNameError):
        other.resolve("Parser")
