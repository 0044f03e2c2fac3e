"""Which registry a part of a config is built from, if a project has a name that cfgtrain has too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import cfgtrain.registry.projects as projects
from cfgtrain.errors import BuildError, UnknownNameError
from cfgtrain.registries import DATASETS, HOOKS, MODELS
from cfgtrain.registry.projects import registry_for
from cfgtrain.registry.registry import Registry


class ImageClassifier:
    def __init__(self, stem: int = 3) -> None:
        self.stem = stem


class Other:
    pass


@pytest.fixture
def shop() -> Iterator[Registry]:
    """A registry of a project, with a name of cfgtrain."""
    registry = Registry("models", parent=MODELS, scope="shop")
    registry.register_module(module=ImageClassifier)
    projects._warn.cache_clear()
    yield registry
    registry.module_dict.clear()


def test_cfgtrains_name_comes_first(shop: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """Without the alias a name is cfgtrain's, with one warning that says how to name the other."""
    with caplog.at_level(logging.WARNING):
        assert registry_for({"type": "ImageClassifier"}, MODELS) is MODELS
        assert registry_for({"type": "ImageClassifier"}, MODELS) is MODELS
    [message] = caplog.messages
    assert "classifier.py" in message
    assert f"type='shop.ImageClassifier' is ImageClassifier at {Path(__file__)}" in message


def test_a_projects_name_comes_first_if_that_is_set(
    shop: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the name is that of the project, and cfgtrain's needs its scope."""
    monkeypatch.setattr(MODELS, "projects_first", True)
    registry = registry_for({"type": "ImageClassifier"}, MODELS)
    assert isinstance(registry.build({"type": "ImageClassifier"}), ImageClassifier)
    for name in (
        "cfgtrain.ImageClassifier",
        "mmcv.ImageClassifier",
        "LeNet5",
        "torch.nn.ReLU",
        ImageClassifier,
    ):
        assert registry_for({"type": name}, MODELS) is MODELS
    assert registry_for([{"type": "ImageClassifier"}], MODELS) is MODELS
    assert MODELS.resolve("ImageClassifier").__module__.startswith("cfgtrain.")
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["dataset", "datasets"])
def test_a_registry_without_a_parent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes part if it is called as cfgtrain's, and its scope can be written."""
    own = Registry(name, scope="shop")
    own.register_module("Digits", module=Other)
    assert registry_for({"type": "shop.Digits"}, DATASETS) is own
    assert DATASETS.resolve("shop.Digits") is Other
    assert registry_for({"type": "Digits"}, DATASETS) is DATASETS
    monkeypatch.setattr(DATASETS, "projects_first", True)
    assert registry_for({"type": "Digits"}, DATASETS) is own
    assert registry_for({"type": "Digits"}, HOOKS) is HOOKS
    with pytest.raises(UnknownNameError):
        DATASETS.resolve("mill.Digits")


def test_two_projects_with_a_name(shop: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the name alone is an error that lists both, unless it is the same class."""
    mill = Registry("models", parent=MODELS, scope="mill")
    mill.register_module("ImageClassifier", module=ImageClassifier)
    monkeypatch.setattr(MODELS, "projects_first", True)
    assert registry_for({"type": "ImageClassifier"}, MODELS) in (shop, mill)
    mill.register_module("ImageClassifier", force=True, module=Other)
    with pytest.raises(UnknownNameError, match="of several projects") as caught:
        registry_for({"type": "ImageClassifier"}, MODELS)
    assert f"type='mill.ImageClassifier' is Other at {Path(__file__)}" in caught.value.hint
    assert "type='shop.ImageClassifier' is" in caught.value.hint
    mill.module_dict.clear()


def test_an_error_says_which_class_it_is_about(shop: Registry) -> None:
    """It names the class and the file, and how to write the other one, in both directions."""
    with pytest.raises(BuildError) as caught:
        MODELS.build({"type": "ImageClassifier", "backbone": {"type": "LeNet5"}, "stem": 4})
    assert "type='ImageClassifier' is ImageClassifier at" in caught.value.hint
    assert f"type='shop.ImageClassifier' is ImageClassifier at {Path(__file__)}" in caught.value.hint
    with pytest.raises(BuildError, match="Did you mean 'stem'") as caught:
        shop.build({"type": "ImageClassifier", "stam": 4})
    assert "type='cfgtrain.ImageClassifier' is ImageClassifier at" in caught.value.hint
    with pytest.raises(BuildError, match="LeNet5 takes no argument 'stem'") as caught:
        MODELS.build({"type": "ImageClassifier", "backbone": {"type": "LeNet5", "stem": 4}})
    assert f"type='shop.ImageClassifier' is ImageClassifier at {Path(__file__)}" in caught.value.__notes__[-1]


def test_an_error_about_a_single_class_does_not() -> None:
    """A name that is that of one class needs no explanation."""
    with pytest.raises(BuildError) as caught:
        MODELS.build({"type": "LeNet5", "xyzzy": 4})
    assert caught.value.hint == ""


def test_registries_of_other_kinds_are_not_listed() -> None:
    """A hook with the name of a model is no other class of this name."""
    hooks = Registry("hook", parent=HOOKS, scope="shop")
    hooks.register_module("LeNet5", module=Other)
    with pytest.raises(BuildError) as caught:
        MODELS.build({"type": "LeNet5", "xyzzy": 4})
    assert caught.value.hint == ""
