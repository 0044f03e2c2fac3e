"""Origins of values, as read by code that does not depend on configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config
from cfgtrain.config.dict import without
from cfgtrain.origin import Origin, describe, dotted, key_path, location, place_text, where


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("a.py", 3, "x = 1"), "a.py:3"),
        (Origin("a.py", None, ""), "a.py"),
        (Origin(None, None, "--seed 3"), "--seed 3"),
    ],
)
def test_an_origin_reads_as_a_place(origin: Origin, text: str) -> None:
    """A file is shown with its line if that is known, anything else by its text."""
    assert str(origin) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("data", "pipeline", 1, "type"), "data.pipeline[1].type"),
        (("a", 0, 2), "a[0][2]"),
        (("a", "0"), "a.0"),
    ],
)
def test_a_key_path_is_dotted(path: tuple[object, ...], text: str) -> None:
    """Keys are joined by dots, and indices are in brackets."""
    assert dotted(path) == text


@pytest.mark.parametrize("node", [{"lr": 1}, Config({"lr": 1})._cfg_dict, 3])
def test_a_node_without_a_trace_has_no_origin(node: object) -> None:
    """Plain dicts and configs made in code work; only the requested key is known."""
    assert where(node, "lr") is None
    assert (key_path(node), key_path(node, "lr")) == ("", "lr")
    assert (describe(node), describe(node, "lr")) == ("", "lr")


def test_a_loaded_node_has_its_own_origin_and_those_of_its_keys(write: Callable[[str, str], Path]) -> None:
    """The origin and the full key path of a node and of its keys are known."""
    write("a.py", "data = dict(\n    train=dict(\n        size=1))\n")
    train = Config.fromfile("a.py").data.train
    assert where(train) == Origin("a.py", 2, "train=dict(")
    assert where(train, "size") == Origin("a.py", 3, "size=1))")
    assert key_path(train, "size") == "data.train.size"
    assert describe(train, "size") == "data.train.size (a.py:3)"
    assert describe(train) == "data.train (a.py:2)"


def test_a_missing_key_is_described_by_its_path(write: Callable[[str, str], Path]) -> None:
    """A missing key has no origin, but it has a path."""
    write("a.py", "model = dict(type='A')\n")
    assert describe(Config.fromfile("a.py").model, "depth") == "model.depth"


def test_the_root_is_described_by_its_keys_alone(write: Callable[[str, str], Path]) -> None:
    """The root has no path of its own."""
    write("a.py", "\nlr = 1\n")
    assert describe(Config.fromfile("a.py")._cfg_dict, "lr") == "lr (a.py:2)"


def test_a_location_is_passed_to_an_error(write: Callable[[str, str], Path]) -> None:
    """The origin and the key path of a value are keyword arguments for an error."""
    write("a.py", "\nmodel = dict(depth=1)\n")
    cfg = Config.fromfile("a.py")
    line = Origin("a.py", 2, "model = dict(depth=1)")
    assert location(cfg, "model") == location(cfg.model) == {"origin": line, "key": "model"}
    assert location(cfg.model, "depth") == {"origin": line, "key": "model.depth"}


def test_a_plain_dict_has_no_location() -> None:
    """Only the nodes of a config have a place."""
    assert location({"depth": 1}, "depth") == {"origin": None, "key": None}
    assert location(Config({"depth": 1}), "depth") == {"origin": None, "key": "depth"}


@pytest.mark.parametrize(
    ("origin", "key", "text"),
    [
        (None, None, ""),
        (None, "lr", "lr"),
        (Origin("a.py", 3), None, "a.py:3"),
        (Origin("a.py", 3), "lr", "lr (a.py:3)"),
        (Origin(None, None, "--lr 3"), "lr", "lr (--lr 3)"),
        (Origin(None), "lr", "lr"),
    ],
)
def test_a_place_is_text(origin: Origin | None, key: str | None, text: str) -> None:
    """The key is followed by the origin in brackets, as far as they are known."""
    assert place_text(origin, key) == text


def test_a_copy_without_a_key_keeps_its_origins(write: Callable[[str, str], Path]) -> None:
    """``without`` does not change its argument, and ignores keys that are missing."""
    write("a.py", "model = dict(\n    depth=1, width=2)\n")
    model = Config.fromfile("a.py").model
    copied = without(model, "depth", "height")
    assert copied == {"width": 2}
    assert describe(copied, "width") == "model.width (a.py:2)"
    assert model == {"depth": 1, "width": 2}
    assert without({"a": 1, "b": 2}, "a") == {"b": 2}
