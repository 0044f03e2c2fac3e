from __future__ import annotations

import math

import pytest

from cfgtrain.config import Config
from cfgtrain.config.literals import read_literals

TREE = {
    "a": {"b": [1, -2.5, None, True], "c": (1,), "d": {}, "e": ()},
    "inf": -math.inf,
    "key": {"not a name": {"x": 1}, 3: b"y"},
    "set": {1, 2},
    "complex": 1 - 2j,
    "name": "{{ fileDirname }}",
    "dict": 1,
}


def test_a_printed_config_is_read_equal() -> None:
    """All that a config can hold is read from its text."""
    assert read_literals(Config(TREE).pretty_text) == TREE


@pytest.mark.parametrize(
    "text",
    [
        "a = print(1)",
        "import os",
        "a = [i for i in (1,)]",
        "a = dict(b=c)",
        "a = (",
        "a = dict(1)",
        "a = float('x')",
        "print({'a': 1}.x)",
        "f()",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """Nothing is executed, and no other error than ValueError is raised."""
    with pytest.raises(ValueError):
        read_literals(text)
