"""Warnings for a config that is valid but probably a mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cfgtrain import Config
from cfgtrain.config.provenance.lint import lint, one_letter_apart
from cfgtrain.errors import ConfigWarning
from cfgtrain.origin import Origin

Write = Callable[[str, str], Path]

BASE = """\
lr = 0.1
norm = dict(type='BN', eps=1)
optimizer = dict(type='SGD', lr=lr, momentum=0.9)
model = dict(
    backbone=dict(norm=norm),
    head=dict(norm=norm),
    neck=dict(norm=norm))
"""


@pytest.fixture
def suspects(write: Write) -> Callable[..., list[str]]:
    """Return the warnings of a child of BASE."""

    def find(child: str, base: str = BASE, **options: object) -> list[str]:
        write("base.py", base)
        write("child.py", f"_base_ = 'base.py'\n{child}\n")
        cfg = Config.fromfile("child.py")
        cfg.merge_from_dict(options, origin=Origin(None, None, "--cfg-options"))
        found = lint(cfg)
        assert all(type(each) is ConfigWarning for each in found)
        return [str(each) for each in found]

    return find


@pytest.mark.parametrize(
    ("a", "b", "near"),
    [
        ("momentun", "momentum", True),  # changed
        ("momentm", "momentum", True),  # left out
        ("momenntum", "momentum", True),  # added
        ("momentumm", "momentum", True),  # added at the end
        ("omentum", "momentum", True),  # left out at the beginning
        ("momenutm", "momentum", True),  # swapped
        ("Momentum", "momentum", True),
        ("momentum", "momentum", False),
        ("mementun", "momentum", False),
        ("layer1", "layer2", False),
        ("layer", "layer2", False),
        ("layer12", "layer21", False),
        ("abcd", "efgh", False),
        ("abcd", "abcdef", False),
        ("", "a", True),
    ],
)
def test_one_letter(a: str, b: str, near: bool) -> None:
    """One letter, not a digit, is left out, added, changed or swapped, in either direction."""
    assert one_letter_apart(a, b) is one_letter_apart(b, a) is near


def test_a_misspelt_key_is_reported_with_both_origins(suspects: Callable[..., list[str]]) -> None:
    """The warning has the new key and the old one with their origins, and a suggestion."""
    assert suspects("optimizer = dict(\n    momentun=0.5)") == [
        "'momentun' is a new key, one letter away from 'momentum', which is set at base.py:3. "
        "Did you mean 'momentum'?\n  at optimizer.momentun (child.py:3)"
    ]


def test_a_misspelt_key_at_the_top(suspects: Callable[..., list[str]]) -> None:
    """A misspelt top-level key is reported; the keys below it are not checked."""
    [warning] = suspects("modle = dict(bakbone=1)")
    assert "Did you mean 'model'?\n  at modle (child.py:2)" in warning


@pytest.mark.parametrize(
    "child",
    [
        "optimizer = dict(momentun=1, momentum=2)",  # beside it: there are two of them
        "optimizer = dict(_delete_=True, type='SGD', lr=0, momentun=1)",  # nothing is inherited
        "opt = dict(lrs=1)\nnorm = dict(ep=1)",  # short names
        "model = dict(neck2=1, backbones_=2)",
        "optimizer = {3: 1}",
        "other = dict(momentun=1)",
        "optimizer = None",
    ],
)
def test_keys_that_are_probably_correct(child: str, suspects: Callable[..., list[str]]) -> None:
    """A key next to the similar one, a short one, a number, or one that is not inherited is not reported."""
    assert [warning for warning in suspects(child) if "new key" in warning] == []


def test_bases_of_bases_are_checked(write: Write) -> None:
    """A suggested key may be from any file in the chain, but not from a file that is not a base."""
    write("a.py", "optimizer = dict(momentum=1)\n")
    write("b.yaml", "_base_: a.py\noptimizer: {lr: 1}\n")
    write("other.py", "optimixer = 1\n")
    write("c.py", "_base_ = ['b.yaml', 'other.py']\noptimizer = dict(momentun=1)\n")
    found = [str(each) for each in lint(Config.fromfile("c.py"))]
    assert len(found) == 1
    assert "'momentum', which is set at a.py:1" in found[0]


def test_a_variable_without_effect_is_reported_with_both_origins(suspects: Callable[..., list[str]]) -> None:
    """The warning has the new value, what was not updated and why, and what to set instead."""
    assert suspects("\nlr = 0.2") == [
        "lr = 0.2 does not reach optimizer.lr (base.py:3), which was computed from lr = 0.1 (base.py:1) and "
        "stays 0.1. Set optimizer.lr instead.\n  at lr (child.py:3)"
    ]


def test_a_variable_on_the_command_line_without_effect(suspects: Callable[..., list[str]]) -> None:
    """A variable that the command line sets is reported like one that a child sets."""
    [warning] = suspects("", lr=0.3)
    assert warning.startswith("lr = 0.3 does not reach optimizer.lr (base.py:3), ")
    assert warning.endswith("\n  at lr (--cfg-options lr=0.3)")


def test_a_dict_without_effect_is_reported_once(suspects: Callable[..., list[str]]) -> None:
    """There is one warning for a dict, not one for each of its items."""
    assert suspects("norm = dict(type='GN')") == [
        "The new norm does not reach model.backbone.norm (base.py:5), model.head.norm (base.py:6) and 1 more, which "
        "were computed from norm (base.py:2) and stay as they were. Set these instead.\n  at norm (child.py:2)"
    ]


def test_a_list_without_effect(suspects: Callable[..., list[str]]) -> None:
    """A shorter or longer list is reported like one with other items."""
    base = "steps = [dict(type='A'), dict(type='B', x=1)]\ndata = dict(train=steps, val=steps)\n"
    [warning] = suspects("steps = [dict(type='A')]", base)
    assert (
        "The new steps does not reach data.train (base.py:2) and data.val (base.py:2), which were" in warning
    )
    [warning] = suspects("steps = [dict(type='C'), dict(type='B', x=1)]\ndata = dict(train=steps)", base)
    assert "The new steps does not reach data.val (base.py:2), which was computed from steps" in warning


@pytest.mark.parametrize(
    "child",
    [
        "lr = 0.1",  # the same
        "lr = 0.2\noptimizer = dict(lr=lr)",  # set as well
        "lr = 0.2\noptimizer = dict(_delete_=True, type='LBFGS')",  # gone
        "optimizer = dict(lr=0.3)",  # the variable is as it was
        "norm = dict(affine=True)",  # nothing was computed from the new key
        "norm = dict(type='GN')\nmodel = dict(backbone=dict(norm=norm), head=dict(norm=norm), neck=dict(norm=norm))",
        "",
    ],
)
def test_variables_with_an_effect(child: str, suspects: Callable[..., list[str]]) -> None:
    """An equal value, or one whose dependents were set as well, is not reported."""
    assert suspects(child) == []


def test_variables_of_variables(suspects: Callable[..., list[str]]) -> None:
    """A value that was computed in several steps is not updated by any of its variables."""
    base = "n = 4\nlr = 0.1 * n\noptimizer = dict(lr=lr)\n"
    [warning] = suspects("n = 8", base)
    assert (
        "n = 8 does not reach lr (base.py:2) and optimizer.lr (base.py:3), which were computed from n = 4"
        in warning
    )


def test_a_reference_to_the_bases_is_a_variable_too(write: Write) -> None:
    """A value that a child computed from its bases is not updated by a grandchild."""
    write("a.py", "lr = 0.1\n")
    write("b.py", "_base_ = 'a.py'\noptimizer = dict(lr={{ _base_.lr }} * 2)\n")
    write("c.py", "_base_ = 'b.py'\nlr = 0.5\n")
    [warning] = lint(Config.fromfile("c.py"))
    assert str(warning).startswith(
        "lr = 0.5 does not reach optimizer.lr (b.py:2), which was computed from lr = 0.1 (a.py:1) and stays 0.2."
    )
    write("c.py", "_base_ = 'a.py'\nlr = 0.5\noptimizer = dict(lr={{ _base_.lr }} * 2)\n")
    assert lint(Config.fromfile("c.py")) == []  # who asks for the base's value gets it


def test_an_alias_of_yaml_is_a_variable_too(write: Write) -> None:
    """A value that YAML inserted for an alias is not updated."""
    write("a.yaml", "lr: &lr 0.1\noptimizer:\n  lr: *lr\n")
    write("c.py", "_base_ = 'a.yaml'\nlr = 0.5\n")
    [warning] = lint(Config.fromfile("c.py"))
    assert "does not reach optimizer.lr (a.yaml:3), which was computed from lr = 0.1 (a.yaml:1)" in str(
        warning
    )


def test_a_variable_that_code_sets_is_reported(suspects: Callable[..., list[str]], write: Write) -> None:
    """The warning has the line of the code."""
    write("base.py", BASE)
    cfg = Config.fromfile("base.py")
    cfg.lr = 0.7
    cfg.norm.eps = 2
    warnings = [str(each) for each in lint(cfg)]
    assert "lr = 0.7 does not reach optimizer.lr" in warnings[0]
    assert "The new norm does not reach model.backbone.norm (base.py:5), " in warnings[1]
    assert all(__file__ in warning for warning in warnings)
    assert lint(Config({"a": 1})) == []


def test_unknown_changes_are_not_reported(write: Write) -> None:
    """If it is unknown what changed a list, there is no warning."""
    write("c.py", "steps = [1, 2]\ndata = [*steps]\nother = dict(x=[dict(y=1)])\n")
    cfg = Config.fromfile("c.py")
    cfg.steps.pop()
    cfg.other.x[0].y = 2
    assert lint(cfg) == []


def test_values_that_cannot_be_compared_are_not_reported(suspects: Callable[..., list[str]]) -> None:
    """A value whose comparison fails is never reported."""
    base = "class Odd:\n    def __ne__(self, other):\n        raise ValueError\n\n\nx = Odd()\ny = [x]\n"
    assert suspects("x = 1", base) == []


def test_a_file_is_checked_against_its_descendants(write: Write) -> None:
    """A base next to a file does not override it."""
    write("a.py", "lr = 0.1\noptimizer = dict(lr=lr)\n")
    write("b.py", "other = dict(x=1)\n")
    write("c.py", "_base_ = ['a.py', 'b.py']\nother = dict(x=2)\n")
    assert lint(Config.fromfile("c.py")) == []
