"""Where a value came from, as those ask who know nothing of configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config
from cfgtrain.origin import Origin, describe, dotted, key_path, where


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
def test_a_path_is_written_as_people_do(path: tuple[object, ...], text: str) -> None:
    """Keys are joined by dots and indices stand in brackets."""
    assert dotted(path) == text


@pytest.mark.parametrize("node", [{"lr": 1}, Config({"lr": 1})._cfg_dict, 3])
def test_a_node_without_a_trace_has_no_origin(node: object) -> None:
    """Plain dicts and configs made in code work, and only the key that is asked for is known."""
    assert where(node, "lr") is None
    assert (key_path(node), key_path(node, "lr")) == ("", "lr")
    assert (describe(node), describe(node, "lr")) == ("", "lr")


def test_a_loaded_node_knows_itself_and_its_keys(write: Callable[[str, str], Path]) -> None:
    """A node says the place of each key and its own, with the path in the whole config."""
    write("a.py", "data = dict(\n    train=dict(\n        size=1))\n")
    train = Config.fromfile("a.py").data.train
    assert where(train) == Origin("a.py", 2, "train=dict(")
    assert where(train, "size") == Origin("a.py", 3, "size=1))")
    assert key_path(train, "size") == "data.train.size"
    assert describe(train, "size") == "data.train.size (a.py:3)"
    assert describe(train) == "data.train (a.py:2)"


def test_a_key_that_nobody_set_is_described_by_its_path(write: Callable[[str, str], Path]) -> None:
    """For a key that is missing the path is still told."""
    write("a.py", "model = dict(type='A')\n")
    assert describe(Config.fromfile("a.py").model, "depth") == "model.depth"


def test_the_root_is_described_by_its_keys_alone(write: Callable[[str, str], Path]) -> None:
    """The root has no path of its own."""
    write("a.py", "\nlr = 1\n")
    assert describe(Config.fromfile("a.py")._cfg_dict, "lr") == "lr (a.py:2)"
