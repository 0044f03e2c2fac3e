"""A config as Python source, with the origin of each line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cfgtrain import Config
from cfgtrain.config.provenance.annotate import annotated, one_line

Write = Callable[[str, str], Path]


def text(cfg: Config, *path: object) -> str:
    return "\n".join(
        f"{line.text} # {line.origin}" if line.origin else line.text for line in annotated(cfg, path)
    )


def test_a_node_with_one_origin_is_on_one_line(write: Write) -> None:
    """A dict or list is split over several lines if it does not fit, or has several origins."""
    write(
        "a.py",
        "a = dict(\n    x=dict(y=1, z=2),\n    w=3)\nb = [dict(c=1), (1,)]\nlong = ['%s'] * 3\n" % ("x" * 30),
    )
    write("c.py", "_base_ = 'a.py'\na = dict(x=dict(z=4))\n")
    assert text(Config.fromfile("c.py")) == "\n".join(
        [
            "a = dict(",
            "    x=dict(",
            "        y=1, # a.py:2",
            "        z=4, # c.py:2",
            "    ),",
            "    w=3, # a.py:3",
            ")",
            "b = [dict(c=1), (1,)] # a.py:4",
            "long = [",
            *[f"    '{'x' * 30}', # a.py:5"] * 3,
            "]",
        ]
    )


def test_a_part_of_a_config(write: Write) -> None:
    """A part is printed as it would be as a whole config."""
    write("c.py", "a = dict(x=dict(y=1), z=[\n  1, (2,\n  3)])\n")
    cfg = Config.fromfile("c.py")
    assert (
        text(cfg, "a")
        == "x = dict(y=1) # c.py:1\nz = [\n    1, # c.py:2\n    (\n        2, # c.py:2\n        3, # c.py:3\n    ),\n]"
    )
    assert text(cfg, "a", "z", 0) == "1 # c.py:2"


def test_the_text_loads_back_equal(write: Write) -> None:
    """The text may contain unusual keys, names of builtins and empty values."""
    write(
        "c.py",
        "a = {'b c': {1: dict(), 'd': []}, 'e': ((1, 2), {3})}\ndict_ = dict()\nnone = None\n"
        "globals().update({'dict': {'x': 1}, 'list': {'y': 2}, 'class': 2, 'a b': float('inf'), 5: {\n'x': [1,\n2]}})\n",
    )
    cfg = Config.fromfile("c.py")
    write("d.py", text(cfg))
    assert Config.fromfile("d.py").to_dict() == {**cfg.to_dict()}


def test_objects_are_shown_by_their_repr() -> None:
    """A value without a Python literal is shown by its repr."""

    class Odd:
        def __repr__(self) -> str:
            return "<odd\nthing>"

    cfg: Any = Config({"a": Odd()})
    assert text(cfg) == "a = <odd thing>"


def test_one_line() -> None:
    """A value on one line is cut if it is too long."""
    value = {"type": "A" * 30, "list": [{"x": 1}] * 8, "t": ("b" * 30,)}
    assert one_line(value, 1000).startswith(f"dict( type='{'A' * 30}', list=[".replace("( ", "("))
    assert one_line(value, 20) == "dict(type='AAAAAA..."
    assert one_line(3, 20) == "3"
